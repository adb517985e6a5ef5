/** Several nodes in one etcd. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NodeChange, PartitionState } from '../../src/coordination/cluster.ts';
import type { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { OFFSET_BLOCK } from '../../src/coordination/coordinator.ts';
import { EtcdServer } from '../support/etcd-server.ts';
import { eventually } from '../support/eventually.ts';
import { TcpRelay } from '../support/tcp-relay.ts';
import { ClusterStage, LEASE_TTL_MS, RecordingCandidate, newTopic } from './stage.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const ledBy = (leader: string, leaderEpoch = 0): PartitionState => ({
  replicas: ['a', 'b'],
  leader,
  leaderEpoch,
  isr: ['a', 'b'],
});

let etcd: EtcdServer;
let stage: ClusterStage;
let a: EtcdCoordinator;
let b: EtcdCoordinator;
beforeAll(async () => {
  etcd = await EtcdServer.start();
});
afterAll(() => etcd[Symbol.asyncDispose]());
beforeEach(async () => {
  stage = new ClusterStage(etcd.endpoint);
  a = await stage.open('a');
  b = await stage.open('b');
  await eventually('b as a sees it', () => a.cluster.nodes().length === 2);
});
afterEach(() => stage[Symbol.asyncDispose]());

/** A topic that all nodes know. */
async function sharedTopic(partitions = 2): Promise<string> {
  const { id } = await a.createTopic(newTopic('t', partitions));
  await eventually('the topic everywhere', () => b.topic('t') !== undefined);
  return id;
}

async function isSeenBy(coordinator: EtcdCoordinator, topicId: string, revision: number): Promise<void> {
  await eventually(
    'the state everywhere',
    () => (coordinator.cluster.partitionState(topicId, 0)?.revision ?? 0) >= revision,
  );
}

describe('members', () => {
  it('know each other, and who comes and goes', async () => {
    const changes: NodeChange[] = [];
    a.cluster.watchNodes((change) => changes.push(change));
    const c = await stage.open('c');
    await c.cluster.announce({ zone: 'far' });
    await c[Symbol.asyncDispose]();
    await eventually('c gone', () => changes.length === 3);
    expect(changes.map(({ kind, node }) => [kind, node.nodeId, node.zone])).toEqual([
      ['joined', 'c', 'a'],
      ['altered', 'c', 'far'],
      ['left', 'c', 'far'],
    ]);
    await eventually('two members', () => b.cluster.nodes().length === 2);
    expect(b.cluster.nodes().map(({ nodeId }) => nodeId)).toEqual(['a', 'b']);
  });

  it('whose process ends are gone when their lease is over', async () => {
    const relay = await TcpRelay.to(etcd.clientPort);
    const c = await stage.open('c', { endpoints: [`http://127.0.0.1:${relay.port}`] });
    await eventually('c there', () => a.cluster.nodes().length === 3);
    await relay[Symbol.asyncDispose]();
    expect(a.cluster.nodes()).toHaveLength(3);
    await eventually('c gone', () => a.cluster.nodes().length === 2, 5 * LEASE_TTL_MS);
    expect(c.cluster.leaseHeld).toBe(false);
  });

  it('cannot have the name of one that lives', async () => {
    await expect(stage.open('a')).rejects.toThrow(coded('INVALID_CONFIG'));
    expect(a.cluster.leaseHeld).toBe(true);
  });

  it('that come back after a crash wait for the end of their former lease', async () => {
    const relay = await TcpRelay.to(etcd.clientPort);
    await stage.open('c', { endpoints: [`http://127.0.0.1:${relay.port}`] });
    const before = a.cluster.nodes().at(-1)!.session;
    await relay[Symbol.asyncDispose]();
    const again = await stage.open('c');
    expect(again.cluster.nodes().at(-1)).toMatchObject({ nodeId: 'c' });
    expect(again.cluster.nodes().at(-1)!.session).not.toBe(before);
  });

  it('are of one cluster if that has one name', async () => {
    const other = new ClusterStage(etcd.endpoint);
    const stranger = await other.open('a');
    expect([b.clusterId === a.clusterId, stranger.clusterId === a.clusterId]).toEqual([true, false]);
    expect(stranger.cluster.nodes()).toHaveLength(1);
    await other[Symbol.asyncDispose]();
  });
});

describe('changes', () => {
  it('come to every node in the same order', async () => {
    const seen: string[][] = [[], []];
    [a, b].forEach((one, index) =>
      one.watchTopics(({ kind, topic }) => seen[index]!.push(`${kind} ${topic.name} ${topic.partitions}`)),
    );
    const names = Array.from({ length: 20 }, (_, index) => `t${index}`);
    await Promise.all(names.map((name, index) => (index % 2 ? a : b).createTopic(newTopic(name, 1))));
    await Promise.all(
      names.slice(0, 5).map(async (name) => {
        await b.deleteTopic(name).catch(() => a.deleteTopic(name));
      }),
    );
    await eventually('all of it', () => seen.every((one) => one.length === 25));
    expect(seen[1]).toEqual(seen[0]);
  });

  it('of one topic by two nodes at once both happen', async () => {
    await sharedTopic();
    await Promise.all([
      a.alterTopic('t', { partitions: 9 }),
      b.alterTopic('t', { settings: { retentionMs: 9 } }),
    ]);
    await eventually(
      'both',
      () => a.topic('t')!.partitions === 9 && a.topic('t')!.settings.retentionMs === 9,
    );
  });

  it('of a topic leave alone what only newer nodes know of it', async () => {
    await sharedTopic();
    const key = `${stage.prefix}topics/t`;
    const { settings, ...rest } = JSON.parse((await stage.admin.get(key).string())!) as { settings: object };
    const newer = { ...rest, settings: { ...settings, tiers: 3 }, labels: ['x'] };
    await stage.admin.put(key).value(JSON.stringify(newer));
    await eventually('the newer topic', () => 'labels' in a.topic('t')!);
    await a.alterTopic('t', { settings: { retentionMs: 7 } });
    expect(JSON.parse((await stage.admin.get(key).string())!)).toEqual({
      ...newer,
      settings: { ...newer.settings, retentionMs: 7 },
    });
    expect(stage.ignored).toEqual([]);
  });

  it('by the node that was second to create a topic are refused', async () => {
    const results = await Promise.allSettled([a.createTopic(newTopic('t')), b.createTopic(newTopic('t'))]);
    const refused = results.find((one) => one.status === 'rejected');
    expect(refused?.reason).toMatchObject({ code: 'TOPIC_EXISTS' });
  });

  it('of producer ids never give one out twice', async () => {
    const ids = await Promise.all(
      Array.from({ length: 4000 }, (_, index) => (index % 2 ? a : b).allocateProducerId()),
    );
    expect(new Set(ids).size).toBe(4000);
  });

  it('of producer ids bind them with one key', () => {
    expect(a.producerKey).toHaveLength(32);
    expect(b.producerKey).toEqual(a.producerKey);
  });

  it('of the key of producer ids give a cluster of a version before one, once', async () => {
    await stage.admin.put(`${stage.prefix}cluster`).value(JSON.stringify({ id: 'old', more: 1 }));
    const [c, d] = await Promise.all([stage.open('c'), stage.open('d')]);
    expect([c.clusterId, d.clusterId]).toEqual(['old', 'old']);
    expect(d.producerKey).toEqual(c.producerKey);
    expect(JSON.parse((await stage.admin.get(`${stage.prefix}cluster`).string())!)).toEqual({
      id: 'old',
      more: 1,
      producerKey: c.producerKey.toString('hex'),
    });
  });

  it('with something unreadable in a key are passed over and told', async () => {
    const id = await sharedTopic();
    const keys = ['topics/t', 'topics/u', `partitions/${id}/x`, 'nodes/z', 'tokens/0', 'controller'];
    for (const key of keys) await stage.admin.put(stage.prefix + key).value('{"half');
    await stage.admin.put(`${stage.prefix}from-the-future/x`).value('1');
    await a.createTopic(newTopic('later'));
    expect([...new Set(stage.ignored)]).toEqual(keys.map((key) => stage.prefix + key));
    expect(a.topics().map(({ name }) => name)).toEqual(['later', 't']);
    await expect(a.createTopic(newTopic('u'))).rejects.toThrow(coded('STORAGE_FAILED'));
  });
});

describe('partitions', () => {
  it('change for the first of two nodes that saw the same state, and the other learns what is there', async () => {
    const id = await sharedTopic();
    const first = await a.cluster.updatePartition(id, 0, 0, ledBy('a'));
    if (first.kind !== 'updated') throw new Error('not updated');
    await isSeenBy(b, id, first.entry.revision);
    const both = await Promise.all([
      a.cluster.updatePartition(id, 0, first.entry.revision, ledBy('a', 1)),
      b.cluster.updatePartition(id, 0, first.entry.revision, ledBy('b', 1)),
    ]);
    const won = both.find((one) => one.kind === 'updated');
    const lost = both.find((one) => one.kind === 'conflict');
    expect(won?.entry).toEqual(lost?.current);
    expect(won?.entry.state.leaderEpoch).toBe(1);
  });

  it('are updated a thousand times by two nodes without one being lost', async () => {
    const id = await sharedTopic(1);
    await a.cluster.updatePartition(id, 0, 0, ledBy('a'));
    let updated = 0;
    const count = async (coordinator: EtcdCoordinator): Promise<void> => {
      for (let turn = 0; turn < 500; turn++) {
        await eventually('a state', () => coordinator.cluster.partitionState(id, 0) !== undefined);
        const { revision, state } = coordinator.cluster.partitionState(id, 0)!;
        const next = { ...state, leaderEpoch: state.leaderEpoch + 1 };
        const { kind } = await coordinator.cluster.updatePartition(id, 0, revision, next);
        if (kind === 'updated') updated++;
      }
    };
    await Promise.all([count(a), count(b)]);
    const { revision } = a.cluster.partitionState(id, 0)!;
    await isSeenBy(b, id, revision);
    expect(b.cluster.partitionState(id, 0)!.state.leaderEpoch).toBe(updated);
    expect(updated).toBeGreaterThan(100);
  });

  it.each<[string, PartitionState]>([
    ['with a leader that is no replica', { ...ledBy('a'), leader: 'c' }],
    ['with an in-sync replica that is none', { ...ledBy('a'), isr: ['c'] }],
    ['with an epoch below the one before', ledBy('a', 4)],
  ])('refuse a state %s', async (_what, state) => {
    const id = await sharedTopic();
    const result = await a.cluster.updatePartition(id, 0, 0, ledBy('a', 5));
    const revision = result.kind === 'updated' ? result.entry.revision : 0;
    await expect(a.cluster.updatePartition(id, 0, revision, state)).rejects.toThrow(
      coded('INVALID_ARGUMENT'),
    );
  });

  it('are claimed by their leader alone', async () => {
    const id = await sharedTopic();
    await expect(a.claimPartition(id, 0)).rejects.toThrow(coded('NOT_LEADER'));
    const { kind } = await b.cluster.updatePartition(id, 0, 0, ledBy('a'));
    await eventually('the state at a', () => a.cluster.partitionState(id, 0) !== undefined);
    await expect(b.claimPartition(id, 0)).rejects.toThrow(coded('NOT_LEADER'));
    expect([kind, await a.claimPartition(id, 0)]).toEqual([
      'updated',
      { leaderEpoch: 1, firstOffset: 0, offsetCeiling: OFFSET_BLOCK },
    ]);
  });

  it('take no offsets from a leader that was replaced', async () => {
    const id = await sharedTopic();
    await a.cluster.updatePartition(id, 0, 0, ledBy('a'));
    const first = await a.claimPartition(id, 0);
    const { revision, state } = a.cluster.partitionState(id, 0)!;
    await a.cluster.updatePartition(id, 0, revision, { ...state, leader: 'b', leaderEpoch: 2 });
    await eventually('the state at b', () => b.cluster.partitionState(id, 0)?.state.leader === 'b');
    const second = await b.claimPartition(id, 0);
    await expect(a.reserveOffsets(id, 0, 7)).rejects.toThrow(coded('NOT_LEADER'));
    expect(second).toEqual({
      leaderEpoch: 3,
      firstOffset: first.offsetCeiling,
      offsetCeiling: 2 * OFFSET_BLOCK,
    });
  });

  it('leave nothing behind when their topic is deleted', async () => {
    const id = await sharedTopic();
    await a.cluster.updatePartition(id, 0, 0, ledBy('a'));
    await a.claimPartition(id, 0);
    await b.deleteTopic('t');
    // Whether it has heard of the deletion or not: it writes nothing.
    await a.cluster.updatePartition(id, 1, 0, ledBy('a')).catch(() => undefined);
    const left = await stage.admin.getAll().prefix(stage.prefix).keys();
    expect(left.filter((key) => key.includes(id))).toEqual([]);
  });
});

describe('a rebalance', () => {
  it('is asked for on any node and seen by all, also when the one that was asked has gone', async () => {
    const told: boolean[] = [];
    b.cluster.rebalancing.watch(() => told.push(b.cluster.rebalancing.isRequested));
    await a.cluster.rebalancing.request();
    expect(a.cluster.rebalancing.isRequested).toBe(true);
    await a[Symbol.asyncDispose]();
    const candidate = new RecordingCandidate(b.cluster);
    await eventually('a controller', () => candidate.term !== undefined);
    expect(b.cluster.rebalancing.isRequested).toBe(true);
    expect(await b.cluster.rebalancing.finish(candidate.term!)).toBe(true);
    expect(told).toEqual([true, false]);
  });

  it('is ended by the controller of now, and not for who has asked for it again', async () => {
    const candidate = new RecordingCandidate(b.cluster);
    await eventually('a controller', () => candidate.term !== undefined);
    await b.cluster.rebalancing.request();
    expect(await b.cluster.rebalancing.finish(candidate.term! + 1)).toBe(false);
    expect(b.cluster.rebalancing.isRequested).toBe(true);
    const asked = b.cluster.rebalancing.request();
    const finished = b.cluster.rebalancing.finish(candidate.term!);
    await Promise.all([asked, finished]);
    // etcd was asked first for the request, which the end did not know of.
    expect(b.cluster.rebalancing.isRequested).toBe(true);
  });
});

describe('the controller', () => {
  it('is one of the candidates, and another when it resigns', async () => {
    const candidates = [a, b].map((coordinator) => new RecordingCandidate(coordinator.cluster));
    await eventually('one', () => candidates.some(({ term }) => term !== undefined));
    const [first, second] = candidates[0]!.term ? candidates : candidates.toReversed();
    expect(second!.told).toEqual([]);
    await first!.campaign.resign();
    await eventually('the other', () => second!.term !== undefined);
    expect([first!.told.length, second!.told[0]! > first!.told[0]!]).toEqual([1, true]);
  });

  it('is another when it leaves the cluster', async () => {
    const first = new RecordingCandidate(a.cluster);
    await eventually('a', () => first.term !== undefined);
    const second = new RecordingCandidate(b.cluster);
    await a[Symbol.asyncDispose]();
    await eventually('b', () => second.term !== undefined, LEASE_TTL_MS);
  });

  it('of a former term changes no partition', async () => {
    const id = await sharedTopic();
    const first = new RecordingCandidate(a.cluster);
    await eventually('a', () => first.term !== undefined);
    const { term } = first;
    await first.campaign.resign();
    const second = new RecordingCandidate(b.cluster);
    await eventually('b', () => second.term !== undefined);
    const late = await a.cluster.updatePartition(id, 0, 0, ledBy('a'), term);
    const now = await b.cluster.updatePartition(id, 0, 0, ledBy('a'), second.term);
    expect([late, now.kind]).toEqual([{ kind: 'conflict', current: undefined }, 'updated']);
  });

  it('is told when somebody removes its key, and stands again', async () => {
    const candidate = new RecordingCandidate(a.cluster);
    await eventually('a', () => candidate.term !== undefined);
    await stage.admin.delete().key(`${stage.prefix}controller`);
    await eventually('a again', () => candidate.told.length === 3);
    expect(candidate.told).toEqual([expect.any(Number), 'lost', candidate.term]);
  });
});

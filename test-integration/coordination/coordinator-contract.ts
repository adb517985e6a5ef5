/** What every Coordinator does, whatever it keeps things in. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeChange, PartitionChange } from '../../src/coordination/cluster.ts';
import type { Coordinator, TopicChange } from '../../src/coordination/coordinator.ts';
import { OFFSET_BLOCK } from '../../src/coordination/coordinator.ts';
import type { TokenRecord } from '../../src/security/token.ts';
import { eventually } from '../support/eventually.ts';
import { newTopic } from './stage.ts';

/** One coordinator and the means to open it again. */
export interface ContractStage extends AsyncDisposable {
  readonly coordinator: Coordinator;
  /** Closes it and opens it again on what is stored. */
  restart(): Promise<void>;
  /** Sees to it that the coordinator may claim this partition. */
  lead(topicId: string, partition: number): Promise<void>;
}

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const TOKEN: TokenRecord = {
  id: '0123456789abcdef',
  name: 'billing',
  secretSha256: 'x'.repeat(43),
  admin: false,
  rights: [],
  createdAtMs: 1,
  expiresAtMs: null,
};

/** Runs the contract; `open` gives a stage with nothing in it. */
export function coordinatorContract(name: string, open: () => Promise<ContractStage>): void {
  let stage: ContractStage;
  const coordinator = (): Coordinator => stage.coordinator;

  beforeEach(async () => {
    stage = await open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  describe(`topics of ${name}`, () => {
    it('are there after a restart as they were', async () => {
      await coordinator().createTopic(newTopic('b'));
      await coordinator().createTopic(newTopic('a'));
      await coordinator().alterTopic('a', { partitions: 5, settings: { retentionMs: 9 } });
      const before = coordinator().topics();
      await stage.restart();
      expect(coordinator().topics()).toEqual(before);
      expect(before.map(({ name: one, partitions }) => [one, partitions])).toEqual([
        ['a', 5],
        ['b', 2],
      ]);
    });

    it('can be read as soon as the change resolves', async () => {
      const created = await coordinator().createTopic(newTopic('a'));
      expect(coordinator().topic('a')).toEqual(created);
      const altered = await coordinator().alterTopic('a', { settings: { retentionMs: 5 } });
      expect(coordinator().topic('a')).toEqual(altered);
      await coordinator().deleteTopic('a');
      expect(coordinator().topic('a')).toBeUndefined();
    });

    it('cannot be created twice, also at the same time', async () => {
      const results = await Promise.allSettled([
        coordinator().createTopic(newTopic('a')),
        coordinator().createTopic(newTopic('a')),
      ]);
      expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      await expect(coordinator().createTopic(newTopic('a'))).rejects.toThrow(coded('TOPIC_EXISTS'));
    });

    it('have another id when they are created again', async () => {
      const first = await coordinator().createTopic(newTopic('a'));
      await coordinator().deleteTopic('a');
      const second = await coordinator().createTopic(newTopic('a'));
      expect(second.id).not.toBe(first.id);
      await expect(coordinator().reserveOffsets(first.id, 0, 1)).rejects.toThrow(coded('TOPIC_NOT_FOUND'));
    });

    it('cannot lose partitions', async () => {
      await coordinator().createTopic(newTopic('a', 3));
      await expect(coordinator().alterTopic('a', { partitions: 2 })).rejects.toThrow(
        coded('INVALID_ARGUMENT'),
      );
      expect(coordinator().topic('a')!.partitions).toBe(3);
    });

    it('that are not there cannot be altered or deleted', async () => {
      await expect(coordinator().alterTopic('a', {})).rejects.toThrow(coded('TOPIC_NOT_FOUND'));
      await expect(coordinator().deleteTopic('a')).rejects.toThrow(coded('TOPIC_NOT_FOUND'));
    });

    it('are told to watchers, in order and before the change resolves, until those stop', async () => {
      const changes: TopicChange[] = [];
      const unwatch = coordinator().watchTopics((change) => changes.push(change));
      await coordinator().createTopic(newTopic('a'));
      await coordinator().alterTopic('a', { settings: { retentionMs: 1 } });
      await coordinator().deleteTopic('a');
      unwatch();
      await coordinator().createTopic(newTopic('b'));
      expect(changes.map(({ kind }) => kind)).toEqual(['created', 'altered', 'deleted']);
    });

    it('altered at the same time are altered by both', async () => {
      await coordinator().createTopic(newTopic('a'));
      await Promise.all([
        coordinator().alterTopic('a', { partitions: 7 }),
        coordinator().alterTopic('a', { settings: { retentionMs: 7 } }),
      ]);
      expect(coordinator().topic('a')).toMatchObject({ partitions: 7, settings: { retentionMs: 7 } });
    });
  });

  describe(`claims of ${name}`, () => {
    it('begin at 0 and, after a crash, above everything that may have been handed out', async () => {
      const { id } = await coordinator().createTopic(newTopic('a'));
      await stage.lead(id, 1);
      const first = await coordinator().claimPartition(id, 1);
      await stage.restart();
      const second = await coordinator().claimPartition(id, 1);
      await coordinator().reserveOffsets(id, 1, 5 * OFFSET_BLOCK);
      await stage.restart();
      const third = await coordinator().claimPartition(id, 1);
      expect([first, second, third].map(({ firstOffset }) => firstOffset)).toEqual([
        0,
        OFFSET_BLOCK,
        5 * OFFSET_BLOCK,
      ]);
      expect(first.offsetCeiling).toBe(second.firstOffset);
    });

    it('have a larger epoch each', async () => {
      const { id } = await coordinator().createTopic(newTopic('a'));
      await stage.lead(id, 0);
      const first = await coordinator().claimPartition(id, 0);
      await stage.restart();
      const second = await coordinator().claimPartition(id, 0);
      expect(second.leaderEpoch).toBeGreaterThan(first.leaderEpoch);
      expect(coordinator().cluster.partitionState(id, 0)!.state.leaderEpoch).toBe(second.leaderEpoch);
    });

    it('go on at the log end that an orderly stop left', async () => {
      const { id } = await coordinator().createTopic(newTopic('a'));
      await stage.lead(id, 0);
      await coordinator().claimPartition(id, 0);
      await coordinator().reserveOffsets(id, 0, 1234);
      await stage.restart();
      expect(await coordinator().claimPartition(id, 0)).toMatchObject({
        firstOffset: 1234,
        offsetCeiling: OFFSET_BLOCK,
      });
    });

    it('of a log on disk set no offsets aside and say whether it has been begun', async () => {
      const wanted = newTopic('a');
      const { id } = await coordinator().createTopic({
        ...wanted,
        settings: { ...wanted.settings, storage: 'disk' },
      });
      await stage.lead(id, 0);
      const first = await coordinator().claimPartition(id, 0);
      await coordinator().reserveOffsets(id, 0, 1);
      await stage.restart();
      const second = await coordinator().claimPartition(id, 0);
      expect([first, second]).toEqual([
        expect.objectContaining({ firstOffset: 0, offsetCeiling: 0 }),
        expect.objectContaining({ firstOffset: 0, offsetCeiling: 1 }),
      ]);
    });

    it('of a topic that is not there are refused', async () => {
      await expect(coordinator().claimPartition('none', 0)).rejects.toThrow(coded('TOPIC_NOT_FOUND'));
    });
  });

  describe(`ids of ${name}`, () => {
    it('of node and cluster stay', async () => {
      const { nodeId, clusterId } = coordinator();
      await stage.restart();
      expect([coordinator().nodeId, coordinator().clusterId]).toEqual([nodeId, clusterId]);
    });

    it('of producers are bound with a key that stays', async () => {
      const { producerKey } = coordinator();
      await stage.restart();
      expect(coordinator().producerKey).toEqual(producerKey);
      expect(producerKey).toHaveLength(32);
    });

    it('of producers are never given twice', async () => {
      const ids = await Promise.all(Array.from({ length: 2500 }, () => coordinator().allocateProducerId()));
      await stage.restart();
      ids.push(await coordinator().allocateProducerId());
      expect([new Set(ids).size, Math.min(...ids)]).toEqual([2501, 1]);
    });
  });

  describe(`tokens of ${name}`, () => {
    it('are there after a restart until they are deleted', async () => {
      await coordinator().tokens.put(TOKEN);
      expect(coordinator().tokens.get(TOKEN.id)).toEqual(TOKEN);
      await stage.restart();
      expect(coordinator().tokens.list()).toEqual([TOKEN]);
      expect([
        await coordinator().tokens.delete(TOKEN.id),
        coordinator().tokens.get(TOKEN.id),
        await coordinator().tokens.delete(TOKEN.id),
      ]).toEqual([true, undefined, false]);
    });
  });

  describe(`the cluster of ${name}`, () => {
    it('has this node as a member', () => {
      const { nodeId, cluster } = coordinator();
      expect([cluster.leaseHeld, cluster.nodes().map((node) => node.nodeId)]).toEqual([true, [nodeId]]);
    });

    it('tells what a node says of itself, before that resolves', async () => {
      const changes: NodeChange[] = [];
      coordinator().cluster.watchNodes((change) => changes.push(change));
      await coordinator().cluster.announce({ draining: true });
      expect(changes.map(({ kind, node }) => [kind, node.draining])).toEqual([['altered', true]]);
      expect(coordinator().cluster.nodes()[0]).toEqual(changes[0]!.node);
    });

    it('has the state of a partition that is led, and tells when it goes', async () => {
      const { nodeId, cluster } = coordinator();
      const { id } = await coordinator().createTopic(newTopic('a', 1));
      await stage.lead(id, 0);
      const changes: PartitionChange[] = [];
      cluster.watchPartitions((change) => changes.push(change));
      expect(cluster.partitionStates()).toEqual([cluster.partitionState(id, 0)]);
      expect(await cluster.readPartition(id, 0)).toEqual(cluster.partitionState(id, 0));
      expect(cluster.partitionState(id, 0)!.state).toMatchObject({
        replicas: [nodeId],
        leader: nodeId,
        isr: [nodeId],
      });
      await coordinator().deleteTopic('a');
      expect(changes.map(({ kind, entry }) => [kind, entry.topicId, entry.partition])).toEqual([
        ['removed', id, 0],
      ]);
      expect([cluster.partitionStates(), await cluster.readPartition(id, 0)]).toEqual([[], undefined]);
    });

    it('changes the state of a partition only for who has seen the last one', async () => {
      const { id } = await coordinator().createTopic(newTopic('a', 1));
      await stage.lead(id, 0);
      const { cluster } = coordinator();
      const entry = cluster.partitionState(id, 0)!;
      const stale = await cluster.updatePartition(id, 0, entry.revision + 1, entry.state);
      const fresh = await cluster.updatePartition(id, 0, entry.revision, entry.state);
      expect([stale, fresh.kind]).toEqual([{ kind: 'conflict', current: entry }, 'updated']);
    });

    it('refuses the state of a partition that is not there', async () => {
      const state = { replicas: [], leader: null, leaderEpoch: 0, isr: [] };
      await expect(coordinator().cluster.updatePartition('none', 0, 0, state)).rejects.toThrow(
        coded('TOPIC_NOT_FOUND'),
      );
    });

    it('elects its only node controller, and again after it resigned', async () => {
      const { cluster, nodeId } = coordinator();
      const terms: number[] = [];
      const candidate = { onElected: (term: number) => terms.push(term), onLost: () => undefined };
      const first = cluster.campaign(candidate);
      await eventually('a controller', () => terms.length === 1);
      expect([first.term, cluster.controllerId]).toEqual([terms[0], nodeId]);
      await first.resign();
      expect([first.term, cluster.controllerId]).toEqual([undefined, undefined]);
      cluster.campaign(candidate);
      await eventually('a controller again', () => terms.length === 2);
    });

    it('takes a request to rebalance, which is over once the controller says so', async () => {
      const { cluster } = coordinator();
      const terms: number[] = [];
      cluster.campaign({ onElected: (term) => terms.push(term), onLost: () => undefined });
      await eventually('a controller', () => terms.length === 1);
      await cluster.rebalancing.request();
      await cluster.rebalancing.finish(terms[0]!);
      expect(cluster.rebalancing.isRequested).toBe(false);
      expect(await cluster.rebalancing.finish(terms[0]!)).toBe(false);
    });

    it('has each node stand once', () => {
      const candidate = { onElected: () => undefined, onLost: () => undefined };
      coordinator().cluster.campaign(candidate);
      expect(() => coordinator().cluster.campaign(candidate)).toThrow(TypeError);
    });
  });

  describe(`${name}, closed,`, () => {
    it('changes nothing any more', async () => {
      const closed = coordinator();
      await closed[Symbol.asyncDispose]();
      await expect(closed.createTopic(newTopic('a'))).rejects.toThrow(coded('UNAVAILABLE'));
      await expect(closed.tokens.put(TOKEN)).rejects.toThrow(coded('UNAVAILABLE'));
      await expect(closed.allocateProducerId()).rejects.toThrow(coded('UNAVAILABLE'));
    });

    it('may be closed again', async () => {
      await coordinator()[Symbol.asyncDispose]();
      await coordinator()[Symbol.asyncDispose]();
      expect(coordinator().topics()).toEqual([]);
    });
  });
}

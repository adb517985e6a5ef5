import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONTROLLER_POLICY } from '../../src/controller/policy.ts';
import { reassigned } from '../../src/controller/reassignment.ts';
import type { SluiceError } from '../../src/kernel/errors.ts';
import { nodeIds, nodeOf, topicOf } from './fake-cluster.ts';
import { ControllerStage } from './stage.ts';

const { replaceAfterMs, preferredAfterMs, uncleanAfterMs, retryAfterMs, tickMs } = CONTROLLER_POLICY;

let stage: ControllerStage;
const cluster = (): ControllerStage['cluster'] => stage.cluster;

beforeEach(() => {
  stage = new ControllerStage();
});
afterEach(() => stage[Symbol.asyncDispose]());

/** A controller in charge of four nodes and one topic. */
async function begin(partitions = 8, settings: Parameters<typeof topicOf>[2] = {}, nodes = 4): Promise<void> {
  stage.join(nodes);
  cluster().putTopic(topicOf('t', partitions, settings));
  cluster().elect();
  await stage.pass(100);
}

/** The partition of `t` with this leader. */
function ledBy(nodeId: string): number {
  const found = [...cluster().states.values()].find(({ state }) => state.leader === nodeId);
  return found!.partition;
}

describe('new partitions', () => {
  it('are led in epoch 0 by the first of their replicas, all in sync', async () => {
    await begin();
    expect(cluster().states.size).toBe(8);
    for (const { state } of cluster().states.values()) {
      expect([state.replicas.length, state.leader, state.leaderEpoch]).toEqual([3, state.replicas[0], 0]);
      expect(state.isr).toEqual(state.replicas);
    }
  });

  it('of each topic are led by all nodes alike', async () => {
    await begin(4);
    cluster().putTopic(topicOf('u', 8));
    await stage.pass(100);
    for (const [topic, count] of [
      ['t', 1],
      ['u', 2],
    ] as const) {
      for (const nodeId of nodeIds(4)) {
        const led = [...cluster().states.values()].filter(
          ({ topicId, state }) => topicId === topic && state.leader === nodeId,
        );
        expect(led.length).toBe(count);
      }
    }
  });

  it('are there a moment after their topic is, or has more of them', async () => {
    await begin(1);
    cluster().putTopic(topicOf('t', 3));
    await stage.pass(10, 5);
    expect(cluster().states.size).toBe(3);
  });

  it('are on no node that drains, has no capacity or cannot be reached yet', async () => {
    stage.join(5);
    cluster().put(nodeOf('n000', { draining: true }));
    cluster().put(nodeOf('n001', { capacity: 0 }));
    cluster().put(nodeOf('n002', { peerAddress: null }));
    cluster().putTopic(topicOf('t', 8));
    cluster().elect();
    await stage.pass(100);
    const used = new Set([...cluster().states.values()].flatMap(({ state }) => state.replicas));
    expect([...used].sort()).toEqual(['n003', 'n004']);
  });

  it('wait for the first node, and grow when there are more', async () => {
    stage.isReplicating = false;
    cluster().putTopic(topicOf('t', 2));
    cluster().elect();
    await stage.pass(100);
    expect(cluster().states.size).toBe(0);
    stage.join(1);
    await stage.pass(100);
    stage.join(3);
    await stage.pass(100);
    expect(cluster().state('t', 0)).toMatchObject({ leader: 'n000', leaderEpoch: 0, isr: ['n000'] });
    expect(cluster().state('t', 0).replicas.length).toBe(3);
  });
});

describe('a node that goes', () => {
  it('is followed by another in-sync replica, and out of sync', async () => {
    await begin();
    const partition = ledBy('n001');
    const { replicas } = cluster().state('t', partition);
    cluster().leave('n001');
    await stage.pass(50);
    expect(cluster().state('t', partition)).toEqual({
      replicas,
      leader: replicas[1],
      leaderEpoch: 1,
      isr: replicas.slice(1),
    });
    expect(stage.count(({ isr }) => isr.includes('n001'))).toBe(0);
  });

  it('leads again what it is preferred for, once it has been in sync for a while', async () => {
    await begin();
    const partition = ledBy('n001');
    cluster().leave('n001');
    await stage.pass(1000);
    cluster().put(nodeOf('n001', { session: 'n001-2' }));
    await stage.pass(preferredAfterMs - 2000);
    expect(stage.count(({ leader }) => leader === 'n001')).toBe(0);
    await stage.pass(5000);
    expect(cluster().state('t', partition).leader).toBe('n001');
    expect(stage.isWell).toBe(true);
  });

  it('does not lead again while it comes and goes', async () => {
    await begin();
    for (let count = 0; count < 10; count++) {
      cluster().leave('n001');
      await stage.pass(1000);
      cluster().put(nodeOf('n001', { session: `n001-${count + 2}` }));
      await stage.pass(preferredAfterMs - 5000);
      expect(stage.count(({ leader }) => leader === 'n001')).toBe(0);
    }
  });

  it('does not lead again as soon as it is back, though nothing else has changed for long', async () => {
    await begin(8, { minInsync: 3 });
    cluster().leave('n001');
    await stage.pass(preferredAfterMs);
    cluster().put(nodeOf('n001', { session: 'n001-2' }));
    await stage.pass(preferredAfterMs - 5000);
    expect(stage.count(({ leader }) => leader === 'n001')).toBe(0);
    await stage.pass(10_000);
    expect(stage.isWell).toBe(true);
  });

  it('does not lead again as soon as it is in sync, though it is back for long', async () => {
    await begin(8);
    stage.isReplicating = false;
    cluster().leave('n001');
    await stage.pass(100);
    cluster().put(nodeOf('n001', { session: 'n001-2' }));
    await stage.pass(preferredAfterMs);
    stage.isReplicating = true;
    await stage.pass(preferredAfterMs - 5000);
    expect(stage.count(({ leader }) => leader === 'n001')).toBe(0);
    await stage.pass(10_000);
    expect(stage.isWell).toBe(true);
  });

  it('leads again a few partitions at a time', async () => {
    stage = new ControllerStage({ preferredPerTick: 2 });
    await begin(40);
    const led = stage.count(({ leader }) => leader === 'n001');
    cluster().leave('n001');
    await stage.pass(100);
    cluster().put(nodeOf('n001', { session: 'n001-2' }));
    await stage.pass(preferredAfterMs);
    const before = stage.count(({ leader }) => leader === 'n001');
    await stage.pass(2 * tickMs);
    const after = stage.count(({ leader }) => leader === 'n001');
    expect([led, after - before]).toEqual([10, 4]);
  });

  it('keeps its replicas for a while, and then others take its place, one after the other', async () => {
    await begin(40, {}, 6);
    const had = stage.count(({ replicas }) => replicas.includes('n001'));
    cluster().leave('n001');
    await stage.pass(replaceAfterMs - 2000);
    expect(stage.count(({ replicas }) => replicas.includes('n001'))).toBe(had);
    stage.isReplicating = false;
    await stage.pass(4000);
    for (const nodeId of cluster()
      .nodes()
      .map((node) => node.nodeId)) {
      const copies = stage.count(
        ({ replicas, isr }) => replicas.slice(0, 3).includes(nodeId) && !isr.includes(nodeId),
      );
      expect(copies).toBeLessThanOrEqual(CONTROLLER_POLICY.movesPerNode);
    }
    stage.isReplicating = true;
    await stage.pass(4000);
    expect(stage.count(({ replicas }) => replicas.includes('n001'))).toBe(0);
    expect(stage.count(({ replicas, isr }) => replicas.length === 3 && isr.length === 3)).toBe(40);
  });

  it('has its replicas rebuilt in its zone, no more of them at once than a node may copy', async () => {
    stage.join(6, 3);
    cluster().putTopic(topicOf('t', 60));
    cluster().elect();
    await stage.pass(100);
    cluster().leave('n001');
    await stage.pass(replaceAfterMs - 2000, 500);
    stage.isReplicating = false;
    await stage.pass(5000);
    // The only other node of the zone.
    const copies = stage.count(({ replicas, isr }) => replicas.includes('n004') && !isr.includes('n004'));
    expect(copies).toBe(CONTROLLER_POLICY.movesPerNode);
  });

  it('does not keep others from copying what has a leader', async () => {
    stage.isReplicating = false;
    stage.join(2);
    cluster().putTopic(topicOf('t', 8, { replicationFactor: 2 }));
    cluster().putTopic(topicOf('u', 1, { replicationFactor: 2 }));
    for (let partition = 0; partition < 8; partition++) {
      cluster().write('t', partition, { replicas: ['x', 'n001'], leader: null, leaderEpoch: 1, isr: ['x'] });
    }
    cluster().write('u', 0, { replicas: ['n000'], leader: 'n000', leaderEpoch: 1, isr: ['n000'] });
    cluster().elect();
    await stage.pass(100);
    expect(cluster().state('u', 0).replicas).toEqual(['n000', 'n001']);
  });

  it('stays a replica where there is no other node to take its place', async () => {
    await begin(4, {}, 3);
    cluster().leave('n001');
    await stage.pass(replaceAfterMs + 5000, 500);
    expect(stage.count(({ replicas }) => replicas.includes('n001'))).toBe(4);
  });

  it('stays in sync where it was the last one, and leads again when it is back', async () => {
    await begin(1, { replicationFactor: 1 });
    const { leader } = cluster().state('t', 0);
    cluster().leave(leader!);
    await stage.pass(uncleanAfterMs + replaceAfterMs + 5000, 500);
    expect(cluster().state('t', 0)).toEqual({
      replicas: [leader],
      leader: null,
      leaderEpoch: 0,
      isr: [leader],
    });
    cluster().put(nodeOf(leader!, { session: 'again' }));
    await stage.pass(50);
    expect(cluster().state('t', 0)).toMatchObject({ leader, leaderEpoch: 1 });
  });

  it('does not lead before other nodes can reach it again', async () => {
    await begin(1, { replicationFactor: 1 });
    const { leader } = cluster().state('t', 0);
    cluster().leave(leader!);
    cluster().put(nodeOf(leader!, { session: 'again', peerAddress: null }));
    await stage.pass(100);
    expect(cluster().state('t', 0).leader).toBeNull();
    cluster().put(nodeOf(leader!, { session: 'again' }));
    await stage.pass(100);
    expect(cluster().state('t', 0).leader).toBe(leader);
  });

  it('and was the last one in sync is replaced by another after a while, where the topic allows it', async () => {
    stage.isReplicating = false;
    await begin(1, { uncleanElection: true });
    const { replicas } = cluster().state('t', 0);
    cluster().write('t', 0, { ...cluster().state('t', 0), isr: [replicas[0]!] });
    cluster().leave(replicas[0]!);
    await stage.pass(uncleanAfterMs - 1000);
    expect(cluster().state('t', 0).leader).toBeNull();
    await stage.pass(1000 + 2 * tickMs);
    expect(cluster().state('t', 0)).toMatchObject({ leader: replicas[1], isr: [replicas[1]] });
  });

  it('and comes back at once has lost what it had in memory: another one leads', async () => {
    stage.isReplicating = false;
    await begin(8, { storage: 'memory' });
    cluster().putTopic(topicOf('u', 8));
    await stage.pass(100);
    cluster().leave('n001');
    cluster().put(nodeOf('n001', { session: 'n001-2' }));
    await stage.pass(100);
    for (const { topicId, state } of cluster().states.values()) {
      if (!state.replicas.includes('n001')) continue;
      expect(state.isr.includes('n001')).toBe(topicId === 'u');
      if (topicId === 't') expect(state.leader).not.toBe('n001');
    }
  });

  it('is taken out of sync once, and not again while it stays away', async () => {
    stage.isReplicating = false;
    await begin(1);
    const { replicas } = cluster().state('t', 0);
    cluster().leave(replicas[1]!);
    await stage.pass(100);
    expect(cluster().state('t', 0).isr).not.toContain(replicas[1]);
    cluster().write('t', 0, { ...cluster().state('t', 0), isr: replicas });
    await stage.pass(5000);
    expect(cluster().state('t', 0).isr).toContain(replicas[1]);
  });
});

describe('a leader that gives leadership back', () => {
  it('is named again after a while only', async () => {
    await begin(1, { replicationFactor: 1 });
    const state = cluster().state('t', 0);
    cluster().leave(state.leader!);
    await stage.pass(100);
    cluster().put(nodeOf(state.leader!, { session: 'again' }));
    await stage.pass(100);
    cluster().changes.length = 0;
    cluster().write('t', 0, { ...cluster().state('t', 0), leader: null });
    await stage.pass(CONTROLLER_POLICY.renameAfterMs - 1000);
    expect(cluster().changes.length).toBe(0);
    await stage.pass(3000);
    expect(cluster().state('t', 0).leader).toBe(state.leader);
  });
});

describe('a node that drains', () => {
  it('hands over all that it leads to in-sync replicas, and gets it back when it stays', async () => {
    await begin(16);
    cluster().put(nodeOf('n001', { draining: true }));
    await stage.pass(50);
    expect(stage.count(({ leader }) => leader === 'n001')).toBe(0);
    expect(stage.count(({ leader, isr }) => leader !== null && isr.includes(leader))).toBe(16);
    const moved = stage.count(({ replicas }) => replicas[0] === 'n001');
    expect(cluster().changes.length).toBe(16 + moved);
    cluster().put(nodeOf('n001'));
    await stage.pass(preferredAfterMs + 5000);
    expect(stage.count(({ leader }) => leader === 'n001')).toBe(moved);
  });

  it('keeps what nobody else is in sync with', async () => {
    stage.isReplicating = false;
    await begin(1);
    const { leader } = cluster().state('t', 0);
    cluster().write('t', 0, { ...cluster().state('t', 0), isr: [leader!] });
    cluster().put(nodeOf(leader!, { draining: true }));
    await stage.pass(2000);
    expect(cluster().state('t', 0).leader).toBe(leader);
  });
});

describe('the number of replicas', () => {
  it('grows with the setting', async () => {
    await begin(8, { replicationFactor: 1, minInsync: 1 });
    cluster().putTopic(topicOf('t', 8));
    await stage.pass(2000);
    expect(stage.count(({ replicas, isr }) => replicas.length === 3 && isr.length === 3)).toBe(8);
    expect(stage.count(({ leaderEpoch }) => leaderEpoch > 0)).toBe(0);
  });

  it('falls with the setting, the preferred leader stays', async () => {
    await begin(8);
    const before = stage.look();
    cluster().putTopic(topicOf('t', 8, { replicationFactor: 2 }));
    await stage.pass(1000);
    for (const [key, { state }] of cluster().states) {
      expect(state.replicas).toEqual(before.get(key)!.replicas.slice(0, 2));
      expect([state.isr.length, state.leader]).toEqual([2, before.get(key)!.leader]);
    }
  });
});

describe('a reassignment', () => {
  it('adds replicas, waits until they are in sync, then lets the others and their leadership go', async () => {
    stage.isReplicating = false;
    await begin(1, {}, 6);
    const before = cluster().state('t', 0);
    const wanted = nodeIds(6).filter((id) => !before.replicas.includes(id));
    cluster().write('t', 0, reassigned(before, wanted, 3));
    await stage.pass(5000);
    expect(cluster().state('t', 0)).toMatchObject({ leader: before.leader, isr: before.isr });
    expect(cluster().state('t', 0).replicas).toEqual([...wanted, ...before.replicas]);
    const { isr } = cluster().state('t', 0);
    cluster().write('t', 0, { ...cluster().state('t', 0), isr: [...isr, wanted[0]!, wanted[1]!] });
    await stage.pass(1000);
    expect(cluster().state('t', 0).replicas.length).toBe(6);
    stage.isReplicating = true;
    await stage.pass(1000);
    expect(cluster().state('t', 0)).toEqual({
      replicas: wanted,
      leader: wanted[0],
      leaderEpoch: 1,
      isr: wanted,
    });
  });

  it('goes on under another controller', async () => {
    stage.isReplicating = false;
    await begin(1, {}, 4);
    const before = cluster().state('t', 0);
    const added = nodeIds(4).find((id) => !before.replicas.includes(id))!;
    const wanted = [...before.replicas.slice(0, 2), added];
    cluster().write('t', 0, reassigned(before, wanted, 3));
    await stage.pass(100);
    cluster().depose();
    stage.isReplicating = true;
    await stage.pass(100);
    expect(cluster().state('t', 0).replicas.length).toBe(4);
    cluster().elect();
    await stage.pass(100);
    expect(cluster().state('t', 0).replicas).toEqual(wanted);
  });

  it('names as many nodes as there are replicas, each once', () => {
    const state = { replicas: ['a', 'b'], leader: 'a', leaderEpoch: 1, isr: ['a'] };
    const coded = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error;
    expect(() => reassigned(state, ['a'], 2)).toThrow(coded);
    expect(() => reassigned(state, ['a', 'a'], 2)).toThrow(coded);
  });
});

describe('a rebalance', () => {
  it('empties a node that drains, and is over then', async () => {
    await begin(16, {}, 5);
    cluster().put(nodeOf('n001', { draining: true }));
    await cluster().rebalancing.request();
    await stage.pass(5000);
    expect(stage.count(({ replicas }) => replicas.includes('n001'))).toBe(0);
    expect(stage.count(({ isr, replicas }) => isr.length === 3 && replicas.length === 3)).toBe(16);
    expect(cluster().rebalancing.isRequested).toBe(false);
    expect(stage.events.at(-1)).toBe('rebalanced');
  });

  it('moves a few of the partitions of each leader at once', async () => {
    await begin(60, { replicationFactor: 1, minInsync: 1 }, 1);
    stage.join(20, 0, 1);
    stage.isReplicating = false;
    await cluster().rebalancing.request();
    await stage.pass(5000);
    expect(stage.count(({ replicas }) => replicas.length > 1)).toBe(CONTROLLER_POLICY.movesPerNode);
  });

  it('is not over while its last move is not answered', async () => {
    await begin(1, {}, 4);
    const { replicas } = cluster().state('t', 0);
    let release = (): void => undefined;
    cluster().hold = new Promise((resolve) => (release = resolve));
    cluster().put(nodeOf(replicas[2]!, { draining: true }));
    await cluster().rebalancing.request();
    await stage.pass(3 * tickMs);
    expect([cluster().underWay, cluster().rebalancing.isRequested]).toEqual([1, true]);
    release();
    await stage.pass(tickMs);
    expect(cluster().state('t', 0).replicas).not.toContain(replicas[2]);
    expect(cluster().rebalancing.isRequested).toBe(false);
  });

  it('waits for a node that is away for a moment', async () => {
    await begin(16, {}, 5);
    stage.join(1, 0, 5);
    cluster().leave('n001');
    const before = stage.look();
    await cluster().rebalancing.request();
    await stage.pass(5000);
    for (const [key, { state }] of cluster().states)
      expect(state.replicas).toEqual(before.get(key)!.replicas);
    cluster().put(nodeOf('n001'));
    await stage.pass(10_000);
    expect(stage.count(({ replicas }) => replicas.includes('n005'))).toBeGreaterThan(0);
    expect(cluster().rebalancing.isRequested).toBe(false);
  });

  it('that was asked for while there was no controller is done by the next one', async () => {
    await begin(16, {}, 5);
    cluster().depose();
    stage.join(1, 0, 5);
    await cluster().rebalancing.request();
    await stage.pass(5000);
    expect(cluster().rebalancing.isRequested).toBe(true);
    cluster().elect();
    await stage.pass(10_000);
    expect(cluster().rebalancing.isRequested).toBe(false);
    expect(stage.count(({ replicas }) => replicas.includes('n005'))).toBeGreaterThan(0);
  });
});

describe('a controller', () => {
  it('does nothing before it is elected', async () => {
    stage.join(4);
    cluster().putTopic(topicOf('t', 8));
    await stage.pass(5000);
    expect([cluster().changes.length, stage.controller.term]).toEqual([0, undefined]);
  });

  it('begins nothing more once it has lost', async () => {
    stage.join(4);
    cluster().putTopic(topicOf('t', 500));
    let release = (): void => undefined;
    cluster().hold = new Promise((resolve) => (release = resolve));
    cluster().elect();
    await stage.pass(100);
    expect(cluster().underWay).toBe(CONTROLLER_POLICY.updatesAtOnce);
    cluster().depose();
    release();
    await stage.pass(5000);
    expect([cluster().asked, stage.controller.counters.conflicts]).toEqual([
      CONTROLLER_POLICY.updatesAtOnce,
      0,
    ]);
    expect([cluster().states.size, stage.controller.term, stage.events.at(-1)]).toEqual([
      0,
      undefined,
      'lost',
    ]);
  });

  it('that does not know that it has lost changes nothing', async () => {
    await begin();
    cluster().depose(false);
    cluster().leave('n001');
    const before = stage.look();
    stage.isReplicating = false;
    await stage.pass(2000);
    expect(stage.look()).toEqual(before);
    expect(stage.controller.counters.conflicts).toBeGreaterThan(0);
  });

  it('does not ask for what somebody else was faster with', async () => {
    await begin(200);
    let release = (): void => undefined;
    cluster().hold = new Promise((resolve) => (release = resolve));
    cluster().leave('n001');
    await stage.pass(25);
    for (const { topicId, partition, state } of [...cluster().states.values()]) {
      cluster().write(topicId, partition, { ...state, leaderEpoch: state.leaderEpoch + 1 });
    }
    release();
    await stage.pass(1000);
    expect(stage.controller.counters.conflicts).toBe(CONTROLLER_POLICY.updatesAtOnce);
    expect(stage.count(({ leader, isr }) => leader === 'n001' || isr.includes('n001'))).toBe(0);
  });

  it('plans again what somebody else was faster with', async () => {
    await begin(1);
    const before = cluster().state('t', 0);
    let release = (): void => undefined;
    cluster().hold = new Promise((resolve) => (release = resolve));
    cluster().leave(before.leader!);
    await stage.pass(25);
    cluster().write('t', 0, { ...before, isr: [before.replicas[0]!, before.replicas[2]!] });
    cluster().hold = Promise.resolve();
    stage.isReplicating = false;
    release();
    await stage.pass(200);
    // Two have to be in sync, so the one that is gone stays.
    const isr = [before.replicas[0], before.replicas[2]];
    expect(cluster().state('t', 0)).toMatchObject({ leader: before.replicas[2], isr });
  });

  it('tries again after a while what failed, and does the rest meanwhile', async () => {
    const failures: string[] = [];
    stage = new ControllerStage(
      {},
      {
        onFailed: (update, { code }: SluiceError) => failures.push(`${update!.key} ${code}`),
      },
    );
    cluster().fate = (key) => (key === 't/3' ? 'lost' : 'done');
    await begin();
    expect([cluster().states.size, failures]).toEqual([7, ['t/3 TIMEOUT']]);
    await stage.pass(retryAfterMs - 200);
    expect(failures.length).toBe(1);
    cluster().fate = () => 'done';
    await stage.pass(400);
    expect(cluster().states.size).toBe(8);
  });

  it('forgets a topic that is deleted, and begins anew with one of its name', async () => {
    await begin();
    for (const key of [...cluster().states.keys()]) cluster().remove(key);
    cluster().removeTopic('t');
    await stage.pass(100);
    expect(cluster().states.size).toBe(0);
    cluster().putTopic(topicOf('t', 2));
    await stage.pass(100);
    expect(cluster().states.size).toBe(2);
  });

  it('counts what it does, by why', async () => {
    await begin();
    cluster().leave('n001');
    await stage.pass(100);
    const { updates, elections, plans } = stage.controller.counters;
    expect([elections, updates.created, plans > 0]).toEqual([1, 8, true]);
    expect(updates.elected + updates.expelled).toBe(cluster().changes.length - 8);
  });

  it('leaves nobody behind that it listened to', async () => {
    await begin();
    await stage[Symbol.asyncDispose]();
    expect([cluster().watchers, stage.clock.pendingTimers]).toEqual([0, 0]);
  });
});

import type { PartitionState } from '../../src/coordination/cluster.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONTROLLER_POLICY } from '../../src/controller/policy.ts';
import { nodeIds, nodeOf, topicOf } from './fake-cluster.ts';
import { ControllerStage, difference } from './stage.ts';

const NODES = 100;
const TOPICS = 20;
const PARTITIONS_EACH = 500;
const PARTITIONS = TOPICS * PARTITIONS_EACH;
const REPLICAS = 3;
const { preferredAfterMs, preferredPerTick, movesPerNode } = CONTROLLER_POLICY;
/** Shorter than usual, so that less time has to pass. */
const REPLACE_AFTER_MS = 60_000;
const TIMEOUT_MS = 120_000;

let stage: ControllerStage;

/** How many partitions have each node among their replicas, or as leader. */
function loads(of: 'replicas' | 'leader'): number[] {
  const counts = new Map(stage.cluster.nodes().map(({ nodeId }) => [nodeId, 0]));
  for (const { state } of stage.cluster.states.values()) {
    const ids = of === 'leader' ? [state.leader ?? '-'] : state.replicas;
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return [...counts.values()];
}

/** Lets time pass until everything is as it should be. @returns milliseconds that took */
async function passUntil(isDone: () => boolean, momentMs: number): Promise<number> {
  for (let tookMs = 0; tookMs < 3_600_000; tookMs += momentMs) {
    if (isDone()) return tookMs;
    await stage.pass(momentMs, momentMs);
  }
  throw new Error('it does not come to rest');
}

describe('100 nodes in three zones with 10,000 partitions', { timeout: TIMEOUT_MS }, () => {
  beforeEach(async () => {
    stage = new ControllerStage({ replaceAfterMs: REPLACE_AFTER_MS });
    stage.join(NODES, 3);
    for (let topic = 0; topic < TOPICS; topic++)
      stage.cluster.putTopic(topicOf(`t${topic}`, PARTITIONS_EACH));
    stage.cluster.elect();
    await stage.pass(200, 50);
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('are placed in one go, each partition in all zones, the leaders even', () => {
    expect(stage.cluster.changes.length).toBe(PARTITIONS);
    expect(stage.cluster.mostUnderWay).toBe(CONTROLLER_POLICY.updatesAtOnce);
    const zone = new Map(stage.cluster.nodes().map((node) => [node.nodeId, node.zone]));
    expect(stage.count(({ replicas }) => new Set(replicas.map((id) => zone.get(id))).size === 3)).toBe(
      PARTITIONS,
    );
    expect(Math.max(...loads('leader')) - Math.min(...loads('leader'))).toBeLessThanOrEqual(12);
  });

  it('rest, when nothing happens', async () => {
    await stage.pass(60_000, 1000);
    expect(stage.cluster.changes.length).toBe(PARTITIONS);
  });

  it('lose a third of the nodes and get it back: each partition is changed no more than it must', async () => {
    const before = stage.look();
    const gone = nodeIds(NODES / 3);
    const hit = [...before.values()].filter(({ replicas }) =>
      replicas.some((id) => gone.includes(id)),
    ).length;
    const leaderless = stage.count(({ leader }) => gone.includes(leader!));
    stage.cluster.changes.length = 0;
    for (const id of gone) stage.cluster.leave(id);
    await stage.pass(100, 50);
    // One change for each partition that had a replica there, whether it leads or follows.
    expect(stage.cluster.changes.length).toBe(hit);
    const after = stage.look();
    expect(difference(before, after)).toEqual({ added: 0, removed: 0, led: leaderless });
    const hasAll = [...before].filter(([, { replicas }]) => replicas.every((id) => gone.includes(id))).length;
    expect(stage.count(({ leader }) => leader === null)).toBe(hasAll);

    stage.cluster.changes.length = 0;
    for (const id of gone)
      stage.cluster.put(nodeOf(id, { session: 'again', zone: `z${Number(id.slice(1)) % 3}` }));
    await stage.pass(1000, 50);
    // Only those that had nobody left.
    expect(stage.cluster.changes.length).toBe(hasAll);
    const tookMs = await passUntil(() => stage.isWell, 1000);
    expect(tookMs).toBeLessThan(preferredAfterMs + (1000 * leaderless) / preferredPerTick + 5000);
    expect(stage.cluster.changes.length).toBeLessThanOrEqual(leaderless + hasAll);
    expect(difference(before, stage.look())).toEqual({ added: 0, removed: 0, led: 0 });
  });

  it('lose ten nodes for good: what they had is rebuilt, and nothing else moves', async () => {
    const before = stage.look();
    const gone = nodeIds(10, 40);
    const lostOf = [...before.values()].map(
      ({ replicas }) => replicas.filter((id) => gone.includes(id)).length,
    );
    // Of those that were nowhere else nothing can be rebuilt: they wait for one of the nodes.
    const nowhereElse = lostOf.filter((count) => count === REPLICAS).length;
    const share = lostOf.reduce((sum, count) => sum + (count < REPLICAS ? count : 0), 0);
    for (const id of gone) stage.cluster.leave(id);
    await stage.pass(REPLACE_AFTER_MS - 1000, 10_000);
    expect(difference(before, stage.look()).added).toBe(0);
    const isRebuilt = ({ isr, leader }: PartitionState): boolean =>
      isr.length === REPLICAS && (leader === null || !isr.some((id) => gone.includes(id)));
    await passUntil(() => stage.count(isRebuilt) === PARTITIONS, 500);
    await stage.pass(1000);
    const { added, removed } = difference(before, stage.look());
    expect([added, removed]).toEqual([share, share]);
    expect(stage.count(({ replicas }) => replicas.length !== REPLICAS)).toBe(0);
    expect(stage.count(({ leader }) => leader === null)).toBe(nowhereElse);
  });

  it('get ten more nodes: nothing moves by itself, a rebalance moves their share, a few at a time', async () => {
    const before = stage.look();
    const added = nodeIds(10, NODES);
    stage.join(10, 3, NODES);
    await stage.pass(5000, 1000);
    expect(difference(before, stage.look())).toEqual({ added: 0, removed: 0, led: 0 });

    let mostAtOnce = 0;
    stage.onMoment = () => {
      const atOnce = new Map(added.map((id) => [id, 0]));
      for (const { state } of stage.cluster.states.values()) {
        for (const id of state.replicas.slice(0, REPLICAS)) {
          const before = atOnce.get(id);
          if (before !== undefined && !state.isr.includes(id)) atOnce.set(id, before + 1);
        }
      }
      mostAtOnce = Math.max(mostAtOnce, ...atOnce.values());
    };
    stage.isReplicating = false;
    await stage.cluster.rebalancing.request();
    await stage.pass(2000, 500);
    expect(mostAtOnce).toBe(movesPerNode);
    stage.isReplicating = true;
    await passUntil(() => !stage.cluster.rebalancing.isRequested, 100);
    const after = stage.look();
    const { added: moved, removed } = difference(before, after);
    const fair = (PARTITIONS * REPLICAS * 10) / (NODES + 10);
    expect(moved).toBe(removed);
    expect(moved).toBeGreaterThan(0.9 * fair);
    expect(moved).toBeLessThan(1.1 * fair);
    for (const [key, { replicas }] of after) {
      const fresh = replicas.filter((id) => !before.get(key)!.replicas.includes(id));
      expect(fresh.every((id) => added.includes(id))).toBe(true);
    }
    await passUntil(() => stage.isWell, 1000);
    expect(Math.max(...loads('leader')) - Math.min(...loads('leader'))).toBeLessThanOrEqual(12);

    // Another one finds nothing to do.
    stage.cluster.changes.length = 0;
    await stage.cluster.rebalancing.request();
    await passUntil(() => !stage.cluster.rebalancing.isRequested, 100);
    expect(stage.cluster.changes.length).toBe(0);
  });
});

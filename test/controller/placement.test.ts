import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlacementNode } from '../../src/controller/placement.ts';
import { Placement } from '../../src/controller/placement.ts';
import { nodeIds } from './fake-cluster.ts';

const REPLICAS = 3;

function nodes(count: number, zones = 0): PlacementNode[] {
  return nodeIds(count).map((nodeId, at) => ({
    nodeId,
    zone: zones > 0 ? `z${at % zones}` : '',
    capacity: 1,
  }));
}

/** Where the first `partitions` of a topic are. */
function placed(on: readonly PlacementNode[], partitions: number, count = REPLICAS): string[][] {
  const placement = new Placement(on);
  return Array.from({ length: partitions }, (_, partition) => placement.choose('t', partition, { count }));
}

function replicasOf(places: readonly (readonly string[])[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of places.flat()) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

const aCluster = fc.uniqueArray(
  fc.record({
    nodeId: fc.string({ minLength: 1, maxLength: 8 }),
    zone: fc.constantFrom('', 'a', 'b', 'c', 'd'),
    capacity: fc.constantFrom(0, 0.5, 1, 1, 1, 4),
  }),
  { minLength: 1, maxLength: 12, selector: ({ nodeId }) => nodeId },
);
const need = { topicId: fc.uuid(), partition: fc.nat(1000), count: fc.integer({ min: 1, max: 5 }) };

describe('placement', () => {
  it('gives each partition different nodes, as many as wanted or as there are', () => {
    fc.assert(
      fc.property(aCluster, fc.record(need), (on, { topicId, partition, count }) => {
        const chosen = new Placement(on).choose(topicId, partition, { count });
        const able = on.filter(({ capacity }) => capacity > 0);
        expect(new Set(chosen).size).toBe(Math.min(count, able.length));
        expect(chosen.every((id) => able.some(({ nodeId }) => nodeId === id))).toBe(true);
      }),
    );
  });

  it('depends on which nodes there are and not on their order', () => {
    fc.assert(
      fc.property(aCluster, fc.record(need), (on, { topicId, partition, count }) => {
        const chosen = new Placement(on).choose(topicId, partition, { count });
        expect(new Placement(on.toReversed()).choose(topicId, partition, { count })).toEqual(chosen);
      }),
    );
  });

  it('uses no zone a second time while another has not been used so often', () => {
    fc.assert(
      fc.property(aCluster, fc.record(need), (on, { topicId, partition, count }) => {
        const zoned = on
          .filter(({ capacity }) => capacity > 0)
          .map((node) => ({ ...node, zone: node.zone || 'e' }));
        const chosen = new Placement(zoned).choose(topicId, partition, { count });
        const used = (zone: string): number =>
          zoned.filter((node) => node.zone === zone && chosen.includes(node.nodeId)).length;
        for (const { nodeId, zone } of zoned) {
          // A zone with a node to spare is not behind any other by more than one.
          if (chosen.includes(nodeId)) continue;
          for (const other of zoned) expect(used(other.zone) - used(zone)).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  it('changes at most one replica of a partition for a node that comes or goes', () => {
    fc.assert(
      fc.property(aCluster, fc.record(need), (on, { topicId, partition, count }) => {
        const [moved, ...others] = on;
        const without = new Placement(others).choose(topicId, partition, { count });
        const withIt = new Placement(on).choose(topicId, partition, { count });
        const added = withIt.filter((id) => !without.includes(id));
        expect(added.every((id) => id === moved!.nodeId)).toBe(true);
        const isChosen = withIt.includes(moved!.nodeId);
        const removed = without.filter((id) => !withIt.includes(id)).length;
        expect(removed).toBeLessThanOrEqual(isChosen ? 1 : 0);
      }),
      { numRuns: 1000 },
    );
  });

  it('adds one more replica without another choice for those before', () => {
    fc.assert(
      fc.property(aCluster, fc.record(need), (on, { topicId, partition, count }) => {
        const placement = new Placement(on);
        const more = placement.choose(topicId, partition, { count: count + 1 });
        expect(more.slice(0, count)).toEqual(placement.choose(topicId, partition, { count }));
      }),
    );
  });

  it('takes the best node that is not taken, in a zone where nothing is that stays', () => {
    const on = nodes(9, 3);
    const placement = new Placement(on);
    for (let partition = 0; partition < 50; partition++) {
      const [first, second, third] = placement.choose('t', partition, { count: 3 });
      const zone = (id: string): string => on.find(({ nodeId }) => nodeId === id)!.zone;
      const [instead] = placement.choose('t', partition, {
        count: 1,
        taken: [first!, second!, third!],
        zones: [zone(first!), zone(third!)],
      });
      expect(zone(instead!)).toBe(zone(second!));
      expect(instead).not.toBe(second);
    }
  });

  it('moves the share of a node that comes, from all others alike', () => {
    const before = placed(nodes(10), 3000);
    const after = placed(nodes(11), 3000);
    const moved = after.flatMap((now, at) => before[at]!.filter((id) => !now.includes(id)));
    const fair = (3000 * REPLICAS) / 11;
    expect(moved.length).toBeGreaterThan(0.9 * fair);
    expect(moved.length).toBeLessThan(1.1 * fair);
    for (const lost of replicasOf([moved]).values()) expect(lost).toBeLessThan((2 * fair) / 10);
  });

  it('gives nodes their share by capacity', () => {
    const on = nodes(20).map((node, at) => ({ ...node, capacity: at < 10 ? 1 : 3 }));
    const counts = replicasOf(placed(on, 8000, 1));
    const sum = (from: number): number =>
      nodeIds(10, from).reduce((total, id) => total + (counts.get(id) ?? 0), 0);
    expect(sum(10) / sum(0)).toBeGreaterThan(2.8);
    expect(sum(10) / sum(0)).toBeLessThan(3.2);
  });

  it('loads 100 nodes evenly with 10,000 partitions', () => {
    const counts = [...replicasOf(placed(nodes(100, 3), 10_000)).values()];
    // 34 nodes share a zone in one case and 33 in two; three standard deviations and a half of 300.
    expect(Math.min(...counts)).toBeGreaterThan(235);
    expect(Math.max(...counts)).toBeLessThan(365);
  });
});

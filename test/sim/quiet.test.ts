/** A topic that nobody publishes to: nothing but the nodes themselves brings its copies in sync again after faults. */
import { describe, expect, it } from 'vitest';
import { FAULTS } from './nemesis.ts';
import { QuietCluster } from './quiet-cluster.ts';

const SEEDS = 40;
const FAULTS_MS = 12_000;
/** From the end of all faults until all copies are in sync. */
const SYNC_MS = 120_000;
/** After this long each partition is led by whom it prefers, and nothing else is left to do. */
const SETTLED_MS = 60_000;
/** Longer than anything waits before it is tried again. */
const QUIET_MS = 60_000;

/** @returns changes of states that go on although there is nothing left to change */
async function changesAtRest(cluster: QuietCluster): Promise<number> {
  await cluster.pass(SETTLED_MS);
  const { changes } = cluster;
  await cluster.pass(QUIET_MS);
  return cluster.changes - changes;
}

describe('a topic that nobody publishes to is in sync again, and stays so,', () => {
  // The only copy that was in sync must not be lost with its disk: then it waits for people.
  const survivable = FAULTS.filter((fault) => fault !== 'destroy');

  it.each(['memory', 'disk'] as const)(`after any faults (in %s, ${SEEDS} seeds)`, async (storage) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const cluster = new QuietCluster({ nodes: 3, partitions: 12, storage, seed });
      await Promise.resolve();
      cluster.start();
      await cluster.until(() => cluster.isInSync, SYNC_MS);
      await cluster.trouble(survivable, FAULTS_MS);
      await cluster.until(() => cluster.isInSync, SYNC_MS).catch(() => undefined);
      const changes = await changesAtRest(cluster);
      expect([seed, cluster.isInSync, changes]).toEqual([seed, true, 0]);
    }
  });

  it('when all nodes have lost their memory at once', async () => {
    const cluster = new QuietCluster({ nodes: 3, partitions: 60 });
    await Promise.resolve();
    cluster.start();
    await cluster.until(() => cluster.isInSync, SYNC_MS);
    const epochs = new Map([...cluster.states].map(([id, { leaderEpoch }]) => [id, leaderEpoch]));
    for (const node of cluster.servers) node.crash('destroy');
    for (const node of cluster.servers) node.start();
    await cluster.until(() => cluster.isLed(undefined, epochs), SYNC_MS);
    const changes = await changesAtRest(cluster);
    expect([cluster.isInSync, changes]).toEqual([true, 0]);
  });
});

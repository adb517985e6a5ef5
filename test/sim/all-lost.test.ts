/** Topics in memory after every node has lost everything: promises end there, but not the topics. */
import { expect, it } from 'vitest';
import { QuietCluster } from './quiet-cluster.ts';

const PARTITIONS = 60;
/** After this long each partition is led by whom it prefers, and nothing else is left to do. */
const SETTLED_MS = 60_000;
/** Longer than anything waits before it is tried again. */
const QUIET_MS = 60_000;

it('a topic that nobody publishes to is in sync again, and stays so, when all nodes have lost their memory at once', async () => {
  const cluster = new QuietCluster(3, PARTITIONS);
  await Promise.resolve();
  cluster.start();
  await cluster.until(() => cluster.isInSync, 60_000);
  const epochs = new Map([...cluster.states].map(([id, { leaderEpoch }]) => [id, leaderEpoch]));
  for (const node of cluster.servers) node.crash('destroy');
  for (const node of cluster.servers) node.start();
  await cluster.until(() => cluster.isLed(undefined, epochs) && cluster.isInSync, 60_000);
  await cluster.pass(SETTLED_MS);
  const { changes } = cluster;
  await cluster.pass(QUIET_MS);
  expect([cluster.isInSync, cluster.changes - changes]).toEqual([true, 0]);
});

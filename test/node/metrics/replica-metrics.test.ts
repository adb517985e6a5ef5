import { expect, it } from 'vitest';
import type { ShownPartition } from '../../../src/node/metrics/replica-metrics.ts';
import { registerReplicas } from '../../../src/node/metrics/replica-metrics.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { CasCluster } from '../../partition/cas-cluster.ts';
import { idlePartition, leadershipOf } from '../../partition/fixture.ts';
import { batchOf } from '../../support/batch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeCluster, member } from '../fake-cluster.ts';
import { shown } from './shown.ts';

const clock = new FakeClock();
const replicas = ['a', 'b', 'c'];

/** A partition that is led here with so many records, of which `b` has 2 and `c` nothing. */
function ledBy(isr: readonly string[], records: number) {
  const partition = idlePartition({ clock });
  const cluster = new CasCluster({ replicas, leader: 'a', leaderEpoch: 1, isr });
  partition.lead(leadershipOf(1, { replicas, isr, cluster, minInsync: 2 }));
  for (let n = 0; n < records; n++) partition.append(batchOf(1));
  partition.reportFollower('b', 2, 0);
  return partition;
}

it('of replicas show roles, what is behind, and what is offline', async () => {
  const following = idlePartition();
  following.follow(1);
  const partitions: ShownPartition[] = [ledBy(replicas, 5), ledBy(['a'], 2), following, idlePartition()];
  const cluster = new FakeCluster([member('a'), member('b')]);
  cluster.leaders = ['a', 'b', null, 'gone'];
  const metrics = createMetrics();
  registerReplicas(metrics, {
    coordinator: { cluster: cluster as never },
    partitions: () => partitions,
    insync: { shrinks: 3, expands: 2 },
  });
  clock.advance(1500);
  expect(await shown(metrics)).toEqual([
    'replicas{role="leader"} 2',
    'replicas{role="follower"} 1',
    'replicas{role="idle"} 1',
    'cluster_partitions_offline 2',
    'partitions_under_replicated 1',
    'partitions_under_min_insync 1',
    'insync_shrinks_total 3',
    'insync_expands_total 2',
    'replica_lag_records{follower="b"} 3',
    'replica_lag_records{follower="c"} 5',
    'replica_lag_seconds{follower="b"} 1.5',
    'replica_lag_seconds{follower="c"} 1.5',
  ]);
});

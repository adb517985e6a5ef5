import type { Coordinator } from '../../coordination/coordinator.ts';
import type { Partition } from '../../partition/partition.ts';
import type { Metrics, Sample } from '../../telemetry/metrics.ts';
import type { InsyncWatch } from '../insync-watch.ts';

/** A partition as its metrics need it. */
export type ShownPartition = Pick<Partition, 'role' | 'isr' | 'replicas' | 'followers' | 'refusal'>;

/** What is shown of replicas. */
export interface ReplicaSources {
  readonly coordinator: Pick<Coordinator, 'cluster'>;
  /** Those that are open here. */
  readonly partitions: () => Iterable<ShownPartition>;
  readonly insync: Pick<InsyncWatch, 'shrinks' | 'expands'>;
}

const ROLES = ['leader', 'follower', 'idle'] as const;

/** What this node is to the partitions it has, and how those that it leads are doing. */
export function registerReplicas(metrics: Metrics, sources: ReplicaSources): void {
  const { coordinator, partitions, insync } = sources;
  metrics.gaugesFrom('sluice_replicas', 'Partitions that this node has, by its role.', ['role'], () =>
    countRoles(partitions()),
  );
  metrics.gaugeFrom(
    'sluice_cluster_partitions_offline',
    'Partitions of the cluster that nobody leads, as this node sees it.',
    () => countOffline(coordinator.cluster),
  );
  metrics.gaugeFrom(
    'sluice_partitions_under_replicated',
    'Partitions led here with fewer replicas in sync than there should be.',
    () => count(partitions(), (one) => one.isr.length < one.replicas.length),
  );
  metrics.gaugeFrom(
    'sluice_partitions_under_min_insync',
    'Partitions led here with so few replicas in sync that publishes with acks all are refused.',
    () => count(partitions(), (one) => one.refusal(2)?.code === 'NOT_ENOUGH_REPLICAS'),
  );
  metrics.counterFrom(
    'sluice_insync_shrinks_total',
    'Times that replicas left the in-sync ones of a partition led here.',
    () => insync.shrinks,
  );
  metrics.counterFrom(
    'sluice_insync_expands_total',
    'Times that replicas joined the in-sync ones of a partition led here.',
    () => insync.expands,
  );
  registerLagOfReplicas(metrics, partitions);
}

function registerLagOfReplicas(metrics: Metrics, partitions: ReplicaSources['partitions']): void {
  metrics.gaugesFrom(
    'sluice_replica_lag_records',
    'Records that a follower lacks of the partition led here in which it is furthest behind.',
    ['follower'],
    () => furthestBehind(partitions(), ({ records }) => records),
  );
  metrics.gaugesFrom(
    'sluice_replica_lag_seconds',
    'How long ago a follower last had all of the partition led here in which that is longest ago; 0: it has all.',
    ['follower'],
    () => furthestBehind(partitions(), ({ ms }) => ms / 1000),
  );
}

function countRoles(partitions: Iterable<ShownPartition>): Sample[] {
  const counts = { leader: 0, follower: 0, idle: 0 };
  for (const { role } of partitions) counts[role] += 1;
  return ROLES.map((role) => ({ labels: { role }, value: counts[role] }));
}

function countOffline(cluster: ReplicaSources['coordinator']['cluster']): number {
  const members = new Set(cluster.nodes().map(({ nodeId }) => nodeId));
  return cluster.partitionStates().filter(({ state: { leader } }) => leader === null || !members.has(leader))
    .length;
}

function count(partitions: Iterable<ShownPartition>, isSo: (partition: ShownPartition) => boolean): number {
  let found = 0;
  for (const partition of partitions) if (partition.role === 'leader' && isSo(partition)) found += 1;
  return found;
}

function furthestBehind(
  partitions: Iterable<ShownPartition>,
  lagOf: (follower: ShownPartition['followers'][number]) => number,
): Sample[] {
  const most = new Map<string, number>();
  for (const { followers } of partitions) {
    for (const follower of followers)
      most.set(follower.nodeId, Math.max(most.get(follower.nodeId) ?? 0, lagOf(follower)));
  }
  return [...most].map(([follower, value]) => ({ labels: { follower }, value }));
}

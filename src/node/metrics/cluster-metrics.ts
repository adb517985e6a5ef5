import type { Coordinator } from '../../coordination/coordinator.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { ClusterHealth } from '../cluster-health.ts';

/** Membership, and what is heard of etcd. */
export function registerCluster(
  metrics: Metrics,
  { nodeId, cluster }: Pick<Coordinator, 'nodeId' | 'cluster'>,
  health: ClusterHealth,
): void {
  metrics.gaugeFrom(
    'sluice_cluster_nodes',
    'Members of the cluster, as this node sees it.',
    () => cluster.nodes().length,
  );
  metrics.gaugeFrom('sluice_cluster_lease_held', '1 while this node is a member of the cluster.', () =>
    Number(cluster.leaseHeld),
  );
  metrics.gaugeFrom('sluice_cluster_controller', '1 while this node is controller.', () =>
    Number(cluster.controllerId === nodeId),
  );
  metrics.counterFrom(
    'sluice_cluster_leases_lost_total',
    'Times that this node stopped being a member before it left.',
    () => health.leasesLost,
  );
  metrics.counterFrom(
    'sluice_etcd_stalls_total',
    'Times that nothing was heard of etcd.',
    () => health.stalls,
  );
  metrics.counterFrom(
    'sluice_etcd_keys_ignored_total',
    'Keys in etcd that were found unreadable.',
    () => health.ignoredKeys,
  );
}

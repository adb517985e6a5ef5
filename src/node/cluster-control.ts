import type { ClusterControl } from '../broker/ports.ts';
import type { Cluster } from '../coordination/cluster.ts';

/** What a node does for its cluster when an administrator asks. */
export function createClusterControl(cluster: Pick<Cluster, 'announce' | 'rebalancing'>): ClusterControl {
  return {
    drain: (draining) => cluster.announce({ draining }),
    rebalance: () => cluster.rebalancing.request(),
  };
}

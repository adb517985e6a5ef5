import type { ClusterControl } from '../broker/ports.ts';
import type { Cluster } from '../coordination/cluster.ts';
import { SluiceError } from '../kernel/errors.ts';

/** What a node does for its cluster when an administrator asks. */
export function createClusterControl(cluster: Pick<Cluster, 'announce'>): ClusterControl {
  return {
    drain: (draining) => cluster.announce({ draining }),
    rebalance: () =>
      Promise.reject(new SluiceError('NOT_LEADER', 'this node is not the controller of the cluster')),
  };
}

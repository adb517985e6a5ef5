import type { ClusterControl } from '../broker/ports.ts';
import type { Cluster } from '../coordination/cluster.ts';
import type { Logger } from '../telemetry/logger.ts';

/** What a node does for its cluster when an administrator asks. */
export function createClusterControl(
  cluster: Pick<Cluster, 'announce' | 'rebalancing'>,
  log: Logger,
): ClusterControl {
  return {
    drain: async (draining) => {
      await cluster.announce({ draining });
      log.info('cluster.drain', { draining });
    },
    rebalance: async () => {
      await cluster.rebalancing.request();
      log.info('cluster.rebalance');
    },
  };
}

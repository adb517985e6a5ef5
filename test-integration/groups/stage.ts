/** The clusters on which groups and queues are tried. */
import { ClusterStage } from '../cluster/stage.ts';
import { PATIENCE } from '../cluster/trial.ts';

/** On a machine that is busy nodes are late to say that they live. */
const LEASE_TTL_MS = 3000 * PATIENCE;

/** What is waited for at the most until it has happened, milliseconds. */
export const LONG_MS = 30_000 * PATIENCE;

/** Three nodes, among which the coordination of groups and queues is shared. @param env further settings of every node */
export function startStage(env: Readonly<Record<string, string>> = {}): Promise<ClusterStage> {
  return ClusterStage.start({
    env: { SLUICE_GROUPS_PARTITIONS: '4', SLUICE_CLUSTER_LEASE_TTL: `${LEASE_TTL_MS}ms`, ...env },
  });
}

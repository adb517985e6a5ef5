import type { CoordinatorObserver } from '../groups/coordinators.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Writes into the log how the coordinators of groups and queues fare that this node is. */
export function coordinatorObserver(log: Pick<Logger, 'info' | 'debug' | 'error'>): CoordinatorObserver {
  return {
    onLoaded: (partition, leaderEpoch, facts, ms) =>
      log[facts > 0 ? 'info' : 'debug']('groups.coordinating', {
        ...{ partition, leaderEpoch, facts, ms: Math.round(ms) },
      }),
    onFailed: (partition, leaderEpoch, error) =>
      log.error('groups.coordinator_failed', { partition, leaderEpoch, error }),
  };
}

import type { CoordinatorObserver } from '../groups/coordinators.ts';
import type { ErrorCode, SluiceError } from '../kernel/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

/** What happens each time that somebody else begins to lead. */
const OF_EVERY_CHANGE: ReadonlySet<ErrorCode> = new Set(['NOT_LEADER', 'UNAVAILABLE', 'TIMEOUT']);

/** Writes into the log how the coordinators of groups and queues fare that this node is. */
export function coordinatorObserver(
  log: Pick<Logger, 'info' | 'debug' | 'warn' | 'error'>,
): CoordinatorObserver {
  return {
    onLoaded: (partition, leaderEpoch, facts, ms) =>
      log[facts > 0 ? 'info' : 'debug']('groups.coordinating', {
        ...{ partition, leaderEpoch, facts, ms: Math.round(ms) },
      }),
    onFailed: (partition, leaderEpoch, error) =>
      log[OF_EVERY_CHANGE.has(error.code) ? 'info' : 'error']('groups.coordinator_failed', {
        ...{ partition, leaderEpoch, error },
      }),
    onTrouble: ({ error, ...about }) => log[levelOf(error)]('queues.work_failed', { ...about, error }),
  };
}

/** What nobody expected is an error of the program. */
function levelOf({ code }: SluiceError): 'debug' | 'warn' | 'error' {
  if (code === 'INTERNAL') return 'error';
  return OF_EVERY_CHANGE.has(code) ? 'debug' : 'warn';
}

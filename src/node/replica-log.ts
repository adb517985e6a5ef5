import type { ErrorCode } from '../kernel/errors.ts';
import type { ReplicaObserver, ReplicaPlace } from '../replicas/replica-observer.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Why followers pause each time that somebody else begins to lead. */
const OF_EVERY_CHANGE: ReadonlySet<ErrorCode> = new Set(['NOT_LEADER', 'UNAVAILABLE']);

/** Writes into the log how the partitions fare of which this node is a replica. */
export function replicaObserver(log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>): ReplicaObserver {
  return {
    onFailed: (place, error) => log.error('replica.failed', { ...fieldsOf(place), error }),
    onRecovered: (place) => log.info('replica.recovered', fieldsOf(place)),
    onLost: (place) => {
      // What is in memory is lost with each process.
      const level = place.topic.settings.storage === 'memory' ? 'info' : 'warn';
      log[level]('replica.data_lost', fieldsOf(place));
    },
    onRole: (place, role, leaderEpoch) =>
      log.debug('replica.role', { ...fieldsOf(place), role, leaderEpoch }),
    onTruncated: (place, from, to) => log.info('replica.truncated', { ...fieldsOf(place), from, to }),
    onReset: (place, from, to) =>
      log[from === 0 ? 'debug' : 'warn']('replica.reset', { ...fieldsOf(place), from, to }),
    onPaused: (place, code) => {
      const level = OF_EVERY_CHANGE.has(code) ? 'debug' : 'warn';
      log[level]('replica.paused', { ...fieldsOf(place), code });
    },
    onRemoveFailed: ({ name, id }, partition, error) =>
      log.error('replica.remove_failed', { topic: name, topicId: id, partition, error }),
    onUnreachable: (leader, error) => log.info('replica.leader_unreachable', { leader, error }),
    onReached: (leader) => log.info('replica.leader_reached', { leader }),
  };
}

function fieldsOf({ topic, partition }: ReplicaPlace) {
  return { topic: topic.name, topicId: topic.id, partition };
}

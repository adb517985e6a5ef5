import type { TopicObserver } from '../broker/topics/failed-topics.ts';
import type { DiskObserver } from '../replicas/disk-logs.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Writes into the log what happens to topics on disk: what was found, what is wrong, and that it is well again. */
export function diskObserver(log: Logger): DiskObserver {
  return {
    onRecovered: (place, found) => log.info('storage.recovered', { ...place, ...found }),
    onCorrupt: (place, damage) => log.error('storage.corrupt', { ...place, ...damage }),
    onFault: (place, error) => log.error('storage.failed', { ...place, error }),
    onHealed: (place) => log.info('storage.healed', { ...place }),
    onCompactionFailed: (place, error) => log.warn('storage.compaction_failed', { ...place, error }),
    onLeftover: (folder) => log.warn('storage.leftover_removed', { folder }),
    onUnknown: (folder) => log.warn('storage.unknown_topic', { folder }),
    onPutBack: (folder) => log.info('storage.topic_put_back', { folder }),
    onRemoveFailed: (error) => log.error('storage.remove_failed', { error }),
  };
}

/** Writes into the log which topics could not be opened, or not be removed. */
export function topicObserver(log: Logger): TopicObserver {
  return {
    onOpenFailed: ({ name, id }, error) => log.error('topic.open_failed', { topic: name, id, error }),
    onRecovered: ({ name, id }) => log.info('topic.opened', { topic: name, id }),
    onRemoveFailed: ({ name, id }, error) => log.error('topic.remove_failed', { topic: name, id, error }),
  };
}

import type { TopicDirectory } from './topic-directory.ts';
import type { BrokerStatus } from '../views.ts';

/** The part of a {@link BrokerStatus} that is about topics. */
export type TopicTotals = Pick<
  BrokerStatus,
  'topics' | 'partitions' | 'failedTopics' | 'retainedBytes' | 'diskBytes' | 'diskSegments'
>;

/** Adds up what this node has of all topics. */
export function topicTotals(directory: TopicDirectory): TopicTotals {
  let retainedBytes = 0;
  let diskBytes = 0;
  let diskSegments = 0;
  let partitions = 0;
  for (const topic of directory.all()) {
    let bytes = 0;
    for (const one of topic.copies) {
      bytes += one.retainedBytes;
      partitions += 1;
    }
    retainedBytes += bytes;
    if (topic.definition.settings.storage !== 'disk') continue;
    diskBytes += bytes;
    diskSegments += topic.segments;
  }
  return {
    topics: directory.topicCount,
    partitions,
    failedTopics: directory.failedCount,
    ...{ retainedBytes, diskBytes, diskSegments },
  };
}

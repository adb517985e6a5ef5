import { SluiceError } from '../../kernel/errors.ts';

/** How many topics there may be, and how many partitions of all of them together. */
export interface TopicLimits {
  readonly maxTopics: number;
  readonly maxPartitions: number;
}

/** So many topics, and partitions of all of them together. */
export interface TopicCount {
  readonly topics: number;
  readonly partitions: number;
}

/**
 * Whether there is room for more topics, or for more partitions of those there are.
 * @param used what there is, and what is being made
 * @param more 0 where there is no more of it
 * @throws OVERLOADED
 */
export function checkRoom(
  { maxTopics, maxPartitions }: TopicLimits,
  used: TopicCount,
  more: TopicCount,
): void {
  if (more.topics > 0 && used.topics + more.topics > maxTopics) {
    throw new SluiceError(
      'OVERLOADED',
      `there are ${maxTopics} topics, which is the most allowed (topics.maxTopics)`,
    );
  }
  if (more.partitions > 0 && used.partitions + more.partitions > maxPartitions) {
    throw new SluiceError(
      'OVERLOADED',
      `${more.partitions} partitions more than ${used.partitions} are above the most allowed, ${maxPartitions} (topics.maxPartitions)`,
    );
  }
}

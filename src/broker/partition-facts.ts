import type { Partition } from '../partition/partition.ts';
import type { PartitionFacts } from './other-nodes.ts';

/** How a partition is that is led here. */
export function factsOf(partition: Partition): PartitionFacts {
  const { leaderEpoch, logStart, highWatermark, logEnd, retainedBytes, readers } = partition;
  return { leaderEpoch, logStart, highWatermark, logEnd, retainedBytes, subscribers: readers };
}

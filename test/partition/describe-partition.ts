import type { FetchedPartition } from '../../src/partition/replication.ts';
import { textOf } from '../support/batch.ts';

/** What a follower was answered, as `partition: [offsets] hw watermark`. */
export function describePartition(one: FetchedPartition): string {
  const { partition, error, diverging, batches, highWatermark, logStart } = one;
  if (error) return `${partition}: ${error}`;
  if (diverging) return `${partition}: back to ${diverging.endOffset} in ${diverging.epoch}`;
  const offsets = textOf(batches).map((text) => text.split(' ')[0]);
  return `${partition}: [${offsets.join(' ')}] hw ${highWatermark}${logStart > 0 ? ` from ${logStart}` : ''}`;
}

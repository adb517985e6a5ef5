import { batchRecordCount } from '../../wire/record-batch.ts';
import { filterBatch } from '../../wire/record-batch-filter.ts';
import type { OffsetRun } from './queue-event.ts';

/** A batch up to this size is sent whole, whatever is leased of it. */
const WHOLE_BYTES = 4096;

/**
 * The bytes that go with leases of a batch: the batch as it is stored, or, where little of a larger one is leased, a copy with these records only.
 *
 * @param runs in rising order, all in the batch
 */
export function batchToSend(batch: Buffer, runs: readonly OffsetRun[]): Buffer {
  const leased = recordsIn(runs);
  if (batch.length <= WHOLE_BYTES || leased * 2 > batchRecordCount(batch)) return batch;
  let at = 0;
  try {
    return filterBatch(batch, ({ offset }) => {
      while (at < runs.length && runs[at]!.end <= offset) at++;
      return at < runs.length && runs[at]!.first <= offset;
    });
  } catch {
    // What cannot be read cannot be cut: its consumer finds out.
    return batch;
  }
}

/** Offsets in these runs. */
export function recordsIn(runs: readonly OffsetRun[]): number {
  let records = 0;
  for (const { first, end } of runs) records += end - first;
  return records;
}

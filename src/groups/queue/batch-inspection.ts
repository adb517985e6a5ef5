import { INFLATED_MAX_BYTES } from '../../wire/codecs.ts';
import { murmur2 } from '../../wire/partitioner.ts';
import { batchCodec, batchLastOffsetDelta, batchRecordCount } from '../../wire/record-batch.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { RecordCursor } from '../../wire/record-cursor.ts';
import { deliveryTimes, mayHaveDeliveryTimes } from './delivery-headers.ts';
import type { OffsetRun, RecordDetails } from './queue-event.ts';

/** What {@link inspectBatch} found. */
export interface Inspection {
  /** Undefined: every offset of the batch is a record that may be delivered now, or the batch cannot be read, which consumers will find too. */
  readonly records: RecordDetails[] | undefined;
  /** What was looked through, bytes: of a batch that is compressed, what it inflates to. */
  readonly bytes: number;
}

/**
 * What a queue has to know of each record of a batch before it delivers any: nothing in nearly all cases, in which no record is looked at.
 *
 * @param orderedByKey a record waits for the one before it of the same key
 */
export function inspectBatch(batch: Buffer, orderedByKey: boolean): Inspection {
  try {
    const isSimple = !orderedByKey && !hasHoles(batch);
    if (isSimple && batchCodec(batch) === 'none' && !mayHaveDeliveryTimes(batch))
      return nothing(batch.length);
    const cursor = new RecordBatch(batch, { verifyCrc: false }).cursor();
    const { bytes } = cursor;
    const hasTimes = mayHaveDeliveryTimes(bytes);
    if (isSimple && !hasTimes) return nothing(bytes.length);
    const records: RecordDetails[] = [];
    while (cursor.next()) records.push(detailsOf(cursor, orderedByKey, hasTimes));
    return { records, bytes: bytes.length };
  } catch {
    // Inflating it may have got as far as it is allowed to.
    return nothing(INFLATED_MAX_BYTES);
  }
}

function nothing(bytes: number): Inspection {
  return { records: undefined, bytes };
}

/** The offsets of `[first, end)` that a batch holds no record for, because compaction has taken them out. */
export function holesOf(batch: Buffer, first: number, end: number): OffsetRun[] {
  if (!hasHoles(batch)) return [];
  const holes: OffsetRun[] = [];
  let at = first;
  try {
    const cursor = new RecordBatch(batch, { verifyCrc: false }).cursor();
    while (cursor.next() && cursor.offset < end) {
      if (cursor.offset > at) holes.push({ first: at, end: cursor.offset });
      at = Math.max(at, cursor.offset + 1);
    }
  } catch {
    return [];
  }
  if (at < end) holes.push({ first: at, end });
  return holes;
}

function hasHoles(batch: Buffer): boolean {
  return batchRecordCount(batch) !== batchLastOffsetDelta(batch) + 1;
}

function detailsOf(cursor: RecordCursor, orderedByKey: boolean, hasTimes: boolean): RecordDetails {
  const { offset } = cursor;
  const key = orderedByKey ? cursor.key : null;
  const keyHash = key === null ? undefined : murmur2(key) >>> 0;
  return hasTimes ? { offset, keyHash, ...deliveryTimes(cursor.headers) } : { offset, keyHash };
}

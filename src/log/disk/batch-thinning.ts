import { SluiceError } from '../../kernel/errors.ts';
import {
  compressInBackground,
  compressRecords,
  inflateInBackground,
  inflateRecords,
} from '../../wire/codecs.ts';
import type { BatchHeader } from '../../wire/record-batch.ts';
import { BATCH_HEADER_BYTES } from '../../wire/record-batch.ts';
import { KeptRecords, codecOf, rebuildBatch, recordsOf } from '../../wire/record-batch-filter.ts';
import { RecordCursor } from '../../wire/record-cursor.ts';
import type { TimeSlices } from './time-slices.ts';

/** The most a node may be set to allow. */
const INFLATED_MAX_BYTES = 64 * 1024 * 1024;
/** Compressed batches up to this size take less time than handing them to another thread. */
const AT_ONCE_MAX_BYTES = 4 * 1024;
/** Largest timestamp of a batch without records, as Kafka has it. */
const NO_TIME = -1;
/** Records between two looks at the clock. */
const RECORDS_AT_ONCE = 64;

/**
 * The records of a batch, inflated and looked at, in slices.
 * @returns undefined when they cannot be read: whoever sent the batch put nonsense into it
 */
export async function readRecords(
  header: BatchHeader,
  bytes: Buffer,
  slices: TimeSlices,
): Promise<Buffer | undefined> {
  try {
    const records = await inflate(header, bytes);
    await walkRecords(header, records, slices, () => true);
    return records;
  } catch (error) {
    if (error instanceof SluiceError) return undefined;
    throw error;
  }
}

/**
 * Walks over the records of a batch, in slices.
 *
 * @param records inflated
 * @param visit may return false to stop behind that record
 * @throws CORRUPT_BATCH
 */
export async function walkRecords(
  header: BatchHeader,
  records: Buffer,
  slices: TimeSlices,
  visit: (cursor: RecordCursor) => boolean,
): Promise<void> {
  const cursor = new RecordCursor(header, records);
  for (let count = 1; cursor.next() && visit(cursor); count++) {
    if (count % RECORDS_AT_ONCE === 0) await slices.rest();
  }
}

/**
 * Takes records out of a batch, in slices; compressed ones come out with the codec they had.
 *
 * @param keep whether the record that the cursor stands on stays
 * @returns `bytes` themselves when all stay, or when the records cannot be read; else a fresh batch, perhaps without records
 */
export async function thinBatch(
  header: BatchHeader,
  bytes: Buffer,
  slices: TimeSlices,
  keep: (cursor: RecordCursor) => boolean,
): Promise<Buffer> {
  const records = await readRecords(header, bytes, slices);
  if (records === undefined) return bytes;
  const kept = new KeptRecords();
  let maxTimestampMs = -Infinity;
  await walkRecords(header, records, slices, (cursor) => {
    if (!keep(cursor)) return true;
    kept.add(cursor);
    if (cursor.timestampMs > maxTimestampMs) maxTimestampMs = cursor.timestampMs;
    return true;
  });
  if (kept.count === header.recordCount) return bytes;
  const codec = codecOf(header, kept);
  const gathered = kept.gather(records);
  const thinned = { ...header, maxTimestampMs: kept.count === 0 ? NO_TIME : maxTimestampMs };
  if (codec === 'none') return rebuildBatch(thinned, kept, gathered);
  const plain = recordsOf(gathered);
  const compressed =
    plain.length <= AT_ONCE_MAX_BYTES
      ? compressRecords(codec, plain)
      : await compressInBackground(codec, plain);
  return rebuildBatch(thinned, kept, gathered, compressed);
}

async function inflate({ codec }: BatchHeader, bytes: Buffer): Promise<Buffer> {
  const records = bytes.subarray(BATCH_HEADER_BYTES);
  if (codec === 'none' || records.length === 0) return records;
  if (records.length <= AT_ONCE_MAX_BYTES) return inflateRecords(codec, records, INFLATED_MAX_BYTES);
  return inflateInBackground(codec, records, INFLATED_MAX_BYTES);
}

import { INFLATED_MAX_BYTES, compressRecords } from './codecs.ts';
import { BATCH_HEADER_BYTES, writeBatchHeader } from './record-batch.ts';
import { RecordBatch } from './record-batch-decoder.ts';
import type { WireRecord } from './record-cursor.ts';

/**
 * A batch with only the records that `keep` accepts.
 *
 * Offsets, last offset delta, times and producer fields stay as they are, so that a reader's position moves as if nothing was
 * left out. The codec stays, except that a batch without records has none.
 *
 * @param bytes a batch whose CRC was checked when it came in; not changed
 * @param keep sees each record; the object is only valid during the call, the buffers of its fields longer
 * @returns `bytes` itself when every record stays, else a fresh buffer
 * @throws CORRUPT_BATCH, BATCH_TOO_LARGE, UNKNOWN_CODEC
 */
export function filterBatch(
  bytes: Buffer,
  keep: (record: WireRecord) => boolean,
  inflatedMaxBytes = INFLATED_MAX_BYTES,
): Buffer {
  const batch = new RecordBatch(bytes, { inflatedMaxBytes, verifyCrc: false });
  const { header } = batch;
  const cursor = batch.cursor();
  /** Start and end of each run of neighbours that stay. */
  const runs: number[] = [];
  let kept = 0;
  let keptBytes = 0;
  while (cursor.next()) {
    if (!keep(cursor)) continue;
    kept++;
    keptBytes += cursor.endAt - cursor.startAt;
    if (runs.at(-1) === cursor.startAt) runs.pop();
    else runs.push(cursor.startAt);
    runs.push(cursor.endAt);
  }
  if (kept === header.recordCount) return bytes;
  const filtered = gather(cursor.bytes, runs, keptBytes);
  const codec = kept === 0 ? 'none' : header.codec;
  const records = compressRecords(codec, filtered.subarray(BATCH_HEADER_BYTES));
  const result = codec === 'none' ? filtered : Buffer.allocUnsafe(BATCH_HEADER_BYTES + records.length);
  if (codec !== 'none') result.set(records, BATCH_HEADER_BYTES);
  writeBatchHeader(result, { ...header, codec, recordCount: kept });
  return result;
}

/** Copies the runs behind room for a header. */
function gather(records: Buffer, runs: readonly number[], bytes: number): Buffer {
  const result = Buffer.allocUnsafe(BATCH_HEADER_BYTES + bytes);
  let at = BATCH_HEADER_BYTES;
  for (let i = 0; i < runs.length; i += 2) at += records.copy(result, at, runs[i], runs[i + 1]);
  return result;
}

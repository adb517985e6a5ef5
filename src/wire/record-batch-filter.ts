import type { Codec } from './codecs.ts';
import { INFLATED_MAX_BYTES, compressRecords } from './codecs.ts';
import type { BatchHeader } from './record-batch.ts';
import { BATCH_HEADER_BYTES, writeBatchHeader } from './record-batch.ts';
import { RecordBatch } from './record-batch-decoder.ts';
import type { RecordCursor, WireRecord } from './record-cursor.ts';

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
  const cursor = batch.cursor();
  const kept = new KeptRecords();
  while (cursor.next()) if (keep(cursor)) kept.add(cursor);
  if (kept.count === batch.header.recordCount) return bytes;
  const codec = codecOf(batch.header, kept);
  const gathered = kept.gather(cursor.bytes);
  if (codec === 'none') return rebuildBatch(batch.header, kept, gathered);
  return rebuildBatch(batch.header, kept, gathered, compressRecords(codec, recordsOf(gathered)));
}

/** Which records of a batch stay. */
export class KeptRecords {
  /** Records that stay. */
  count = 0;
  /** Start and end of each run of neighbours that stay. */
  readonly #runs: number[] = [];
  #bytes = 0;

  /** The record that `cursor` stands on stays; in order. */
  add(cursor: RecordCursor): void {
    this.count++;
    this.#bytes += cursor.endAt - cursor.startAt;
    if (this.#runs.at(-1) === cursor.startAt) this.#runs.pop();
    else this.#runs.push(cursor.startAt);
    this.#runs.push(cursor.endAt);
  }

  /** Copies what stays, behind room for a header. @param records all of the batch, inflated */
  gather(records: Buffer): Buffer {
    const result = Buffer.allocUnsafe(BATCH_HEADER_BYTES + this.#bytes);
    let at = BATCH_HEADER_BYTES;
    for (let i = 0; i < this.#runs.length; i += 2) {
      at += records.copy(result, at, this.#runs[i], this.#runs[i + 1]);
    }
    return result;
  }
}

/** The records that {@link KeptRecords.gather} copied. */
export function recordsOf(gathered: Buffer): Buffer {
  return gathered.subarray(BATCH_HEADER_BYTES);
}

/** The codec of what stays of a batch: its own, or none when nothing stays. */
export function codecOf(header: BatchHeader, kept: KeptRecords): Codec {
  return kept.count === 0 ? 'none' : header.codec;
}

/**
 * The batch with only the records that stay; all else in its header stays too.
 *
 * @param gathered what {@link KeptRecords.gather} gave; becomes the batch when it need not be compressed
 * @param compressed its records, compressed as {@link codecOf} says
 */
export function rebuildBatch(
  header: BatchHeader,
  kept: KeptRecords,
  gathered: Buffer,
  compressed?: Buffer,
): Buffer {
  const result = compressed ? Buffer.allocUnsafe(BATCH_HEADER_BYTES + compressed.length) : gathered;
  if (compressed) result.set(compressed, BATCH_HEADER_BYTES);
  writeBatchHeader(result, { ...header, codec: codecOf(header, kept), recordCount: kept.count });
  return result;
}

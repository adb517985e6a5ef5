import { INFLATED_MAX_BYTES, inflateRecords } from './codecs.ts';
import type { BatchHeader } from './record-batch.ts';
import { BATCH_HEADER_BYTES, checkBatch, corrupt, readBatchHeader } from './record-batch.ts';
import type { Header, WireRecord } from './record-cursor.ts';
import { RecordCursor } from './record-cursor.ts';

export type { Header, WireRecord };

/** How {@link RecordBatch} reads. */
export interface RecordBatchOptions {
  /** What the records may inflate to, bytes. Default 16 MiB. */
  readonly inflatedMaxBytes?: number;
  /** False where the CRC was checked before. Default true. */
  readonly verifyCrc?: boolean;
}

/**
 * A batch and its records, which are inflated and parsed only when asked for. Keys, values and header values are views of the
 * batch (or of its inflated records) and keep it in memory; nobody changes them.
 */
export class RecordBatch {
  readonly header: BatchHeader;
  readonly #bytes: Buffer;
  readonly #inflatedMaxBytes: number;
  #records: Buffer | undefined;

  /**
   * @param bytes exactly one batch; kept, not copied
   * @throws CORRUPT_BATCH when length, header or CRC are wrong; UNKNOWN_CODEC
   */
  constructor(bytes: Buffer, options: RecordBatchOptions = {}) {
    this.header = (options.verifyCrc ?? true) ? checkBatch(bytes) : readBatchHeader(bytes);
    if (this.header.batchBytes !== bytes.length) {
      throw corrupt(`${bytes.length} bytes with a length of ${this.header.batchBytes}`);
    }
    this.#bytes = bytes;
    this.#inflatedMaxBytes = options.inflatedMaxBytes ?? INFLATED_MAX_BYTES;
  }

  /** The offset after the batch, also when its last records were left out. */
  get nextOffset(): number {
    return this.header.baseOffset + this.header.lastOffsetDelta + 1;
  }

  /**
   * A cursor before the first record: the fastest way through a batch.
   *
   * @throws BATCH_TOO_LARGE when the records inflate to more than `inflatedMaxBytes`; CORRUPT_BATCH when they do not inflate
   */
  cursor(): RecordCursor {
    this.#records ??= this.#inflate();
    return new RecordCursor(this.header, this.#records);
  }

  /**
   * Calls `callback` for each record, in order of offset.
   *
   * @throws CORRUPT_BATCH at the first record that makes no sense, after those before it; BATCH_TOO_LARGE
   */
  forEach(callback: (record: WireRecord) => void): void {
    const cursor = this.cursor();
    while (cursor.next()) callback(cursor.record());
  }

  /** The records in order of offset. Iterating throws what {@link forEach} throws. */
  records(): Iterable<WireRecord> {
    return { [Symbol.iterator]: () => new RecordIterator(this.cursor()) };
  }

  #inflate(): Buffer {
    const records = this.#bytes.subarray(BATCH_HEADER_BYTES);
    return records.length === 0
      ? records
      : inflateRecords(this.header.codec, records, this.#inflatedMaxBytes);
  }
}

class RecordIterator implements Iterator<WireRecord> {
  readonly #cursor: RecordCursor;

  constructor(cursor: RecordCursor) {
    this.#cursor = cursor;
  }

  next(): IteratorResult<WireRecord, undefined> {
    return this.#cursor.next()
      ? { done: false, value: this.#cursor.record() }
      : { done: true, value: undefined };
  }
}

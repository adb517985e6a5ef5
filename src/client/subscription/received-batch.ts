import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { WireRecord } from '../../wire/record-batch-decoder.ts';
import type { OffsetRanges } from './offset-ranges.ts';
import { ReceivedRecord } from '../record.ts';

/**
 * A batch as a subscription hands it out; its records are inflated and parsed when they are asked for.
 *
 * Offsets may have holes, where a key filter or compaction left records out.
 */
export class ReceivedBatch {
  readonly topic: string;
  readonly partition: number;
  /** Records below this offset are in the batch but not asked for, or were handed out before. */
  readonly fromOffset: number;
  readonly #batch: RecordBatch;
  readonly #bytes: number;
  readonly #seen: OffsetRanges | undefined;
  readonly #origin: object | undefined;

  /**
   * @param bytes size as it came
   * @param seen offsets handed out before, of a batch that overlaps with some; undefined: none
   * @param origin stands for the reading of the partition that it came with: see `ReceivedRecord.originOf`
   */
  constructor(
    topic: string,
    partition: number,
    batch: RecordBatch,
    fromOffset: number,
    bytes: number,
    seen: OffsetRanges | undefined,
    origin?: object,
  ) {
    this.topic = topic;
    this.partition = partition;
    this.fromOffset = fromOffset;
    this.#batch = batch;
    this.#bytes = bytes;
    this.#seen = seen;
    this.#origin = origin;
  }

  /** As `ReceivedRecord.originOf`. @internal */
  static originOf(batch: ReceivedBatch): object | undefined {
    return batch.#origin;
  }

  /** First offset of the batch as stored; records may begin later. */
  get baseOffset(): number {
    return this.#batch.header.baseOffset;
  }

  /** The offset after the batch. */
  get nextOffset(): number {
    return this.#batch.nextOffset;
  }

  /** Records in the batch, those below `fromOffset` included. */
  get recordCount(): number {
    return this.#batch.header.recordCount;
  }

  /** Size as it came over the network, bytes. */
  get sizeBytes(): number {
    return this.#bytes;
  }

  /** Time of the latest record, milliseconds since 1970. */
  get maxTimestampMs(): number {
    return this.#batch.header.maxTimestampMs;
  }

  /**
   * Calls `callback` for each record in order of offset: the fastest way. `record` is only valid during the call.
   *
   * @throws BATCH_TOO_LARGE when it inflates to more than allowed; CORRUPT_BATCH at the first record that makes no sense
   */
  forEach(callback: (record: WireRecord) => void): void {
    try {
      const cursor = this.#batch.cursor();
      while (cursor.next()) if (this.#wanted(cursor.offset)) callback(cursor);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** The records in order of offset, each an object that stays valid. Iterating throws what {@link forEach} throws. */
  *records(): Generator<ReceivedRecord, void, undefined> {
    const cursor = this.cursor();
    for (let record = cursor.next(); record !== undefined; record = cursor.next()) yield record;
  }

  [Symbol.iterator](): Iterator<ReceivedRecord> {
    return this.records();
  }

  /** Record by record without a generator; `next` gives undefined at the end. @throws BATCH_TOO_LARGE, CORRUPT_BATCH */
  cursor(): { next(): ReceivedRecord | undefined } {
    try {
      const cursor = this.#batch.cursor();
      return { next: () => this.#next(cursor) };
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #next(cursor: ReturnType<RecordBatch['cursor']>): ReceivedRecord | undefined {
    try {
      while (cursor.next()) {
        if (this.#wanted(cursor.offset))
          return new ReceivedRecord(this.topic, this.partition, cursor.record(), this.#origin);
      }
      return undefined;
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #wanted(offset: number): boolean {
    return offset >= this.fromOffset && this.#seen?.has(offset) !== true;
  }

  /** Says where the batch lies, so that whoever reads the message can skip it. Errors of the callback pass. */
  #explain(error: unknown): unknown {
    if (!(error instanceof SluiceError)) return error;
    if (error.code !== 'BATCH_TOO_LARGE' && error.code !== 'CORRUPT_BATCH') return error;
    return describeBadBatch(error, this.topic, this.partition, this.baseOffset, this.nextOffset);
  }
}

/** `error` with the place of the batch in its message, and how to go on without it. */
export function describeBadBatch(
  error: unknown,
  topic: string,
  partition: number,
  from: number,
  to: number,
): SluiceError {
  const known = asSluiceError(error, 'CORRUPT_BATCH');
  const text = `the batch ${topic}/${partition} [${from}, ${to}) cannot be read: ${known.message}; resume at ${to} to skip it`;
  return new SluiceError(known.code, text, { cause: known });
}

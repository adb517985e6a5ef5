import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { ByteBudget } from '../log/byte-budget.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { BatchHeader } from '../wire/record-batch.ts';
import { NO_PRODUCER, batchBaseOffset, stampBatch, verifyBatch } from '../wire/record-batch.ts';
import { RecordBatch } from '../wire/record-batch-decoder.ts';
import { KeyScan } from './key-scan.ts';
import { LogReader } from './log-reader.ts';
import type { OffsetReserve } from './offset-reserve.ts';
import type { ProducerWindow, StoredBatch } from './producer-window.ts';
import type { PartitionReader, Start } from './reader.ts';
import type { KeyPredicate, PartitionCounters, ReaderSource, Waiter } from './reader-source.ts';

/** What an append did. */
export interface AppendOutcome {
  /** `duplicate`: this idempotent batch had been stored before; the other fields are those of then. */
  readonly kind: 'appended' | 'duplicate';
  readonly baseOffset: number;
  /** Exclusive end of the batch's offsets. */
  readonly nextOffset: number;
  /** Milliseconds since 1970 where the topic stamps append time, else 0. */
  readonly appendTimeMs: number;
}

/** What may change while a partition lives. */
export interface PartitionSettings {
  readonly batchMaxBytes: number;
  readonly timestamps: 'create' | 'append';
}

/** What a partition is made of. */
export interface PartitionParts {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly settings: PartitionSettings;
  /** Bound for what a batch may inflate to where records are looked at. */
  readonly inflatedMaxBytes: number;
  readonly clock: Clock;
  readonly log: PartitionLog;
  readonly producers: ProducerWindow;
  /** Undefined for a log that survives a restart itself. */
  readonly reserve: OffsetReserve | undefined;
  readonly counters: PartitionCounters;
  /** Bounds what all last-per-key scans keep in memory together. */
  readonly scanBudget: ByteBudget;
}

/**
 * The leader of one partition: takes batches, gives them offsets, and lets readers see what is below the high watermark.
 *
 * Everything runs to its end within one call, so an append is never seen half done. A refused batch has changed nothing.
 */
export class Partition implements ReaderSource {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly inflatedMaxBytes: number;
  readonly clock: Clock;
  readonly log: PartitionLog;
  readonly counters: PartitionCounters;
  readonly #scanBudget: ByteBudget;
  readonly #producers: ProducerWindow;
  readonly #reserve: OffsetReserve | undefined;
  readonly #readers = new Set<Waiter>();
  /** Readers that have said idle; swapped against the spare set on a wake-up, so that nothing is allocated for it. */
  #waiting = new Set<Waiter>();
  #spare: Set<Waiter> | undefined = new Set<Waiter>();
  #settings: PartitionSettings;
  #highWatermark: number;
  #closed = false;
  #closing: void | Promise<void> = undefined;
  /** One for all batches, because every batch on its way to the disk waits with it. */
  readonly #onDurable = (error: SluiceError | undefined): void => {
    if (!error) this.#moveHighWatermark();
  };

  constructor(parts: PartitionParts) {
    this.topic = parts.topic;
    this.partition = parts.partition;
    this.leaderEpoch = parts.leaderEpoch;
    this.inflatedMaxBytes = parts.inflatedMaxBytes;
    this.clock = parts.clock;
    this.log = parts.log;
    this.counters = parts.counters;
    this.#scanBudget = parts.scanBudget;
    this.#producers = parts.producers;
    this.#reserve = parts.reserve;
    this.#settings = parts.settings;
    this.#highWatermark = parts.log.durableEnd;
  }

  get logStart(): number {
    return this.log.logStart;
  }

  /** Exclusive. */
  get logEnd(): number {
    return this.log.logEnd;
  }

  /** Exclusive offset up to which readers see the log. Falls only where a log on disk has lost what it had promised. */
  get highWatermark(): number {
    return this.#highWatermark;
  }

  get retainedBytes(): number {
    return this.log.retainedBytes;
  }

  /** Why it takes no batches now. */
  get failure(): SluiceError | undefined {
    return this.log.failure;
  }

  /** Readers open now. */
  get readers(): number {
    return this.#readers.size;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Checks, stamps and appends a batch, and wakes the readers that wait for it.
   *
   * @param batch exactly one batch as a client sent it; ownership passes, also when it is refused
   * @returns where it was stored, now or before; durable only when {@link whenDurable} says so
   * @throws CORRUPT_BATCH, BATCH_TOO_LARGE, UNKNOWN_CODEC, UNSUPPORTED (see `verifyBatch`); PRODUCER_FENCED, UNKNOWN_PRODUCER,
   *   OUT_OF_ORDER_SEQUENCE (see `ProducerWindow`); STORAGE_FULL, STORAGE_FAILED, OVERLOADED; TOPIC_NOT_FOUND after close
   */
  append(batch: Buffer): AppendOutcome {
    if (this.#closed) throw new SluiceError('TOPIC_NOT_FOUND', `topic ${this.topic} was deleted`);
    if (this.log.failure) throw this.log.failure;
    this.#checkEnd();
    const header = verifyBatch(batch, {
      batchMaxBytes: this.#settings.batchMaxBytes,
      inflatedMaxBytes: this.inflatedMaxBytes,
    });
    const stored = header.producerId === NO_PRODUCER ? undefined : this.#producers.check(header);
    if (stored) return this.#duplicate(stored);
    const baseOffset = this.log.logEnd;
    const nextOffset = baseOffset + header.recordCount;
    this.#reserve?.take(nextOffset);
    const appendTimeMs = this.#settings.timestamps === 'append' ? Math.floor(this.clock.now()) : undefined;
    stampBatch(batch, baseOffset, this.leaderEpoch, appendTimeMs);
    this.log.append(batch);
    const outcome: AppendOutcome = {
      kind: 'appended',
      baseOffset,
      nextOffset,
      appendTimeMs: appendTimeMs ?? 0,
    };
    this.#account(header, outcome, batch.length);
    this.#followLog();
    return outcome;
  }

  /** Whether everything below `offset` is as durable as the topic promises. */
  isDurable(offset: number): boolean {
    return offset <= this.log.durableEnd;
  }

  /**
   * Calls back when everything below `offset` is as durable as the topic promises, or will not become so. In memory at once.
   */
  whenDurable(offset: number, callback: (error: SluiceError | undefined) => void): void {
    this.log.whenDurable(offset, callback);
  }

  /**
   * Deletes what is below `offset`; readers that have not come so far get a gap.
   * @param offset at most the high watermark
   * @throws OFFSET_OUT_OF_RANGE; TOPIC_NOT_FOUND after close
   */
  deleteBefore(offset: number): void {
    if (this.#closed) throw new SluiceError('TOPIC_NOT_FOUND', `topic ${this.topic} was deleted`);
    this.checkVisible(offset);
    this.log.deleteBefore(offset);
  }

  /** @throws OFFSET_OUT_OF_RANGE when `offset` is above the high watermark */
  checkVisible(offset: number): void {
    if (offset <= this.#highWatermark) return;
    throw new SluiceError(
      'OFFSET_OUT_OF_RANGE',
      `offset ${offset} of ${this.topic}/${this.partition} is above the end, ${this.#highWatermark}`,
    );
  }

  /**
   * Opens a cursor.
   *
   * @param keep which records the reader wants; undefined: all, and batches pass untouched
   * @returns a promise only where the log is on disk and has to be searched
   * @throws OFFSET_OUT_OF_RANGE when the start is above the log end; INVALID_ARGUMENT; TOPIC_NOT_FOUND after close
   */
  openReader(start: Start, keep?: KeyPredicate): PartitionReader | Promise<PartitionReader> {
    const offset = this.offsetAt(start);
    return typeof offset === 'number'
      ? this.#openAt(offset, start, keep)
      : offset.then((found) => this.#openAt(found, start, keep));
  }

  /**
   * The first offset that a reader beginning at `start` would want.
   * @throws as {@link openReader}
   */
  offsetAt(start: Start): number | Promise<number> {
    switch (start.at) {
      case 'latest':
        return this.#highWatermark;
      case 'earliest':
      case 'last-per-key':
        return this.log.logStart;
      case 'offset':
        return this.#checkOffset(start.offset);
      case 'timestamp':
        return this.#offsetOfTimestamp(start.timestampMs);
    }
  }

  /** Changes settings for batches that come from now on. */
  configure(settings: PartitionSettings): void {
    this.#settings = settings;
  }

  /** Drops what has become too old, in the log and of producers. Called now and then. */
  sweep(): void {
    this.log.enforceRetention();
    this.#producers.expire();
  }

  /**
   * Ends all readers without an error, frees the log, and refuses everything from then on. Idempotent.
   * @returns a promise only where the log has to make things safe first
   */
  close(): void | Promise<void> {
    if (this.#closed) return this.#closing;
    this.#closed = true;
    this.#wake();
    this.#readers.clear();
    const closing = this.log.close();
    // Until then it is needed for the log's last snapshot.
    if (closing) this.#closing = closing.finally(() => this.#producers.clear());
    else this.#producers.clear();
    return this.#closing;
  }

  wait(reader: Waiter): void {
    this.#waiting.add(reader);
  }

  forget(reader: Waiter): void {
    this.#waiting.delete(reader);
    this.#readers.delete(reader);
  }

  #duplicate(stored: StoredBatch): AppendOutcome {
    this.counters.duplicates++;
    const { baseOffset, recordCount, appendTimeMs } = stored;
    return { kind: 'duplicate', baseOffset, nextOffset: baseOffset + recordCount, appendTimeMs };
  }

  #account(header: BatchHeader, outcome: AppendOutcome, bytes: number): void {
    if (header.producerId !== NO_PRODUCER) {
      this.#producers.record(header, outcome.baseOffset, outcome.appendTimeMs);
    }
    this.counters.batchesIn++;
    this.counters.recordsIn += header.recordCount;
    this.counters.bytesIn += bytes;
  }

  /** On one node the high watermark is what is durable; readers see nothing that a crash could take back. */
  #followLog(): void {
    if (this.log.durableEnd < this.log.logEnd) this.log.whenDurable(this.log.logEnd, this.#onDurable);
    else this.#moveHighWatermark();
  }

  #moveHighWatermark(): void {
    if (this.log.durableEnd <= this.#highWatermark) return;
    this.#highWatermark = this.log.durableEnd;
    this.#wake();
  }

  /** A log that was not synced may come back shorter than what readers have seen: they must not take other records for those. */
  #checkEnd(): void {
    const end = this.log.logEnd;
    if (end >= this.#highWatermark) return;
    this.#highWatermark = end;
    for (const reader of [...this.#readers]) reader.cutOff(end);
  }

  #wake(): void {
    const woken = this.#waiting;
    if (woken.size === 0) return;
    this.#waiting = this.#spare ?? new Set();
    this.#spare = undefined;
    for (const reader of woken) reader.wake();
    woken.clear();
    this.#spare = woken;
  }

  #openAt(offset: number, start: Start, keep: KeyPredicate | undefined): PartitionReader {
    if (this.#closed) throw new SluiceError('TOPIC_NOT_FOUND', `topic ${this.topic} was deleted`);
    const scan =
      start.at === 'last-per-key'
        ? new KeyScan(offset, this.#highWatermark, keep, this.#scanBudget)
        : undefined;
    const reader = new LogReader(this, offset, keep, scan);
    this.#readers.add(reader);
    return reader;
  }

  #checkOffset(offset: number): number {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new SluiceError('INVALID_ARGUMENT', `${offset} is not an offset`);
    }
    if (offset > this.log.logEnd) {
      throw new SluiceError(
        'OFFSET_OUT_OF_RANGE',
        `offset ${offset} of ${this.topic}/${this.partition} is above the log end ${this.log.logEnd}`,
      );
    }
    return offset;
  }

  #offsetOfTimestamp(timestampMs: number): number | Promise<number> {
    const upTo = this.#highWatermark;
    const toOffset = (batch: Buffer | undefined) =>
      batch ? firstRecordAt(batch, timestampMs, this.inflatedMaxBytes) : upTo;
    const found = this.log.findTimestamp(timestampMs, upTo);
    return found instanceof Promise ? found.then(toOffset) : toOffset(found);
  }
}

/** Offset of the first record with that time or later; that of the batch when its records cannot be read. */
function firstRecordAt(bytes: Buffer, timestampMs: number, inflatedMaxBytes: number): number {
  try {
    const batch = new RecordBatch(bytes, { inflatedMaxBytes, verifyCrc: false });
    if (!batch.header.appendTime) {
      const cursor = batch.cursor();
      while (cursor.next()) if (cursor.timestampMs >= timestampMs) return cursor.offset;
    }
  } catch {
    // Whoever reads it will be told; the batch is where the time is, as far as its header says.
  }
  return batchBaseOffset(bytes);
}

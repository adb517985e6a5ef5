import { SluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import type { ByteBudget } from '../log/byte-budget.ts';
import { batchBaseOffset } from '../wire/record-batch.ts';
import { RecordBatch } from '../wire/record-batch-decoder.ts';
import { KeyScan } from './key-scan.ts';
import { LogReader } from './log-reader.ts';
import type { Start } from './reader.ts';
import type { KeyPredicate, ReaderSource, Waiter } from './reader-source.ts';

/** A copy counts as read for so long after a read, milliseconds: longer than a node that reads it for its own readers waits for an answer. */
const READ_LINGER_MS = 15_000;

/** The cursors of one partition, and which of them wait. */
export class PartitionReaders {
  /** Called when somebody begins to read. */
  onRead: (() => void) | undefined;
  readonly #source: ReaderSource;
  readonly #scanBudget: ByteBudget;
  readonly #open = new Set<Waiter>();
  /** Readers that have said idle; swapped against the spare set on a wake-up, so that nothing is allocated for it. */
  #waiting = new Set<Waiter>();
  #spare: Set<Waiter> | undefined = new Set<Waiter>();
  #readUntilMs = -Infinity;

  /** @param scanBudget bounds what all last-per-key scans keep in memory together */
  constructor(source: ReaderSource, scanBudget: ByteBudget) {
    this.#source = source;
    this.#scanBudget = scanBudget;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Somebody reads this copy, here or at another node, or has in the last {@link READ_LINGER_MS}. */
  get isRead(): boolean {
    return this.size > 0 || this.#source.clock.monotonicMs() < this.#readUntilMs;
  }

  /** Somebody reads this copy: how far readers may see matters at once. */
  note(): void {
    const { isRead } = this;
    this.#readUntilMs = this.#source.clock.monotonicMs() + READ_LINGER_MS;
    if (!isRead) this.onRead?.();
  }

  /** @throws OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT; CANCELLED; TOPIC_NOT_FOUND when the partition has closed meanwhile */
  open(
    start: Start,
    keep: KeyPredicate | undefined,
    asker: Asker | undefined,
  ): LogReader | Promise<LogReader> {
    const offset = this.offsetAt(start, asker);
    return typeof offset === 'number'
      ? this.#openAt(offset, start, keep)
      : offset.then((found) => this.#openAt(found, start, keep));
  }

  /** Opens one at an offset that another copy has named: it may be one that this copy has not reached. @throws TOPIC_NOT_FOUND after close */
  openAt(offset: number, keep: KeyPredicate | undefined): LogReader {
    return this.#openAt(offset, { at: 'offset', offset }, keep);
  }

  /** Takes over a reader from another copy. @throws TOPIC_NOT_FOUND after close */
  adopt(reader: LogReader): void {
    this.#checkOpen();
    this.note();
    if (reader.moveTo(this.#source)) this.#open.add(reader);
  }

  /** @throws OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT; CANCELLED */
  offsetAt(start: Start, asker?: Asker): number | Promise<number> {
    switch (start.at) {
      case 'latest':
        return this.#source.highWatermark;
      case 'earliest':
      case 'last-per-key':
        return this.#source.log.logStart;
      case 'offset':
        return this.#checkOffset(start.offset);
      case 'timestamp':
        return this.#offsetOfTimestamp(start.timestampMs, asker);
    }
  }

  wait(reader: Waiter): void {
    this.#waiting.add(reader);
  }

  forget(reader: Waiter): void {
    this.#waiting.delete(reader);
    this.#open.delete(reader);
  }

  wake(): void {
    const woken = this.#waiting;
    if (woken.size === 0) return;
    this.#waiting = this.#spare ?? new Set();
    this.#spare = undefined;
    for (const reader of woken) reader.wake();
    woken.clear();
    this.#spare = woken;
  }

  /** What was at and above `end` is not there any more; who was beyond must not take other records for it. */
  cutOff(end: number): void {
    for (const reader of [...this.#open]) reader.cutOff(end);
  }

  /** Wakes all, who then find the partition closed. */
  close(): void {
    this.wake();
    this.#open.clear();
  }

  #openAt(offset: number, start: Start, keep: KeyPredicate | undefined): LogReader {
    const source = this.#source;
    this.#checkOpen();
    this.note();
    const scan =
      start.at === 'last-per-key'
        ? new KeyScan(offset, source.highWatermark, keep, this.#scanBudget)
        : undefined;
    const reader = new LogReader(source, offset, keep, scan);
    this.#open.add(reader);
    return reader;
  }

  #checkOpen(): void {
    const { closed, topic } = this.#source;
    if (closed) throw new SluiceError('TOPIC_NOT_FOUND', `topic ${topic} was deleted`);
  }

  #checkOffset(offset: number): number {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new SluiceError('INVALID_ARGUMENT', `${offset} is not an offset`);
    }
    const { topic, partition, log } = this.#source;
    if (offset > log.logEnd) {
      throw new SluiceError(
        'OFFSET_OUT_OF_RANGE',
        `offset ${offset} of ${topic}/${partition} is above the log end ${log.logEnd}`,
      );
    }
    return offset;
  }

  #offsetOfTimestamp(timestampMs: number, asker: Asker | undefined): number | Promise<number> {
    const { log, inflatedMaxBytes, highWatermark: upTo } = this.#source;
    const toOffset = (batch: Buffer | undefined) =>
      batch ? firstRecordAt(batch, timestampMs, log.logStart, inflatedMaxBytes) : upTo;
    const found = log.findTimestamp(timestampMs, upTo, asker);
    return found instanceof Promise ? found.then(toOffset) : toOffset(found);
  }
}

/**
 * Offset of the first record that is left with that time or later; what is left of the batch when its records cannot be read, and its end when only deleted
 * ones have the time.
 */
function firstRecordAt(
  bytes: Buffer,
  timestampMs: number,
  logStart: number,
  inflatedMaxBytes: number,
): number {
  const first = Math.max(logStart, batchBaseOffset(bytes));
  try {
    const batch = new RecordBatch(bytes, { inflatedMaxBytes, verifyCrc: false });
    if (batch.header.appendTime) return first;
    const cursor = batch.cursor();
    while (cursor.next())
      if (cursor.offset >= first && cursor.timestampMs >= timestampMs) return cursor.offset;
    return Math.max(logStart, batch.nextOffset);
  } catch {
    // Whoever reads it will be told; the batch is where the time is, as far as its header says.
    return first;
  }
}

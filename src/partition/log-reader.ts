import type { Timer } from '../kernel/clock.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';
import { Asking } from '../kernel/slots.ts';
import { batchBaseOffset, batchNextOffset, batchRecordCount } from '../wire/record-batch.ts';
import { filterBatch } from '../wire/record-batch-filter.ts';
import type { KeyScan } from './key-scan.ts';
import type { Lag, PartitionReader, ReadResult } from './reader.ts';
import type { KeyPredicate, ReaderSource, Waiter } from './reader-source.ts';

/**
 * Bytes of batches looked at per read where records are picked out, so that no reader holds the others up; also how far a reader
 * moves through records nobody wants before an empty batch tells its client.
 */
const SCAN_STEP_BYTES = 1024 * 1024;

/** And for how long, because a small batch may inflate to a large one. */
const SCAN_STEP_MS = 4;

/** Why offsets are gone; docs/protocol.md. */
const RETENTION = 1;
const DELETED = 2;

const IDLE: ReadResult = { kind: 'idle' };

/** The cursor behind {@link PartitionReader}: two numbers, a filter, and where that is asked for a last-per-key scan. */
export class LogReader implements PartitionReader, Waiter {
  onReadable: (() => void) | undefined = undefined;
  gapRecords = 0;
  #source: ReaderSource;
  readonly #keep: KeyPredicate | undefined;
  #scan: KeyScan | undefined;
  #nextOffset: number;
  /** Bytes passed over since a batch was handed out. */
  #skippedBytes = 0;
  /** Since the read began that is under way, what was there has become something else. */
  #isOvertaken = false;
  /** Its copy is going, and there is no other yet. */
  #isSuspended = false;
  /** For what is being read: what is not wanted any more leaves the disk to others. */
  readonly #asking = new Asking();
  #scanTimer: Timer | undefined;
  #ended: ReadResult | undefined;

  constructor(
    source: ReaderSource,
    offset: number,
    keep: KeyPredicate | undefined,
    scan: KeyScan | undefined,
  ) {
    this.#source = source;
    this.#nextOffset = offset;
    this.#keep = keep;
    this.#scan = scan;
  }

  get topic(): string {
    return this.#source.topic;
  }

  get partition(): number {
    return this.#source.partition;
  }

  get leaderEpoch(): number {
    return this.#source.leaderEpoch;
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  get logStart(): number | undefined {
    if (this.#ended || this.#isSuspended || this.#source.closed) return undefined;
    return this.#source.log.logStart;
  }

  read(maxBytes: number): ReadResult | Promise<ReadResult> {
    const startedMs = this.#keep || this.#scan ? this.#source.clock.monotonicMs() : 0;
    for (;;) {
      const now = this.#withoutLog();
      if (now) return now;
      const scanning = this.#scan?.done === false;
      const upTo = scanning ? this.#scan!.end : this.#source.highWatermark;
      const from = this.#readFrom();
      const found = this.#source.log.read(from, upTo, this.#readBytes(maxBytes), this.#asking);
      if (found instanceof Promise) {
        this.#isOvertaken = false;
        return found.then(
          (batches) => this.#takeLate(from, batches, upTo) ?? this.read(maxBytes),
          // Where the files are gone with their topic, that is no fault of the disk.
          (error: unknown) =>
            this.#isOvertaken || this.#source.closed ? this.read(maxBytes) : this.#fail(error),
        );
      }
      const result = this.#take(found, upTo, startedMs);
      if (result) return result;
    }
  }

  lag(): Lag {
    const { log, highWatermark } = this.#source;
    const from = Math.max(this.#nextOffset, log.logStart);
    if (this.#ended || this.#isSuspended || from >= highWatermark) return { records: 0, bytes: 0, ms: 0 };
    return {
      records: highWatermark - this.#nextOffset,
      // Old batches on disk are a guess.
      bytes: Math.max(0, log.bytesFrom(from) - log.bytesFrom(highWatermark)),
      ms: log.ageMsAt(from),
    };
  }

  close(): void {
    this.#end(undefined);
  }

  /** Whether it goes on in another copy, and has none now. */
  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** Whether its copy was closed, which nobody who reads has noticed. */
  get isStranded(): boolean {
    return !this.#ended && !this.#isSuspended && this.#source.closed;
  }

  /** Ends it for who reads, who is told. */
  end(): void {
    if (this.#ended) return;
    this.#end(undefined);
    this.onReadable?.();
  }

  /** Finds nothing from now on, until it goes on in another copy: this one is going. */
  suspend(): void {
    if (this.#ended) return;
    this.#source.forget(this);
    this.#isOvertaken = true;
    this.#isSuspended = true;
    this.#asking.drop();
  }

  /**
   * Goes on in another copy of the partition, at the same offset: called by the copy. What is being read in the old one is read again.
   * @returns false when it has ended
   */
  moveTo(source: ReaderSource): boolean {
    if (this.#ended) return false;
    if (!this.#isSuspended) this.suspend();
    this.#source = source;
    this.#isSuspended = false;
    this.wake();
    return true;
  }

  /** Called by the partition once after it was told to wait. */
  wake(): void {
    if (!this.#ended) this.onReadable?.();
  }

  cutOff(end: number): void {
    this.#isOvertaken = true;
    // A scan that has looked further would leave out what comes in place of what it saw.
    if (this.#ended || Math.max(this.#nextOffset, this.#scan?.end ?? 0) <= end) return;
    this.#end('OFFSET_OUT_OF_RANGE');
    this.onReadable?.();
  }

  /** What can be said without looking at batches: the end, a gap, nothing new. */
  #withoutLog(): ReadResult | undefined {
    if (this.#ended) return this.#ended;
    if (this.#isSuspended) return IDLE;
    if (this.#source.closed) return this.#end(undefined);
    if (this.#scan) {
      // A copy that it was moved to may not have come so far.
      if (!this.#scan.done) return this.#source.highWatermark < this.#scan.end ? this.#wait() : undefined;
      this.#skipUnwanted(this.#scan);
    }
    const from = this.#nextOffset;
    const to = this.#source.log.logStart;
    if (from < to) {
      this.#nextOffset = to;
      this.gapRecords += to - from;
      this.#source.counters.gapRecords += to - from;
      return { kind: 'gap', from, to, reason: this.#source.deletedTo === to ? DELETED : RETENTION };
    }
    return from < this.#source.highWatermark ? undefined : this.#wait();
  }

  #wait(): ReadResult {
    this.#source.wait(this);
    return IDLE;
  }

  /** What is no key's latest needs no look and, when it is gone, is no loss. Above the scan's end there is nothing to leave out. */
  #skipUnwanted(scan: KeyScan): void {
    if (this.#nextOffset < scan.end) this.#nextOffset = scan.nextWanted(this.#nextOffset);
    if (this.#nextOffset < scan.end) return;
    scan.close();
    this.#scan = undefined;
  }

  #readFrom(): number {
    if (this.#scan?.done === false) return Math.max(this.#scan.position, this.#source.log.logStart);
    return this.#nextOffset;
  }

  #readBytes(maxBytes: number): number {
    if (this.#scan?.done === false) return SCAN_STEP_BYTES;
    return this.#keep ? Math.min(maxBytes, SCAN_STEP_BYTES - this.#skippedBytes) : maxBytes;
  }

  /** What was waited for takes no time from what comes after it. */
  #takeLate(from: number, batches: readonly Buffer[], upTo: number): ReadResult | undefined {
    // Deleted while it was read: what came, or that nothing came, says nothing about what is missing in between.
    if (this.#source.log.logStart > from || this.#isOvertaken) return undefined;
    return this.#take(batches, upTo, this.#source.clock.monotonicMs());
  }

  /**
   * Makes a result of what the log gave below `upTo`; undefined when nothing of it is wanted and there may be more.
   * @param startedMs since when this reader has kept others waiting
   */
  #take(batches: readonly Buffer[], upTo: number, startedMs: number): ReadResult | undefined {
    if (this.#ended) return this.#ended;
    try {
      if (this.#scan?.done === false) return this.#stepScan(this.#scan, batches);
      const last = batches.at(-1);
      if (!last) this.#nextOffset = Math.max(this.#nextOffset, upTo);
      else if (this.#keep || this.#scan) return this.#pick(batches, startedMs);
      else this.#nextOffset = batchNextOffset(last);
      return last && { kind: 'batches', batches };
    } catch (error) {
      return this.#fail(error);
    }
  }

  /** One step of finding the latest record of each key; the others get their turn before the next. */
  #stepScan(scan: KeyScan, batches: readonly Buffer[]): ReadResult | undefined {
    const { clock, inflatedMaxBytes } = this.#source;
    scan.take(batches, inflatedMaxBytes, clock, SCAN_STEP_MS);
    if (scan.done) return undefined;
    this.#scanTimer = clock.setTimer(0, () => this.wake());
    return IDLE;
  }

  #pick(batches: readonly Buffer[], startedMs: number): ReadResult | undefined {
    const { clock } = this.#source;
    const picked: Buffer[] = [];
    let last: Buffer | undefined;
    let lastWanted: Buffer | undefined;
    let late = false;
    for (const batch of batches) {
      lastWanted = this.#wantedOf(batch);
      if (batchRecordCount(lastWanted) > 0) picked.push(lastWanted);
      this.#skippedBytes = picked.length > 0 ? 0 : this.#skippedBytes + batch.length;
      last = batch;
      late = clock.monotonicMs() - startedMs >= SCAN_STEP_MS;
      if (late) break;
    }
    this.#nextOffset = batchNextOffset(last!);
    if (picked.length > 0) return { kind: 'batches', batches: picked };
    if (this.#skippedBytes < SCAN_STEP_BYTES && !late) return undefined;
    this.#skippedBytes = 0;
    return { kind: 'batches', batches: [lastWanted!] };
  }

  #wantedOf(batch: Buffer): Buffer {
    const { inflatedMaxBytes } = this.#source;
    const scan = this.#scan;
    const keep = this.#keep;
    if (scan && batchBaseOffset(batch) < scan.end) {
      return filterBatch(batch, (record) => scan.wants(record.offset), inflatedMaxBytes);
    }
    return keep ? filterBatch(batch, (record) => keep(record.key), inflatedMaxBytes) : batch;
  }

  #fail(error: unknown): ReadResult {
    return this.#end(asSluiceError(error).code);
  }

  #end(code: ErrorCode | undefined): ReadResult {
    if (this.#ended) return this.#ended;
    this.#ended = { kind: 'ended', code };
    this.#isSuspended = false;
    this.#asking.drop();
    this.#scanTimer?.cancel();
    this.#scan?.close();
    this.#source.forget(this);
    return this.#ended;
  }
}

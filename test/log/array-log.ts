import { expect } from 'vitest';
import type { PartitionLog } from '../../src/log/partition-log.ts';
import { batchBaseOffset, batchNextOffset } from '../../src/wire/record-batch.ts';
import { checkAtLeast, checkAtMost, checkSame, checkSameList } from '../support/cheap-checks.ts';

/** One appended batch. */
export interface Entry {
  /** Where the log ended before it: below `base` behind a hole. */
  readonly after: number;
  readonly base: number;
  readonly next: number;
  readonly bytes: Buffer;
}

interface Old {
  readonly entries: Entry[];
  readonly doubtful: Entry[];
  readonly start: number;
  readonly promised: number;
  readonly safe: number;
  readonly startFloor: number;
}

/** How a log came back: what it may have lost depends on it. */
export type Comeback = 'closed' | 'killed' | 'powerLost';

/** Reads a log from its start to `upTo`, as a reader would, in portions of `maxBytes`. */
export async function readAll(
  log: PartitionLog,
  upTo = log.durableEnd,
  maxBytes = 100_000,
): Promise<Buffer[]> {
  const batches: Buffer[] = [];
  for (let offset = log.logStart; offset < upTo; offset = batchNextOffset(batches.at(-1)!)) {
    const portion = await log.read(offset, upTo, maxBytes);
    if (portion.length === 0) expect.fail(`nothing read at ${offset} of ${log.logStart} to ${upTo}`);
    batches.push(...portion);
  }
  return batches;
}

/**
 * What a log has to hold, as an array: the model that real logs are compared with.
 *
 *     dropped │ start … promised │ … appended, no word given │
 *
 * Below `promised` nothing may be lost when the process ends, below `safe` not when the power is lost.
 */
export class ArrayLog {
  /** Also those that have been dropped at the front. */
  entries: Entry[] = [];
  start: number;
  promised: number;
  safe: number;
  /** The lowest start that a log may come back with. */
  startFloor: number;
  /** Batches that were appended and then given up because storing them failed: they may come back, or not. */
  #doubtful: Entry[] = [];
  /** What it was before it was to begin anew, while that may not have come about. */
  #old: Old | undefined;

  readonly #isSafeAtOnce: boolean;

  /** @param isSafeAtOnce whether what the log promises also survives the loss of power */
  constructor(firstOffset: number, isSafeAtOnce: boolean) {
    this.#isSafeAtOnce = isSafeAtOnce;
    this.start = firstOffset;
    this.promised = firstOffset;
    this.safe = firstOffset;
    this.startFloor = firstOffset;
  }

  get end(): number {
    return this.entries.at(-1)?.next ?? this.promised;
  }

  append(batch: Buffer): void {
    this.entries.push({
      after: this.end,
      base: batchBaseOffset(batch),
      next: batchNextOffset(batch),
      bytes: Buffer.from(batch),
    });
  }

  /** The log said that everything below `offset` is durable. */
  promise(offset: number): void {
    this.promised = Math.max(this.promised, offset);
    if (this.#isSafeAtOnce) this.harden();
  }

  /** All that was promised is on the disk by now. */
  harden(): void {
    this.safe = this.promised;
  }

  /** Everything at and above `offset` was cut off, for good. */
  truncate(offset: number): void {
    this.doubt(offset);
    const first = this.entries.findIndex(({ next }) => next > offset);
    if (first >= 0) this.entries.length = first;
    this.#doubtful = [];
  }

  /** What is at or above `offset` may come back, or not. */
  doubt(offset: number): void {
    const end = this.entries.find(({ next }) => next > offset)?.after ?? this.end;
    this.promised = Math.min(this.promised, end);
    this.safe = Math.min(this.safe, end);
  }

  /** It is to begin anew at `offset`; until {@link isAnew} it may come back as it was. */
  beginAnew(offset: number): void {
    const { entries, start, promised, safe, startFloor } = this;
    this.#old = { entries, start, promised, safe, startFloor, doubtful: this.#doubtful };
    this.entries = [];
    this.#doubtful = [];
    this.start = offset;
    this.promised = offset;
    this.safe = offset;
    this.startFloor = offset;
  }

  /** Whether it may come back as it was before it was to begin anew. */
  get isBeginning(): boolean {
    return this.#old !== undefined;
  }

  /** It has begun anew, for good. */
  isAnew(): void {
    this.#old = undefined;
  }

  /** A log whose end fell because storing failed: nothing that was promised is gone. */
  giveUp(end: number): void {
    checkAtLeast(end, this.promised, 'end of the log after a failed write');
    this.#doubtful.push(...this.entries.filter(({ next }) => next > end));
    this.entries = this.entries.filter(({ next }) => next <= end);
  }

  /** Takes note of the log's start, which never falls and is never beyond what is durable. */
  follow(log: PartitionLog): void {
    checkAtLeast(log.logStart, this.start, 'start of the log');
    checkAtMost(log.logStart, log.logEnd, 'start of the log');
    checkAtMost(log.durableEnd, log.logEnd, 'durable end');
    this.start = log.logStart;
    if (log.logEnd < this.end) this.giveUp(log.logEnd);
    checkSame(log.logEnd, this.end, 'end of the log');
  }

  /** Checks one read. @param batches what was read from `offset` on, at most `maxBytes` below `upTo` */
  checkRead(batches: readonly Buffer[], offset: number, upTo: number, maxBytes: number): void {
    const first = this.#indexOf(offset);
    const wanted = this.entries.slice(first, first + batches.length + 1).filter(({ base }) => base < upTo);
    const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
    if (wanted.length > 0) checkAtLeast(batches.length, 1, `batches at ${offset}`);
    if (batches.length > 1) checkAtMost(bytes, maxBytes, `bytes of the batches at ${offset}`);
    const bases = wanted.slice(0, batches.length).map(({ base }) => base);
    checkSameList(batches.map(batchBaseOffset), bases, `offsets of the batches at ${offset}`);
    batches.forEach((batch, n) => {
      if (!batch.equals(wanted[n]!.bytes)) expect.fail(`other bytes in the batch at ${wanted[n]!.base}`);
    });
  }

  /** Checks a log that was opened again, and goes on from what it has. */
  async comeBack(log: PartitionLog, comeback: Comeback): Promise<void> {
    this.beOldOrNew(log);
    const floor = this.checkEnds(log, comeback);
    const batches = await readAll(log);
    const before = this.entries.filter(({ next }) => next <= log.logStart);
    const found = batches.map((batch, n) => {
      const entry = this.recognise(batch, floor);
      const previousEnd = n > 0 ? batchNextOffset(batches[n - 1]!) : entry.after;
      if (entry.after !== previousEnd)
        expect.fail(`a batch at ${entry.base} after one that ends at ${previousEnd}`);
      return entry;
    });
    if (found.length > 0) {
      checkAtMost(found[0]!.after, log.logStart, 'end before the first batch');
      checkSame(found.at(-1)!.next, log.logEnd, 'end of the last batch');
    }
    this.entries = [...before, ...found];
    this.goOn(log, comeback);
  }

  /** One that was to begin anew has, or has not. */
  protected beOldOrNew(log: PartitionLog): void {
    const old = this.#old;
    this.#old = undefined;
    if (!old || (log.logStart === this.start && log.logEnd === this.start)) return;
    ({ entries: this.entries, start: this.start, promised: this.promised, safe: this.safe } = old);
    this.startFloor = old.startFloor;
    this.#doubtful = old.doubtful;
  }

  /** @returns below which nothing may be missing */
  protected checkEnds(log: PartitionLog, comeback: Comeback): number {
    const floor = { closed: this.end, killed: this.promised, powerLost: this.safe }[comeback];
    const [low, high] = comeback === 'closed' ? [this.start, this.start] : [this.startFloor, this.start];
    checkAtLeast(log.logStart, low, 'start that came back');
    // A log that lost its tail may end below where it began.
    checkAtMost(log.logStart, high, 'start that came back');
    checkAtLeast(log.logEnd, floor, 'end that came back');
    checkSame(log.durableEnd, log.logEnd, 'durable end after opening');
    return floor;
  }

  /** A log came back, and may have lost its end. */
  protected goOn(log: PartitionLog, comeback: Comeback): void {
    this.#doubtful = [];
    this.start = log.logStart;
    // Readers may have all of it now.
    this.promised = log.logEnd;
    if (comeback !== 'killed' || this.#isSafeAtOnce) this.harden();
  }

  /** Index of the batch that holds `offset`. */
  #indexOf(offset: number): number {
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.entries[middle]!.next > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** What was appended and came back as `batch`. @param floor below it is what nothing may have happened to */
  protected recognise(batch: Buffer, floor: number): Entry {
    const base = batchBaseOffset(batch);
    const known = this.entries[this.#indexOf(base)];
    if (known?.base === base && known.bytes.equals(batch)) return known;
    expect(known === undefined || known.next > floor, `the batch at ${base} is what was promised`).toBe(true);
    const doubtful = this.#doubtful.find((entry) => entry.base === base && entry.bytes.equals(batch));
    expect(doubtful, `the batch at ${base} was appended once`).toBeDefined();
    return doubtful!;
  }
}

import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import { NO_STATE } from '../log/log-state.ts';
import type { MemoryBudget } from '../log/memory-budget.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { LeaderEpoch, PartitionLog } from '../log/partition-log.ts';
import { batchBaseOffset, batchNextOffset } from '../wire/record-batch.ts';
import type { OlderReads } from './older-reads.ts';

/** What an observer's log needs. */
export interface ObserverLogOptions {
  readonly clock: Clock;
  /** Bytes of the tail, each batch counted as `MemoryLog` counts it; the newest batch stays even when it alone is larger. */
  readonly maxBytes: number;
  /** Bound over all that observers keep. */
  readonly budget: MemoryBudget;
  readonly older: OlderReads;
}

/**
 * A partition's log where it is only observed: the newest batches in memory, all that is older at its source.
 *
 *     logStart            tailStart           logEnd
 *        │  at the source     │ batch │ batch │
 *
 * Readers behind the tail wait for the source and push nothing out of the tail. What is kept is for the source to decide: retention moves
 * `logStart` when the source has said so, and `logEnd` is where this copy has come to. Nothing survives the process.
 */
export class ObserverLog implements PartitionLog {
  readonly failure = undefined;
  onLoss: ((end: number) => void) | undefined;
  readonly #tail: MemoryLog;
  readonly #older: OlderReads;
  #logStart = 0;
  #end = 0;
  /** How often it has gone back, so that what was read before has no meaning any more. */
  #rewinds = 0;

  constructor({ clock, maxBytes, budget, older }: ObserverLogOptions) {
    const limits = { retentionBytes: maxBytes, retentionMs: 0, retentionRecords: 0 };
    this.#tail = new MemoryLog({ clock, firstOffset: 0, limits, state: NO_STATE, budget });
    this.#older = older;
  }

  get logStart(): number {
    return this.#logStart;
  }

  get logEnd(): number {
    return this.#end;
  }

  get durableEnd(): number {
    return this.#end;
  }

  /** What is in memory, or was since the tail began, is from them. */
  get leaderEpochs(): readonly LeaderEpoch[] {
    return this.#tail.leaderEpochs;
  }

  /** Bytes in memory. */
  get retainedBytes(): number {
    return this.#tail.retainedBytes + this.#older.cachedBytes;
  }

  /** From this offset on everything is in memory. */
  get tailStart(): number {
    return this.#tail.logStart;
  }

  append(batch: Buffer): void {
    const baseOffset = batchBaseOffset(batch);
    if (baseOffset < this.#end)
      throw new TypeError(`batch begins at ${baseOffset}, the log ends at ${this.#end}`);
    this.#tail.append(batch);
    this.#end = this.#tail.logEnd;
  }

  whenDurable(_offset: number, callback: (error: SluiceError | undefined) => void): void {
    callback(undefined);
  }

  read(
    offset: number,
    upTo: number,
    maxBytes: number,
    asker?: Asker,
  ): readonly Buffer[] | Promise<readonly Buffer[]> {
    if (offset >= upTo || offset >= this.#end) return [];
    if (offset >= this.tailStart) return this.#tail.read(offset, upTo, maxBytes);
    return this.#readOlder(offset, upTo, maxBytes, asker);
  }

  findTimestamp(
    timestampMs: number,
    upTo: number,
    asker?: Asker,
  ): Buffer | undefined | Promise<Buffer | undefined> {
    if (this.tailStart <= this.#logStart) return this.#tail.findTimestamp(timestampMs, upTo);
    return this.#findOlder(timestampMs, upTo, asker);
  }

  bytesFrom(offset: number): number {
    const { tailStart } = this;
    if (offset >= tailStart) return this.#tail.bytesFrom(offset);
    const tailBytes = this.#tail.bytesFrom(tailStart);
    const tailRecords = this.#tail.logEnd - tailStart;
    // Nobody has said how large what is older is: taken to be as what is newer.
    const older = tailRecords === 0 ? 0 : ((tailStart - offset) * tailBytes) / tailRecords;
    return Math.round(older) + tailBytes;
  }

  ageMsAt(offset: number): number {
    return this.#tail.ageMsAt(Math.max(offset, this.tailStart));
  }

  enforceRetention(): void {
    // The source does.
  }

  configure(): void {
    // The source is.
  }

  deleteBefore(offset: number): void {
    if (offset > this.#end) {
      throw new SluiceError('OFFSET_OUT_OF_RANGE', `offset ${offset} is above the end, ${this.#end}`);
    }
    if (offset <= this.#logStart) return;
    this.#logStart = offset;
    this.#tail.deleteBefore(Math.min(offset, this.#tail.logEnd));
  }

  whenStartDurable(): void {
    // It is gone with all the rest.
  }

  truncate(offset: number): void {
    if (offset >= this.#end) return;
    if (offset < this.tailStart) this.#tail.reset(offset);
    else this.#tail.truncate(offset);
    this.#end = this.#tail.logEnd;
    this.#logStart = Math.min(this.#logStart, this.#end);
    this.#forget();
  }

  reset(offset: number): void {
    this.#tail.reset(offset);
    this.#logStart = offset;
    this.#end = offset;
    this.#forget();
  }

  /** The source has what is between `logStart` and the tail. */
  reachBack(logStart: number): void {
    this.#logStart = Math.min(this.#logStart, logStart);
  }

  /** There is no record between the end and `offset`. */
  skipTo(offset: number): void {
    this.#end = Math.max(this.#end, offset);
  }

  close(): void {
    this.#tail.close();
    this.#older.close();
    // So that a read that comes back late is looked at as one of what is gone.
    this.#logStart = this.#end;
  }

  #forget(): void {
    this.#rewinds++;
    this.#older.forget();
  }

  async #readOlder(
    offset: number,
    upTo: number,
    maxBytes: number,
    asker: Asker | undefined,
  ): Promise<readonly Buffer[]> {
    const found = await this.#older.read(offset, this.tailStart, asker);
    if (!found) return [];
    if ('logStart' in found) {
      this.deleteBefore(Math.min(found.logStart, this.#end));
      return [];
    }
    const batches = cut(found.batches, offset, upTo, maxBytes);
    return batches.length > 0 ? batches : this.read(found.end, upTo, maxBytes, asker);
  }

  /** @throws UNAVAILABLE when what was there has become something else meanwhile, and as {@link OlderReads.offsetAt} */
  async #findOlder(timestampMs: number, upTo: number, asker?: Asker): Promise<Buffer | undefined> {
    const rewinds = this.#rewinds;
    const offset = await this.#older.offsetAt(timestampMs, asker);
    for (;;) {
      const from = Math.max(offset, this.#logStart);
      const [found] = await this.read(from, upTo, 1, asker);
      if (rewinds !== this.#rewinds) {
        throw new SluiceError(
          'UNAVAILABLE',
          'records were taken back while a time was looked for; ask again',
        );
      }
      // Deleted while it was read: what comes next is what is wanted.
      if (found || this.#logStart <= from) return found;
    }
  }
}

/** Those of a chunk that a read asks for. */
function cut(batches: readonly Buffer[], offset: number, upTo: number, maxBytes: number): readonly Buffer[] {
  const found: Buffer[] = [];
  let bytes = 0;
  for (const batch of batches) {
    if (batchNextOffset(batch) <= offset) continue;
    bytes += batch.length;
    if (batchBaseOffset(batch) >= upTo || (bytes > maxBytes && found.length > 0)) break;
    found.push(batch);
  }
  return found;
}

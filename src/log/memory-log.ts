import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchNextOffset,
  readBatchHeader,
} from '../wire/record-batch.ts';
import type { BatchHeader } from '../wire/record-batch.ts';
import { BatchDeque } from './batch-deque.ts';
import { BatchPacker } from './batch-packer.ts';
import { LeaderEpochs } from './leader-epochs.ts';
import type { LogState } from './log-state.ts';
import type { MemoryBudget, ShrinkingLog } from './memory-budget.ts';
import type { LeaderEpoch, PartitionLog, RetentionLimits } from './partition-log.ts';

/**
 * What a retained batch costs beside its own bytes: its Buffer, the numbers about it, its share of a slab's slack. Counted as
 * retained, so that `retentionBytes` bounds memory also for tiny batches. See bench/micro/append.ts.
 */
export const BATCH_OVERHEAD_BYTES = 200;

/** What a memory log needs. */
export interface MemoryLogOptions {
  readonly clock: Clock;
  /** Where offsets begin; above every offset that was handed out before this log existed. */
  readonly firstOffset: number;
  readonly limits: RetentionLimits;
  /** What goes back when batches are taken back. */
  readonly state: LogState;
  /** Bound over all memory logs of the node: when it is exceeded the largest of them drops its oldest batches. */
  readonly budget: MemoryBudget;
}

/**
 * A partition's log in memory: a bounded deque of batches.
 *
 * Age is counted from the append on the monotonic clock, so neither a producer's timestamps nor a jump of the wall clock empty
 * the log or keep it for ever. Everything is synchronous, and gone when the process ends.
 */
export class MemoryLog implements PartitionLog, ShrinkingLog {
  readonly #clock: Clock;
  readonly #budget: MemoryBudget;
  readonly #state: LogState;
  readonly #batches = new BatchDeque();
  readonly #packer = new BatchPacker();
  readonly #epochs = new LeaderEpochs([]);
  readonly failure = undefined;
  onLoss: ((end: number) => void) | undefined;
  #limits: RetentionLimits;
  #logStart: number;
  #logEnd: number;
  #appendedBytes = 0;
  #retainedBytes = 0;

  constructor(options: MemoryLogOptions) {
    this.#clock = options.clock;
    this.#budget = options.budget;
    this.#state = options.state;
    this.#limits = options.limits;
    this.#logStart = options.firstOffset;
    this.#logEnd = options.firstOffset;
    this.#budget.join(this);
  }

  get logStart(): number {
    return this.#logStart;
  }

  get logEnd(): number {
    return this.#logEnd;
  }

  get durableEnd(): number {
    return this.#logEnd;
  }

  get leaderEpochs(): readonly LeaderEpoch[] {
    return this.#epochs.entries;
  }

  get retainedBytes(): number {
    return this.#retainedBytes;
  }

  append(batch: Buffer): void {
    const baseOffset = batchBaseOffset(batch);
    if (baseOffset < this.#logEnd) {
      throw new TypeError(`batch begins at ${baseOffset}, the log ends at ${this.#logEnd}`);
    }
    const now = this.#clock.monotonicMs();
    this.#batches.push(
      this.#packer.pack(batch),
      baseOffset,
      this.#appendedBytes,
      now,
      batchMaxTimestamp(batch),
    );
    this.#epochs.add(batchLeaderEpoch(batch), baseOffset);
    this.#logEnd = batchNextOffset(batch);
    this.#appendedBytes += batch.length;
    this.#cost(batch.length + BATCH_OVERHEAD_BYTES);
    this.#enforce(now);
  }

  whenDurable(_offset: number, callback: (error: SluiceError | undefined) => void): void {
    callback(undefined);
  }

  read(offset: number, upTo: number, maxBytes: number): readonly Buffer[] {
    if (offset >= upTo || offset >= this.#logEnd) return [];
    return this.#batches.read(offset, upTo, maxBytes);
  }

  findTimestamp(timestampMs: number, upTo: number): Buffer | undefined {
    const index = this.#batches.findTimestamp(timestampMs);
    if (index < 0 || this.#batches.baseOffset(index) >= upTo) return undefined;
    return this.#batches.batch(index);
  }

  bytesFrom(offset: number): number {
    if (offset >= this.#logEnd) return 0;
    const index = this.#batches.findHolding(offset);
    return this.#appendedBytes - this.#batches.bytesBefore(index);
  }

  ageMsAt(offset: number): number {
    if (offset >= this.#logEnd) return 0;
    const index = this.#batches.findHolding(offset);
    return this.#clock.monotonicMs() - this.#batches.appendedAtMs(index);
  }

  enforceRetention(): void {
    this.#enforce(this.#clock.monotonicMs());
  }

  configure(limits: RetentionLimits): void {
    this.#limits = limits;
    this.enforceRetention();
  }

  deleteBefore(offset: number): void {
    if (offset > this.#logEnd) {
      throw new SluiceError('OFFSET_OUT_OF_RANGE', `offset ${offset} is above the end, ${this.#logEnd}`);
    }
    if (offset <= this.#logStart) return;
    while (this.#batches.length > 0 && batchNextOffset(this.#batches.batch(0)) <= offset) this.#dropHead();
    this.#logStart = offset;
  }

  whenStartDurable(): void {
    // It is gone with all the rest.
  }

  truncate(offset: number): void {
    if (offset >= this.#logEnd) return;
    while (this.#batches.length > 0) {
      const last = this.#batches.batch(this.#batches.length - 1);
      this.#logEnd = batchNextOffset(last);
      if (this.#logEnd <= offset) break;
      this.#logEnd = Math.min(this.#logStart, batchBaseOffset(last));
      this.#batches.pop();
      this.#appendedBytes -= last.length;
      this.#cost(-(last.length + BATCH_OVERHEAD_BYTES));
    }
    this.#logStart = Math.min(this.#logStart, this.#logEnd);
    this.#epochs.truncate(this.#logEnd);
    this.#state.truncate(this.#logEnd, this.#newestFirst());
  }

  reset(offset: number): void {
    this.#batches.clear();
    this.#cost(-this.#retainedBytes);
    this.#epochs.clear();
    this.#logStart = offset;
    this.#logEnd = offset;
    this.#state.reset();
  }

  dropOldest(): boolean {
    if (this.#batches.length <= 1) return false;
    this.#dropHead();
    return true;
  }

  close(): void {
    this.#batches.clear();
    this.#budget.leave(this);
    this.#budget.give(this.#retainedBytes);
    this.#retainedBytes = 0;
    this.#logStart = this.#logEnd;
  }

  *#newestFirst(): Generator<BatchHeader> {
    for (let index = this.#batches.length - 1; index >= 0; index--)
      yield readBatchHeader(this.#batches.batch(index));
  }

  #enforce(nowMs: number): void {
    while (this.#batches.length > 0 && this.#headGoes(nowMs)) this.#dropHead();
    this.#budget.enforce();
  }

  #headGoes(nowMs: number): boolean {
    const { retentionBytes, retentionMs, retentionRecords } = this.#limits;
    if (retentionMs > 0 && nowMs - this.#batches.appendedAtMs(0) >= retentionMs) return true;
    if (this.#batches.length === 1) return false;
    if (retentionBytes > 0 && this.#retainedBytes > retentionBytes) return true;
    return retentionRecords > 0 && this.#logEnd - this.#logStart > retentionRecords;
  }

  #dropHead(): void {
    const costBytes = this.#batches.batch(0).length + BATCH_OVERHEAD_BYTES;
    this.#batches.shift();
    this.#cost(-costBytes);
    this.#logStart = this.#batches.length > 0 ? this.#batches.baseOffset(0) : this.#logEnd;
  }

  #cost(bytes: number): void {
    this.#retainedBytes += bytes;
    this.#budget.take(bytes);
  }
}

import { BatchDeque } from '../batch-deque.ts';
import { BatchPacker } from '../batch-packer.ts';
import type { ByteBudget } from '../byte-budget.ts';

const MAX_BYTES = 8 * 1024 * 1024;
/** What a log keeps when all of them together have too much. */
const LEAST_BYTES = 64 * 1024;
/** What a batch in memory costs beside its bytes; see bench/micro/append.ts. */
const BATCH_OVERHEAD_BYTES = 200;

/**
 * The newest batches of a log on disk, in memory: those that are not written yet, and as many before them as there is room for.
 * Readers at the tail share them and never touch the disk; others never get in here, so they cannot push anything out.
 */
export class Tail {
  readonly #budget: ByteBudget;
  readonly #batches = new BatchDeque();
  readonly #packer = new BatchPacker();
  #end: number;
  #heldBytes = 0;
  #appendedBytes = 0;

  /** @param end offset the next batch begins at */
  constructor(budget: ByteBudget, end: number) {
    this.#budget = budget;
    this.#end = end;
  }

  /** Offset of the first batch that is here; the end when there is none. */
  get start(): number {
    return this.#batches.length > 0 ? this.#batches.baseOffset(0) : this.#end;
  }

  /** @returns the batch as it is kept, which may be a copy */
  push(
    batch: Buffer,
    baseOffset: number,
    nextOffset: number,
    appendedMs: number,
    maxTimestampMs: number,
  ): Buffer {
    const packed = this.#packer.pack(batch);
    this.#batches.push(packed, baseOffset, this.#appendedBytes, appendedMs, maxTimestampMs);
    this.#end = nextOffset;
    this.#appendedBytes += batch.length;
    this.#hold(batch.length + BATCH_OVERHEAD_BYTES);
    return packed;
  }

  /** Batches from the one that holds `offset`, which must be at or above {@link start}; see `PartitionLog.read`. */
  read(offset: number, upTo: number, maxBytes: number): Buffer[] {
    return this.#batches.read(offset, upTo, maxBytes);
  }

  /** Bytes of the batches from the one that holds `offset`, at or above {@link start}. */
  bytesFrom(offset: number): number {
    if (offset >= this.#end) return 0;
    return this.#appendedBytes - this.#batches.bytesBefore(this.#batches.findHolding(offset));
  }

  appendedMsAt(offset: number): number {
    return this.#batches.appendedAtMs(this.#batches.findHolding(offset));
  }

  /** Drops old batches while there are too many. @param written offset below which everything is in the file */
  trim(written: number): void {
    const most = this.#budget.excessBytes > 0 ? LEAST_BYTES : MAX_BYTES;
    while (this.#batches.length > 1 && this.#heldBytes > most && this.#batches.baseOffset(1) <= written) {
      this.#shift();
    }
  }

  /** Forgets everything; the next batch begins at `end`. */
  reset(end: number): void {
    this.#budget.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#batches.clear();
    this.#end = end;
  }

  #shift(): void {
    this.#hold(-(this.#batches.batch(0).length + BATCH_OVERHEAD_BYTES));
    this.#batches.shift();
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#budget.take(bytes);
  }
}

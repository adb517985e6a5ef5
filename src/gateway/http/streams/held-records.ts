import type { ByteBudget } from '../../../log/byte-budget.ts';
import { RecordBatch } from '../../../wire/record-batch-decoder.ts';
import type { RecordCursor } from '../../../wire/record-cursor.ts';

/** What batches are taken apart with. */
export interface InflateBounds {
  readonly inflated: ByteBudget;
  readonly maxInflatedBytes: number;
}

/**
 * Records of some batches, taken out one by one while a client reads.
 *
 * Inflated bytes are kept while it does not only as long as all that streams hold like this is within bounds: else the batch is inflated
 * again once it reads on, as a few kilobytes may be 16 MiB then.
 */
export class HeldRecords {
  readonly #batches: readonly Buffer[];
  readonly #bounds: InflateBounds;
  #at = 0;
  #position: number;
  #cursor: RecordCursor | undefined;
  #heldBytes = 0;

  /** @param from records below it were not asked for */
  constructor(batches: readonly Buffer[], from: number, bounds: InflateBounds) {
    this.#batches = batches;
    this.#position = from;
    this.#bounds = bounds;
  }

  /**
   * The next record; it stays good until the next call.
   * @throws CORRUPT_BATCH, BATCH_TOO_LARGE, UNKNOWN_CODEC when a batch is not what its producer claimed
   */
  next(): RecordCursor | undefined {
    for (;;) {
      const batch = this.#batches[this.#at];
      if (!batch) return undefined;
      const cursor = (this.#cursor ??= this.#open(batch));
      while (cursor.next()) {
        if (cursor.offset < this.#position) continue;
        this.#position = cursor.offset + 1;
        return cursor;
      }
      this.release();
      this.#at += 1;
    }
  }

  /** Nothing is wanted for a while. */
  rest(): void {
    if (!this.#cursor || this.#heldBytes > 0) return;
    const { buffer, length } = this.#cursor.bytes;
    if (buffer === this.#batches[this.#at]?.buffer) return;
    if (this.#bounds.inflated.tryTake(length)) this.#heldBytes = length;
    else this.#cursor = undefined;
  }

  /** Gives back what it holds inflated. */
  release(): void {
    this.#bounds.inflated.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#cursor = undefined;
  }

  #open(bytes: Buffer): RecordCursor {
    const { maxInflatedBytes } = this.#bounds;
    return new RecordBatch(bytes, { inflatedMaxBytes: maxInflatedBytes, verifyCrc: false }).cursor();
  }
}

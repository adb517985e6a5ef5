import { batchNextOffset } from '../wire/record-batch.ts';

const CHUNK_BITS = 8;
const CHUNK_BATCHES = 1 << CHUNK_BITS;
const SLOT_MASK = CHUNK_BATCHES - 1;

/** What is known about up to 256 batches, in arrays of plain numbers: a fifth of what an object per batch would take. */
class Chunk {
  readonly batches: (Buffer | undefined)[] = [];
  readonly baseOffsets: number[] = [];
  readonly bytesBefore: number[] = [];
  readonly appendedAtMs: number[] = [];
  readonly maxTimestampsMs: number[] = [];
  /** Of all batches ever put into this chunk, also those dropped since: may be too large, never too small. */
  maxTimestampMs = -Infinity;

  pop(): void {
    this.batches.pop();
    this.baseOffsets.pop();
    this.bytesBefore.pop();
    this.appendedAtMs.pop();
    this.maxTimestampsMs.pop();
  }
}

/** Stands in the list for a chunk that is gone until the list is cut. */
const DROPPED = new Chunk();

/**
 * Record batches in offset order, added at the end and dropped at the front.
 *
 *     chunks   [ – – b b b … b ] [ 256 b ] [ 256 b ] [ b b b ]
 *                    ↑ index 0                           ↑ index length − 1
 *
 * Access by index is direct, search by offset binary. Neither adding nor dropping ever moves more than a list of chunks, so
 * there are no pauses that grow with what is retained.
 */
export class BatchDeque {
  #chunks: Chunk[] = [];
  /** Chunks before this one are dropped and wait to be cut off the list. */
  #headChunk = 0;
  /** Batches dropped from the first chunk. */
  #headSlot = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds a batch that begins at or above the end of the last one. Keeps the reference. */
  push(
    batch: Buffer,
    baseOffset: number,
    bytesBefore: number,
    appendedAtMs: number,
    maxTimestampMs: number,
  ): void {
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.batches.length === CHUNK_BATCHES) {
      chunk = new Chunk();
      this.#chunks.push(chunk);
    }
    chunk.batches.push(batch);
    chunk.baseOffsets.push(baseOffset);
    chunk.bytesBefore.push(bytesBefore);
    chunk.appendedAtMs.push(appendedAtMs);
    chunk.maxTimestampsMs.push(maxTimestampMs);
    if (maxTimestampMs > chunk.maxTimestampMs) chunk.maxTimestampMs = maxTimestampMs;
    this.#length++;
  }

  /** Drops the first batch; there must be one. */
  shift(): void {
    this.#chunks[this.#headChunk]!.batches[this.#headSlot] = undefined;
    this.#length--;
    this.#headSlot++;
    if (this.#headSlot < CHUNK_BATCHES) return;
    this.#headSlot = 0;
    this.#chunks[this.#headChunk] = DROPPED;
    this.#headChunk++;
    if (this.#headChunk === this.#chunks.length) {
      this.clear();
    } else if (this.#headChunk >= 16 && this.#headChunk * 2 >= this.#chunks.length) {
      this.#chunks.splice(0, this.#headChunk);
      this.#headChunk = 0;
    }
  }

  /** Drops the last batch; there must be one. */
  pop(): void {
    this.#chunk(this.#length - 1).pop();
    this.#length--;
    if (this.#length === 0) this.clear();
    else if (this.#chunks.at(-1)!.batches.length === 0) this.#chunks.pop();
  }

  /** Drops everything. */
  clear(): void {
    this.#chunks = [];
    this.#headChunk = 0;
    this.#headSlot = 0;
    this.#length = 0;
  }

  /** @param index 0 to length − 1, as for the other getters */
  batch(index: number): Buffer {
    return this.#chunk(index).batches[this.#slot(index)]!;
  }

  baseOffset(index: number): number {
    return this.#chunk(index).baseOffsets[this.#slot(index)]!;
  }

  /** Bytes of all batches ever pushed before this one. */
  bytesBefore(index: number): number {
    return this.#chunk(index).bytesBefore[this.#slot(index)]!;
  }

  /** Monotonic time of the append. */
  appendedAtMs(index: number): number {
    return this.#chunk(index).appendedAtMs[this.#slot(index)]!;
  }

  /** Index of the last batch that begins at or below `offset`; −1 when all begin above it. */
  find(offset: number): number {
    const last = this.#length - 1;
    // Readers are mostly at the tail.
    if (last < 0 || this.baseOffset(last) <= offset) return last;
    let low = 0;
    let high = last;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.baseOffset(middle) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Index of the batch that holds `offset`, or of the next one when it lies in a hole or before all; the length behind the last. */
  findHolding(offset: number): number {
    const index = this.find(offset);
    if (index < 0) return 0;
    return batchNextOffset(this.batch(index)) > offset ? index : index + 1;
  }

  /**
   * Batches from the one that holds `offset` to the last that begins below `upTo`, as many as fit `maxBytes`, but one at least.
   * The buffers are those that were pushed.
   */
  read(offset: number, upTo: number, maxBytes: number): Buffer[] {
    const found: Buffer[] = [];
    let bytes = 0;
    for (let index = this.findHolding(offset); index < this.#length; index++) {
      if (this.baseOffset(index) >= upTo) break;
      const batch = this.batch(index);
      bytes += batch.length;
      if (bytes > maxBytes && found.length > 0) break;
      found.push(batch);
    }
    return found;
  }

  /**
   * Index of the first batch whose largest timestamp is `timestampMs` or later; −1 when there is none.
   *
   * Timestamps need not rise from batch to batch, so this walks; it skips chunks by their largest timestamp.
   */
  findTimestamp(timestampMs: number): number {
    let index = 0;
    while (index < this.#length) {
      const chunk = this.#chunk(index);
      const slot = this.#slot(index);
      if (chunk.maxTimestampMs >= timestampMs) {
        const found = chunk.maxTimestampsMs.findIndex((max, at) => at >= slot && max >= timestampMs);
        if (found >= 0) return index + found - slot;
      }
      index += CHUNK_BATCHES - slot;
    }
    return -1;
  }

  #chunk(index: number): Chunk {
    return this.#chunks[this.#headChunk + ((this.#headSlot + index) >>> CHUNK_BITS)]!;
  }

  #slot(index: number): number {
    return (this.#headSlot + index) & SLOT_MASK;
  }
}

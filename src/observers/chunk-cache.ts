import type { MemoryBudget, ShrinkingLog } from '../log/memory-budget.ts';

/** Batches that were read one after the other. */
export interface Chunk {
  readonly batches: readonly Buffer[];
  /** There is no record between this offset and the end that is not in `batches`. */
  readonly from: number;
  /** Exclusive. */
  readonly end: number;
  readonly bytes: number;
}

/**
 * What was read last of what is older than an observer's tail, so that readers that are at about the same place share it, and one that takes
 * little at a time does not have it sent again. What was used longest ago goes first.
 */
export class ChunkCache implements ShrinkingLog {
  readonly #maxBytes: number;
  readonly #budget: MemoryBudget;
  /** What was used last is the last. */
  #chunks: Chunk[] = [];
  #bytes = 0;

  /** @param budget bound over all that observers keep */
  constructor(maxBytes: number, budget: MemoryBudget) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
    budget.join(this);
  }

  get retainedBytes(): number {
    return this.#bytes;
  }

  find(offset: number): Chunk | undefined {
    const index = this.#chunks.findIndex(({ from, end }) => from <= offset && offset < end);
    const found = this.#chunks[index];
    if (found) this.#chunks.push(...this.#chunks.splice(index, 1));
    return found;
  }

  add(chunk: Chunk): void {
    this.#chunks.push(chunk);
    this.#count(chunk.bytes);
    while (this.#bytes > this.#maxBytes) this.dropOldest();
    this.#budget.enforce();
  }

  dropOldest(): boolean {
    const dropped = this.#chunks.shift();
    if (!dropped) return false;
    this.#count(-dropped.bytes);
    return true;
  }

  clear(): void {
    this.#chunks = [];
    this.#count(-this.#bytes);
  }

  close(): void {
    this.clear();
    this.#budget.leave(this);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#budget.take(bytes);
  }
}

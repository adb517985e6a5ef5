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

/** Uses of other chunks after which one is taken to be wanted by nobody: its reader has gone. */
const FORGOTTEN_USES = 256;

interface Kept extends Chunk {
  /** Number of its last use. */
  usedAt: number;
}

/**
 * What was read last of what is older than an observer's tail, so that readers that are at about the same place share it, and one that takes
 * little at a time does not have it sent again. What somebody has read to its end goes first, then what was used longest ago.
 */
export class ChunkCache implements ShrinkingLog {
  readonly #maxBytes: number;
  readonly #budget: MemoryBudget;
  /** What was used last is the last; first those that were read to their end. */
  #chunks: Kept[] = [];
  #bytes = 0;
  #uses = 0;

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
    if (!found) return undefined;
    found.usedAt = ++this.#uses;
    this.#chunks.push(...this.#chunks.splice(index, 1));
    return found;
  }

  /** A reader has come to `offset`, and needs no chunk any more that ends there. */
  passed(offset: number): void {
    const index = this.#chunks.findIndex(({ end }) => end === offset);
    if (index < 0) return;
    const [done] = this.#chunks.splice(index, 1);
    done!.usedAt = -Infinity;
    this.#chunks.unshift(done!);
  }

  /** Chunks that somebody is about to read on in, as far as can be seen. */
  get inUse(): number {
    const oldest = this.#uses - FORGOTTEN_USES;
    return this.#chunks.reduce((count, { usedAt }) => count + (usedAt > oldest ? 1 : 0), 0);
  }

  add(chunk: Chunk): void {
    this.#chunks.push({ ...chunk, usedAt: ++this.#uses });
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

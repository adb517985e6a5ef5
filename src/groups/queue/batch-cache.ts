import { batchBaseOffset, batchNextOffset } from '../../wire/record-batch.ts';

interface CachedBatch {
  readonly base: number;
  readonly end: number;
  readonly bytes: Buffer;
  readonly owner: CachedBatch[];
}

/** Batches that are likely to be delivered again, or the rest of which is: those used last, up to a bound over all queues of a coordinator. */
export class BatchCache {
  readonly #maxBytes: number;
  /** The one used longest ago is first. */
  readonly #batches = new Set<CachedBatch>();
  #bytes = 0;

  /** @param maxBytes of batches; the one that came last stays even when it alone is larger */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Of all batches, bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A place for the batches of one partition. */
  partition(): PartitionCache {
    const sorted: CachedBatch[] = [];
    return {
      find: (offset) => {
        const found = sorted[searchEnd(sorted, offset)];
        if (!found || found.base > offset) return undefined;
        this.#batches.delete(found);
        this.#batches.add(found);
        return found.bytes;
      },
      keep: (bytes) => {
        this.#keep(sorted, bytes);
      },
      clear: () => {
        for (const batch of [...sorted]) this.#remove(batch);
      },
    };
  }

  #keep(owner: CachedBatch[], bytes: Buffer): void {
    const batch = { base: batchBaseOffset(bytes), end: batchNextOffset(bytes), bytes, owner };
    const at = searchEnd(owner, batch.base);
    // A batch can come again with fewer records, or as part of another: the newer one is true.
    while (owner[at] && owner[at].base < batch.end) this.#remove(owner[at]);
    owner.splice(at, 0, batch);
    this.#batches.add(batch);
    this.#bytes += bytes.length;
    for (const oldest of this.#batches) {
      if (this.#bytes <= this.#maxBytes || oldest === batch) return;
      this.#remove(oldest);
    }
  }

  #remove(batch: CachedBatch): void {
    if (!this.#batches.delete(batch)) return;
    this.#bytes -= batch.bytes.length;
    batch.owner.splice(searchEnd(batch.owner, batch.base), 1);
  }
}

/** The cached batches of one partition. */
export interface PartitionCache {
  /** The batch whose offsets include this one, also where its record is missing. */
  find(offset: number): Buffer | undefined;
  /** @param bytes one whole batch; kept, not copied */
  keep(bytes: Buffer): void;
  clear(): void;
}

/** Index of the first batch that ends above `offset`. */
function searchEnd(sorted: readonly CachedBatch[], offset: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]!.end <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

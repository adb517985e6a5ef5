import { batchBaseOffset, batchNextOffset } from '../../wire/record-batch.ts';

interface CachedBatch {
  readonly base: number;
  readonly end: number;
  readonly bytes: Buffer;
  readonly owner: OffsetIndex;
  /** Used before and after it. */
  older: CachedBatch | undefined;
  newer: CachedBatch | undefined;
}

/** Batches that are likely to be delivered again, or the rest of which is: those used last, up to a bound over all queues of a node. */
export class BatchCache {
  readonly #maxBytes: number;
  readonly #byUse = new UseOrder();
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
    const index = new OffsetIndex();
    return {
      find: (offset) => {
        const found = index.find(offset);
        if (!found) return undefined;
        this.#byUse.delete(found);
        this.#byUse.add(found);
        return found.bytes;
      },
      keep: (bytes) => {
        this.#keep(index, bytes);
      },
      clear: () => {
        for (const batch of index.all()) this.#remove(batch);
      },
    };
  }

  #keep(owner: OffsetIndex, bytes: Buffer): void {
    const [base, end] = [batchBaseOffset(bytes), batchNextOffset(bytes)];
    const batch: CachedBatch = { base, end, bytes, owner, older: undefined, newer: undefined };
    // A batch can come again with fewer records, or as part of another: the newer one is true.
    for (const older of owner.overlapping(base, end)) this.#remove(older);
    owner.add(batch);
    this.#byUse.add(batch);
    this.#bytes += bytes.length;
    for (let { oldest } = this.#byUse; oldest && oldest !== batch; { oldest } = this.#byUse) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#remove(oldest);
    }
  }

  #remove(batch: CachedBatch): void {
    this.#byUse.delete(batch);
    this.#bytes -= batch.bytes.length;
    batch.owner.delete(batch);
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

/** Batches in the order of their last use. A list, because a set walks over all that was taken from its front before it finds the first. */
class UseOrder {
  #oldest: CachedBatch | undefined;
  #newest: CachedBatch | undefined;

  get oldest(): CachedBatch | undefined {
    return this.#oldest;
  }

  /** It was used last. */
  add(batch: CachedBatch): void {
    batch.older = this.#newest;
    if (this.#newest) this.#newest.newer = batch;
    else this.#oldest = batch;
    this.#newest = batch;
  }

  delete(batch: CachedBatch): void {
    const { older, newer } = batch;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    batch.older = undefined;
    batch.newer = undefined;
  }
}

/** Offsets of one shelf. There may be as many batches as records: in one sorted list each that goes would move all behind it. */
const SHELF_OFFSETS = 1024;

/** Batches that do not overlap, by their offsets: shelves for so many offsets each, sorted; a batch is on every shelf whose offsets it has. */
class OffsetIndex {
  readonly #shelves = new Map<number, CachedBatch[]>();

  find(offset: number): CachedBatch | undefined {
    const shelf = this.#shelves.get(Math.floor(offset / SHELF_OFFSETS));
    const found = shelf?.[searchEnd(shelf, offset)];
    return found && found.base <= offset ? found : undefined;
  }

  add(batch: CachedBatch): void {
    for (const number of shelvesOf(batch.base, batch.end)) {
      const shelf = this.#shelves.get(number);
      if (shelf) shelf.splice(searchEnd(shelf, batch.base), 0, batch);
      else this.#shelves.set(number, [batch]);
    }
  }

  delete(batch: CachedBatch): void {
    for (const number of shelvesOf(batch.base, batch.end)) {
      const shelf = this.#shelves.get(number)!;
      shelf.splice(searchEnd(shelf, batch.base), 1);
      if (shelf.length === 0) this.#shelves.delete(number);
    }
  }

  /** Those with offsets from `first` up to and not including `end`. */
  overlapping(first: number, end: number): Set<CachedBatch> {
    const found = new Set<CachedBatch>();
    for (const number of shelvesOf(first, end)) {
      const shelf = this.#shelves.get(number) ?? [];
      for (let at = searchEnd(shelf, first); at < shelf.length && shelf[at]!.base < end; at++) {
        found.add(shelf[at]!);
      }
    }
    return found;
  }

  all(): Set<CachedBatch> {
    return new Set([...this.#shelves.values()].flat());
  }
}

function* shelvesOf(first: number, end: number): Generator<number> {
  for (let number = Math.floor(first / SHELF_OFFSETS); number * SHELF_OFFSETS < end; number++) yield number;
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

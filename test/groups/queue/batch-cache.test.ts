import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchCache } from '../../../src/groups/queue/batch-cache.ts';
import { BATCH_FIELD, batchBaseOffset, batchNextOffset } from '../../../src/wire/record-batch.ts';
import { stampedBatch } from '../../support/batch.ts';

describe('the cache of batches', () => {
  const batch = stampedBatch(10, 5);

  it('finds a batch by any of its offsets', () => {
    const partition = new BatchCache(10_000).partition();
    partition.keep(stampedBatch(20, 1));
    partition.keep(batch);
    expect([9, 10, 14, 15].map((offset) => partition.find(offset) === batch)).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it('forgets what was used longest ago, over all partitions', () => {
    const cache = new BatchCache(batch.length * 2);
    const [one, two] = [cache.partition(), cache.partition()];
    one.keep(stampedBatch(10, 5));
    two.keep(stampedBatch(10, 5));
    one.find(10);
    two.keep(stampedBatch(20, 5));
    expect([one.find(10), two.find(10), two.find(20)].map((found) => found !== undefined)).toEqual([
      true,
      false,
      true,
    ]);
    expect(cache.bytes).toBe(batch.length * 2);
  });

  it('keeps what came last, however large it is', () => {
    const cache = new BatchCache(10);
    const partition = cache.partition();
    partition.keep(stampedBatch(0, 1));
    partition.keep(batch);
    expect(partition.find(12)).toBe(batch);
    expect(cache.bytes).toBe(batch.length);
  });

  it('takes the newer of two batches with the same offsets', () => {
    const cache = new BatchCache(10_000);
    const partition = cache.partition();
    partition.keep(stampedBatch(10, 2));
    partition.keep(stampedBatch(12, 2));
    partition.keep(batch);
    expect(partition.find(13)).toBe(batch);
    expect(cache.bytes).toBe(batch.length);
    partition.clear();
    expect([cache.bytes, partition.find(10)]).toEqual([0, undefined]);
  });

  it('holds batches of one record and of very many like one list would', () => {
    const keep = fc.record({
      base: fc.nat(5000),
      records: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.nat(3000)),
    });
    fc.assert(
      fc.property(fc.array(keep, { maxLength: 40 }), fc.nat(40), (kept, room) => {
        const cache = new BatchCache(room * batch.length);
        const [partition, model] = [cache.partition(), new ListedCache(room * batch.length)];
        for (const { base, records } of kept) {
          const bytes = spanning(base, base + Math.max(1, records));
          partition.keep(bytes);
          model.keep(bytes);
        }
        expect(cache.bytes).toBe(model.bytes);
        for (let offset = 0; offset < 8100; offset += 50) {
          expect(partition.find(offset)).toBe(model.find(offset));
        }
        partition.clear();
        expect(cache.bytes).toBe(0);
      }),
    );
  });
});

/** A batch of one record whose offsets are so many, as compaction leaves it. */
function spanning(base: number, end: number): Buffer {
  const bytes = stampedBatch(base, 1);
  bytes.writeInt32BE(end - base - 1, BATCH_FIELD.LAST_OFFSET_DELTA);
  return bytes;
}

/** The same in one list, the one that was used last at its end. */
class ListedCache {
  #batches: Buffer[] = [];
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#batches.reduce((sum, { length }) => sum + length, 0);
  }

  keep(bytes: Buffer): void {
    const [base, end] = [batchBaseOffset(bytes), batchNextOffset(bytes)];
    const apart = this.#batches.filter((one) => batchNextOffset(one) <= base || batchBaseOffset(one) >= end);
    this.#batches = [...apart, bytes];
    while (this.bytes > this.#maxBytes && this.#batches.length > 1) this.#batches.shift();
  }

  find(offset: number): Buffer | undefined {
    const found = this.#batches.find(
      (one) => batchBaseOffset(one) <= offset && offset < batchNextOffset(one),
    );
    if (found) this.#batches = [...this.#batches.filter((one) => one !== found), found];
    return found;
  }
}

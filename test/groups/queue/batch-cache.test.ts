import { describe, expect, it } from 'vitest';
import { BatchCache } from '../../../src/groups/queue/batch-cache.ts';
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
});

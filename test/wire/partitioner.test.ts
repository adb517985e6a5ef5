import { describe, expect, it } from 'vitest';
import { murmur2, partitionOfKey } from '../../src/wire/partitioner.ts';

describe('partitioner', () => {
  it.each([
    ['21', -973_932_308],
    ['foobar', -790_332_482],
    ['a-little-bit-long-string', -985_981_536],
    ['a-little-bit-longer-string', -1_486_304_829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
    ['abc', 479_470_107],
  ])('hashes %s as the test of Kafka itself expects', (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash);
  });

  it('never gives a partition outside the topic', () => {
    const partitions = Array.from({ length: 500 }, (_, i) => partitionOfKey(Buffer.from(`key ${i}`), 7));
    expect(new Set(partitions)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
  });
});

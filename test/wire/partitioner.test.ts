import { describe, expect, it } from 'vitest';
import { murmur2, partitionOfKey } from '../../src/wire/partitioner.ts';

describe('partitioner', () => {
  // The values of Kafka's own UtilsTest.
  it.each([
    ['21', -973_932_308],
    ['foobar', -790_332_482],
    ['a-little-bit-long-string', -985_981_536],
    ['a-little-bit-longer-string', -1_486_304_829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
    ['abc', 479_470_107],
  ])('hashes %s as Kafka does', (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash);
  });

  it('chooses the same partition as Kafka for a negative hash', () => {
    expect(partitionOfKey(Buffer.from('21'), 7)).toBe((-973_932_308 & 0x7fff_ffff) % 7);
  });
});

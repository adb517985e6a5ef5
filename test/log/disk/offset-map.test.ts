import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OffsetMap } from '../../../src/log/disk/offset-map.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(1);
const put = (map: OffsetMap, key: string, offset: number): boolean => {
  const bytes = Buffer.from(key);
  return map.put(bytes, 0, bytes.length, offset);
};
const get = (map: OffsetMap, key: string): number => {
  const bytes = Buffer.from(key);
  return map.get(bytes, 0, bytes.length);
};

describe('offset map', () => {
  it('knows the offset put last for each key', () => {
    const map = new OffsetMap(10, 1e6, random);
    put(map, 'a', 0);
    put(map, 'b', 1);
    put(map, 'a', 7);
    expect([get(map, 'a'), get(map, 'b'), get(map, 'c')]).toEqual([7, 1, -1]);
  });

  it('tells the empty key and offset 0 from nothing', () => {
    const map = new OffsetMap(10, 1e6, random);
    expect(get(map, '')).toBe(-1);
    put(map, '', 0);
    expect(get(map, '')).toBe(0);
  });

  it('holds as many keys as it was made for', () => {
    const map = new OffsetMap(1000, 1e6, random);
    for (let n = 0; n < 1000; n++) expect(put(map, `key ${n}`, n)).toBe(true);
    expect(map.size).toBe(1000);
  });

  it('takes no more memory than it may, and refuses new keys when it is full', () => {
    const map = new OffsetMap(1e6, 4096, random);
    expect(map.memoryBytes).toBeLessThanOrEqual(4096);
    let taken = 0;
    while (put(map, `key ${taken}`, taken)) taken++;
    expect(taken).toBe(map.capacity);
  });

  it('takes new offsets of keys it has when it is full', () => {
    const map = new OffsetMap(1, 1, random);
    for (let n = 0; put(map, `key ${n}`, n); n++);
    expect(put(map, 'key 0', 100)).toBe(true);
    expect(get(map, 'key 0')).toBe(100);
  });

  it('takes the key out of the middle of a buffer', () => {
    const map = new OffsetMap(10, 1e6, random);
    map.put(Buffer.from('xxkeyyy'), 2, 3, 5);
    expect(get(map, 'key')).toBe(5);
  });

  it('agrees with a Map, whatever is put into it', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 3 }), { maxLength: 300 }), (keys) => {
        const map = new OffsetMap(300, 1e6, random);
        const model = new Map<string, number>();
        keys.forEach((key, offset) => {
          put(map, key, offset);
          model.set(key, offset);
        });
        for (const [key, offset] of model) expect(get(map, key)).toBe(offset);
        expect(map.size).toBe(model.size);
      }),
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { INDEX_INTERVAL_BYTES, SegmentIndex } from '../../../src/log/disk/segment-index.ts';

interface Batch {
  readonly baseOffset: number;
  readonly position: number;
  readonly maxTimestampMs: number;
}

const batchesOf = (
  sizes: readonly (readonly [records: number, bytes: number, timeMs: number])[],
): Batch[] => {
  const batches: Batch[] = [];
  let [baseOffset, position] = [1000, 0];
  for (const [records, bytes, maxTimestampMs] of sizes) {
    batches.push({ baseOffset, position, maxTimestampMs });
    baseOffset += records;
    position += bytes;
  }
  return batches;
};
const indexOf = (batches: readonly Batch[]): SegmentIndex => {
  const index = new SegmentIndex(1000);
  for (const { baseOffset, position, maxTimestampMs } of batches)
    index.add(baseOffset, position, maxTimestampMs, 5000 + position);
  return index;
};
const sizes = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 61, max: 60_000 }), fc.nat(1e6)),
  { minLength: 1, maxLength: 100 },
);
const FACTS = {
  baseOffset: 1000,
  nextOffset: 2000,
  bytes: 5,
  maxTimestampMs: 7,
  firstAppendMs: 1,
  lastAppendMs: 2,
};

describe('the index of a segment', () => {
  it('leads to a batch at or before the one that holds an offset, and never far before it', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), (all, n) => {
        const batches = batchesOf(all);
        const wanted = batches[n % batches.length]!;
        const found = indexOf(batches).find(wanted.baseOffset);
        expect(batches).toContainEqual(expect.objectContaining(found));
        expect(found.position).toBeLessThanOrEqual(wanted.position);
        expect(wanted.position - found.position).toBeLessThan(INDEX_INTERVAL_BYTES);
      }),
    );
  });

  it('leads to a batch at or before the first that is as late as a time', () => {
    fc.assert(
      fc.property(sizes, fc.nat(1e6), (all, timeMs) => {
        const batches = batchesOf(all);
        const first = batches.find(({ maxTimestampMs }) => maxTimestampMs >= timeMs);
        const found = indexOf(batches).findTimestamp(timeMs);
        if (!first) expect(found).toBeUndefined();
        else expect(found!.position).toBeLessThanOrEqual(first.position);
      }),
    );
  });

  it('is after a cut what it would be without what was cut off, for offsets', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), (all, n) => {
        const batches = batchesOf(all);
        const kept = batches.slice(0, n % batches.length);
        const index = indexOf(batches);
        index.truncate(batches[kept.length]!.position);
        for (const { baseOffset } of kept)
          expect(index.find(baseOffset)).toEqual(indexOf(kept).find(baseOffset));
      }),
    );
  });

  it('is the same after writing and reading', () => {
    fc.assert(
      fc.property(sizes, (all) => {
        const batches = batchesOf(all);
        const bytes = indexOf(batches).encode(FACTS);
        const read = SegmentIndex.decode(bytes)!;
        expect(read.facts).toEqual(FACTS);
        expect(read.index.encode(FACTS).equals(bytes)).toBe(true);
      }),
    );
  });

  it('is not taken for whole when any byte is wrong or missing', () => {
    const bytes = indexOf(
      batchesOf([
        [1, 40_000, 5],
        [1, 40_000, 9],
      ]),
    ).encode(FACTS);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1;
      expect(SegmentIndex.decode(flipped)).toBeUndefined();
      expect(SegmentIndex.decode(bytes.subarray(0, at))).toBeUndefined();
    }
  });

  it('has the bytes that docs/file-format.md promises', () => {
    const bytes = indexOf(batchesOf([[3, 100, 9]])).encode(FACTS);
    expect(bytes.toString('hex')).toBe(
      '534c4958' +
        '00000001' +
        '408f400000000000' +
        '409f400000000000' +
        '4014000000000000' +
        '401c000000000000' +
        '3ff0000000000000' +
        '4000000000000000' +
        '00000001' +
        '00000000' +
        '00000000' +
        '4022000000000000' +
        '40b3880000000000' +
        bytes.subarray(-4).toString('hex'),
    );
  });
});

import { describe, expect, it } from 'vitest';
import { SegmentIndex } from '../../../src/log/disk/segment-index.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../src/log/disk/snapshot.ts';

const SEGMENT = {
  baseOffset: 10,
  nextOffset: 20,
  bytes: 300,
  maxTimestampMs: 5,
  firstAppendMs: 1,
  lastAppendMs: 2,
};
const FACTS = {
  offset: 20,
  segment: 10,
  position: 300,
  logStart: 3,
  epochs: [{ epoch: 1, firstOffset: 0 }],
  segments: [{ ...SEGMENT, baseOffset: 0, nextOffset: 10, maxTimestampMs: null }, SEGMENT],
};
const encoded = (): Buffer => {
  const index = new SegmentIndex(10);
  index.add(10, 0, 5, 1);
  return encodeSnapshot(FACTS, index.encode(SEGMENT), Buffer.from('what producers sent'));
};

describe('a snapshot', () => {
  it('is the same after writing and reading', () => {
    const read = decodeSnapshot(encoded())!;
    expect(read.facts).toEqual(FACTS);
    expect(read.state.toString()).toBe('what producers sent');
    expect(read.index.find(15)).toEqual({ position: 0, baseOffset: 10 });
  });

  it('is not taken for whole when any byte is wrong or missing', () => {
    const bytes = encoded();
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1;
      expect(decodeSnapshot(flipped)).toBeUndefined();
      expect(decodeSnapshot(bytes.subarray(0, at))).toBeUndefined();
    }
  });
});

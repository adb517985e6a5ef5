import { describe, expect, it } from 'vitest';
import { activeExpired, expiredSegments } from '../../../src/log/disk/retention.ts';
import { Segment } from '../../../src/log/disk/segment.ts';

/** Segments of ten records and 100 bytes, appended a second apart; the last one is active. */
const segmentsOf = (count: number): Segment[] =>
  Array.from({ length: count }, (_, n) => {
    const segment = new Segment('/d', n * 10);
    segment.add(n * 10, n * 10 + 10, 100, 0, n * 1000);
    return segment;
  });
const NONE = { retentionBytes: 0, retentionMs: 0, retentionRecords: 0 };

describe('retention on disk', () => {
  it('keeps everything without bounds', () => {
    expect(expiredSegments(segmentsOf(5), NONE, 0, Infinity, 1e9)).toBe(0);
  });

  it('drops the oldest until no more bytes are kept than may be', () => {
    expect(expiredSegments(segmentsOf(5), { ...NONE, retentionBytes: 300 }, 0, Infinity, 0)).toBe(2);
  });

  it('drops segments whose last batch is too old', () => {
    expect(expiredSegments(segmentsOf(5), { ...NONE, retentionMs: 2000 }, 0, Infinity, 3500)).toBe(2);
  });

  it('keeps at least as many records as it may', () => {
    expect(expiredSegments(segmentsOf(5), { ...NONE, retentionRecords: 25 }, 0, Infinity, 0)).toBe(2);
  });

  it('drops what was deleted', () => {
    expect(expiredSegments(segmentsOf(5), NONE, 29, 0, 0)).toBe(2);
    expect(expiredSegments(segmentsOf(5), NONE, 30, 0, 0)).toBe(3);
  });

  it('keeps what may not be on enough replicas yet, whatever the bounds', () => {
    const limits = { retentionBytes: 1, retentionMs: 1, retentionRecords: 1 };
    expect([19, 20, 29, 30].map((upTo) => expiredSegments(segmentsOf(5), limits, 0, upTo, 1e9))).toEqual([
      1, 2, 2, 3,
    ]);
  });

  it('never drops the active segment, and says when it is to be closed for it', () => {
    const segments = segmentsOf(2);
    const limits = { ...NONE, retentionMs: 1000 };
    expect(expiredSegments(segments, limits, 0, Infinity, 1e6)).toBe(1);
    expect(activeExpired(segments[1]!, limits, 1999)).toBe(false);
    expect(activeExpired(segments[1]!, limits, 2000)).toBe(true);
    expect(activeExpired(new Segment('/d', 20), limits, 1e6)).toBe(false);
  });
});

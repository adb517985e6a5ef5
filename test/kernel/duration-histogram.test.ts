import { describe, expect, it } from 'vitest';
import { DurationHistogram } from '../../src/kernel/duration-histogram.ts';

describe('a histogram of durations', () => {
  it('counts each in the first bucket that holds it, bounds included, and what is longer than all in the last', () => {
    const histogram = new DurationHistogram();
    for (const ms of [0, 0.1, 0.11, 10_000, 10_001]) histogram.record(ms);
    const { counts } = histogram;
    expect([counts[0], counts[1], counts.at(-2), counts.at(-1)]).toEqual([2, 1, 1, 1]);
    expect(counts).toHaveLength(histogram.boundsMs.length + 1);
  });

  it('adds them up', () => {
    const histogram = new DurationHistogram();
    histogram.record(1.5);
    histogram.record(2);
    expect(histogram.sumMs).toBe(3.5);
  });
});

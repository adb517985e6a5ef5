import { describe, expect, it } from 'vitest';
import { Backoff } from '../../src/kernel/backoff.ts';
import type { Random } from '../../src/kernel/random.ts';

const fixed = (fraction: number): Random => ({
  bytes: (length) => Buffer.alloc(length),
  fraction: () => fraction,
  uuid: () => '',
});

describe('Backoff', () => {
  it('doubles up to its bound', () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 500 }, fixed(1));
    expect([1, 2, 3, 4, 5].map(() => backoff.nextMs())).toEqual([100, 200, 400, 500, 500]);
  });

  it('never waits less than half of that', () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 500 }, fixed(0));
    expect([1, 2, 3, 4].map(() => backoff.nextMs())).toEqual([50, 100, 200, 250]);
  });

  it('begins again after a success', () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 500 }, fixed(1));
    backoff.nextMs();
    backoff.nextMs();
    backoff.reset();
    expect(backoff.nextMs()).toBe(100);
  });
});

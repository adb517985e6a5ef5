import { describe, expect, it } from 'vitest';
import { SCRATCH_BYTES, giveScratch, takeScratch } from '../../../src/log/disk/scratch.ts';

describe('memory to read files through', () => {
  it('is used again once it was given back, and by one at a time', () => {
    const first = takeScratch(100);
    const second = takeScratch(100);
    expect(second === first).toBe(false);
    giveScratch(first);
    expect(takeScratch(SCRATCH_BYTES) === first).toBe(true);
    giveScratch(first);
    giveScratch(second);
  });

  it('is not kept where it is large, or there is enough', () => {
    const large = takeScratch(SCRATCH_BYTES + 1);
    expect(large.length).toBe(SCRATCH_BYTES + 1);
    giveScratch(large);
    const taken = Array.from({ length: 20 }, () => takeScratch(1));
    expect(taken.includes(large)).toBe(false);
    for (const buffer of taken) giveScratch(buffer);
    const again = Array.from({ length: 20 }, () => takeScratch(1));
    expect(again.filter((buffer) => taken.includes(buffer)).length).toBe(4);
  });
});

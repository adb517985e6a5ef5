import { describe, expect, it } from 'vitest';
import { hashOf, lotOf } from '../../src/kernel/lots.ts';

describe('a lot', () => {
  it('is the same in every version: else nodes of two versions would choose differently', () => {
    expect(['', 'n1', 'é𝄞'].map(hashOf)).toEqual([2_872_998_923, 2_855_225_089, 4_011_634_364]);
    expect(lotOf(hashOf('t/0'), hashOf('n1'))).toBe(1_772_411_418);
  });

  it('is as good for one candidate as for another, however alike their names are', () => {
    const candidates = ['n1', 'n2', 'n3', 'n4'];
    const wins = new Map<string, number>();
    for (let n = 0; n < 4000; n++) {
      const lots = candidates.map((id) => lotOf(hashOf(`t/${n}`), hashOf(id)));
      const best = candidates[lots.indexOf(Math.max(...lots))]!;
      wins.set(best, (wins.get(best) ?? 0) + 1);
    }
    // Four standard deviations of 1000.
    for (const id of candidates) expect(Math.abs((wins.get(id) ?? 0) - 1000)).toBeLessThan(4 * 27.4);
  });
});

import { expect, it } from 'vitest';
import { TERMS, nextOfTerm, termOf } from '../../src/groups/term.ts';

it('coordinators of one partition, one after the other, have different terms', () => {
  const terms = [7, 8, 9].flatMap((epoch) => [0, 1, 2].map((loads) => termOf(epoch, loads)));
  expect(new Set(terms).size).toBe(9);
});

it('the next number of a term is the nearest that no other term has', () => {
  for (const term of [termOf(0, 0), termOf(1, 0), termOf(63, 63)]) {
    for (const least of [0, 1, term, term + 1, 2 ** 52 - 1]) {
      const next = nextOfTerm(least, term);
      expect(next % TERMS).toBe(term);
      expect(next).toBeGreaterThanOrEqual(least);
      expect(next).toBeLessThan(least + TERMS);
    }
  }
});

it('each number is the next where there are no terms', () => {
  expect(nextOfTerm(5, undefined)).toBe(5);
});

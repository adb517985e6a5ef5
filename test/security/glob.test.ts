import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Glob } from '../../src/security/glob.ts';
import { modelMatches, slowMatches } from './glob-model.ts';

const CHARACTERS = ['a', 'b', '.', '*', '+', '\\', '[', '\n', '?', 'é', '\u{1f600}'];
const text = fc.string({ unit: fc.constantFrom(...CHARACTERS.filter((one) => one !== '*')), maxLength: 10 });
const pattern = fc.string({ unit: fc.constantFrom(...CHARACTERS, '*', '*'), maxLength: 8 });
const matches = (glob: string, name: string) => new Glob(glob).matches(name);

it('matches as the plain definition says', () => {
  fc.assert(
    fc.property(pattern, text, (glob, name) => {
      expect(matches(glob, name)).toBe(modelMatches(glob, name));
    }),
    { numRuns: 5_000 },
  );
});

it('matches long names of few letters as one that tries all does', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'a', 'a', 'b'), maxLength: 249 });
  const piece = fc.string({ unit: fc.constantFrom('a', 'a', 'b'), maxLength: 20 });
  // Half of them are made from the name, so that many match, and as many only just do not.
  const cut = fc.tuple(fc.nat(), fc.nat(20));
  fc.assert(
    fc.property(
      name,
      fc.array(cut, { maxLength: 12 }),
      fc.array(piece, { maxLength: 12 }),
      (whole, cuts, pieces) => {
        const kept = cuts.map(([at, length]) => [at % (whole.length + 1), length] as const);
        kept.sort(([a], [b]) => a - b);
        const made = kept.map(([at, length]) => whole.slice(at, at + length)).join('*');
        for (const glob of [
          made,
          `*${made}*`,
          `${made}*`,
          `*${made}`,
          pieces.join('*'),
          `*${pieces.join('*')}*`,
        ]) {
          expect([glob, matches(glob, whole)]).toEqual([glob, slowMatches(glob, whole)]);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

it('matches every text that is made from its pattern', () => {
  const parts = fc.array(text, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(parts, fc.array(text, { minLength: 4, maxLength: 4 }), (fixed, fillers) => {
      const name = fixed.map((part, index) => (index === 0 ? part : fillers[index - 1]! + part)).join('');
      expect(matches(fixed.join('*'), name)).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

it('takes no character for two pieces', () => {
  expect(matches('ab*bc', 'abc')).toBe(false);
  expect(matches('a*ba*a', 'aba')).toBe(false);
  expect(matches('a*ba*a', 'abaa')).toBe(true);
});

it.each([
  ['a long piece that is nearly everywhere', `*${'a'.repeat(200_000)}b*`],
  ['many short ones', '*a'.repeat(200_000) + '*b'],
])('stays quick on a pattern made to be slow: %s', (_name, slow) => {
  expect(matches(slow, 'a'.repeat(400_000))).toBe(false);
});

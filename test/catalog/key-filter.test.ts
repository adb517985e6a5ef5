import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyFilter } from '../../src/catalog/key-filter.ts';

const matches = (filter: string, key: string | null): boolean =>
  new KeyFilter(filter).matches(key === null ? null : Buffer.from(key));

/** MQTT's rules word by word, on lists of levels. */
function naive(filter: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = filter;
  if (first === undefined) return key.length === 0;
  if (first === '#') return true;
  const [level, ...below] = key;
  if (level === undefined) return false;
  return (first === '+' || first === level) && naive(rest, below);
}

describe('a key filter', () => {
  it.each([
    ['a/b', 'a/b', true],
    ['a/b', 'a/bc', false],
    ['a/b', 'a', false],
    ['a/+', 'a/b', true],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['a/+', 'a/b/c', false],
    ['+/b', '/b', true],
    ['a/#', 'a', true],
    ['a/#', 'a/', true],
    ['a/#', 'a/b/c', true],
    ['a/#', 'ab', false],
    ['a/+/#', 'a', false],
    ['a/+/#', 'a/b', true],
    ['#', '', true],
    ['+', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a//c', 'a//c', true],
    ['a/+/c', 'a//c', true],
    ['+/+', '/', true],
    ['$x/#', '$x/y', true],
    ['#', '$x', true],
    ['größe/+', 'größe/ä', true],
  ])('%j on key %j: %s', (filter, key, expected) => {
    expect(matches(filter, key)).toBe(expected);
  });

  it('takes records without a key only with #', () => {
    expect([matches('#', null), matches('+', null), matches('', null), matches('a/#', null)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  it.each(['a#', '#/a', 'a/#/b', 'a+', '+a/b', 'a/b#', '##', '++'])('refuses %j', (filter) => {
    expect(() => new KeyFilter(filter)).toThrow(expect.objectContaining({ code: 'INVALID_FILTER' }) as Error);
  });

  it('agrees with a naive matcher', () => {
    const level = fc.constantFrom('', 'a', 'b', 'ab', 'ü');
    const levels = fc.array(level, { minLength: 1, maxLength: 5 });
    const filterLevels = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 5 }), fc.boolean())
      .map(([some, open]) => (open ? [...some, '#'] : some));
    fc.assert(
      fc.property(filterLevels, levels, (filter, key) => {
        expect(matches(filter.join('/'), key.join('/'))).toBe(naive(filter, key));
      }),
      { numRuns: 3000 },
    );
  });

  it('never crashes on any filter and any bytes', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array(), (filter, key) => {
        try {
          new KeyFilter(filter).matches(Buffer.from(key));
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_FILTER' });
        }
      }),
    );
  });
});

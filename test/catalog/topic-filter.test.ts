import { describe, expect, it } from 'vitest';
import { parseFilter, takesTopic } from '../../src/catalog/topic-filter.ts';

describe('the topic of a filter', () => {
  it.each([
    ['orders', ['orders'], ['order', 'orders2', '__groups']],
    ['orders/a/+', ['orders'], ['a']],
    ['+', ['orders', 'x'], ['__groups']],
    ['+/a', ['orders', 'x'], ['__groups']],
    ['#', ['orders', 'x'], ['__groups']],
    ['prices.*', ['prices.', 'prices.eu.x'], ['prices', 'xprices.eu']],
    ['*.eu', ['prices.eu', '.eu'], ['prices.eux']],
    ['a*b*c', ['abc', 'axxbyyc'], ['acb', 'ab']],
    ['*', ['orders'], ['__groups', '__']],
    ['__groups', ['__groups'], ['groups']],
  ])('%j', (filter, taken, left) => {
    const parsed = parseFilter(filter);
    expect(taken.map((name) => takesTopic(parsed, name))).toEqual(taken.map(() => true));
    expect(left.map((name) => takesTopic(parsed, name))).toEqual(left.map(() => false));
  });

  it('is named when it is literal', () => {
    expect([parseFilter('orders/x').topic, parseFilter('+/x').topic, parseFilter('o*').topic]).toEqual([
      'orders',
      undefined,
      undefined,
    ]);
  });

  it.each([
    '',
    '/',
    '/a',
    '#/a',
    'a+',
    '++',
    '-a',
    '_a',
    '__*',
    'a b',
    'ä',
    'a/b/#/c',
    '.a',
    'a'.repeat(250),
    `*${'a'.repeat(250)}`,
  ])('refuses %j', (filter) => {
    expect(() => parseFilter(filter)).toThrow(expect.objectContaining({ code: 'INVALID_FILTER' }) as Error);
  });
});

describe('the keys of a filter', () => {
  it('are all when it has no key part', () => {
    expect(parseFilter('orders').matchesKey).toBeUndefined();
  });

  it('may be the empty key', () => {
    const { matchesKey } = parseFilter('orders/');
    expect([matchesKey!(Buffer.from('')), matchesKey!(Buffer.from('a')), matchesKey!(null)]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLeaseToken, encodeLeaseToken } from '../../src/wire/lease-token.ts';
import { codeOf } from './craft.ts';

const MAX = Number.MAX_SAFE_INTEGER;

describe('a lease token', () => {
  it.each([
    [{ partition: 0, grant: 0, offset: 0 }, '0.0.0'],
    [{ partition: 3, grant: 36, offset: 71 }, '3.10.1z'],
    [{ partition: 0xffff_ffff, grant: MAX, offset: MAX }, '1z141z3.2gosa7pa2gv.2gosa7pa2gv'],
  ])('of %j is %s', (token, text) => {
    expect(encodeLeaseToken(token)).toBe(text);
    expect(decodeLeaseToken(text)).toEqual(token);
  });

  it('comes back as it was', () => {
    const number = fc.maxSafeNat();
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), number, number, (partition, grant, offset) => {
        const token = { partition, grant, offset };
        expect(decodeLeaseToken(encodeLeaseToken(token))).toEqual(token);
      }),
    );
  });

  it.each([
    '',
    '1.2',
    '1.2.3.4',
    '1.2.',
    '01.2.3',
    'A.2.3',
    '-1.2.3',
    '1.2.3 ',
    '1z141z4.1.1',
    '1.2gosa7pa2gw.1',
    '1.1.zzzzzzzzzzz',
    '1.1.0zzzzzzzzzzzz',
  ])('is not %j', (text) => {
    expect(codeOf(() => decodeLeaseToken(text))).toBe('INVALID_ARGUMENT');
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { offsetFromWire, offsetToWire, readSafe64, writeSafe64 } from '../../src/wire/offset.ts';
import { codeOf } from './craft.ts';

describe('offset on the wire', () => {
  it('comes back up to 2^53 − 1', () => {
    expect(offsetFromWire(offsetToWire(Number.MAX_SAFE_INTEGER))).toBe(Number.MAX_SAFE_INTEGER);
  });

  it.each([2n ** 53n, 2n ** 64n - 1n, -1n])('is out of range at %s', (offset) => {
    expect(codeOf(() => offsetFromWire(offset))).toBe('OFFSET_OUT_OF_RANGE');
  });
});

describe('64-bit number', () => {
  it('is written as BigInt would write it', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const bytes = Buffer.alloc(8);
        writeSafe64(bytes, value, 0);
        expect(bytes.readBigInt64BE(0)).toBe(BigInt(value));
      }),
    );
  });

  it('is read exactly or not at all', () => {
    const near = [53n, 54n, 63n].flatMap((bit) =>
      [-1n, 0n, 1n].flatMap((by) => [2n ** bit + by, -(2n ** bit) + by]),
    );
    const value = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.constantFrom(...near.map((n) => BigInt.asIntN(64, n))),
    );
    fc.assert(
      fc.property(value, (wanted) => {
        const bytes = Buffer.alloc(8);
        bytes.writeBigInt64BE(wanted);
        const safe = Number.isSafeInteger(Number(wanted)) ? Number(wanted) : undefined;
        expect(readSafe64(bytes, 0)).toBe(safe);
      }),
    );
  });
});

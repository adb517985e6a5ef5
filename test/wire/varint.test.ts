import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { varintBytes, writeVarint } from '../../src/wire/varint.ts';

/** The textbook way, with BigInt. */
function zigzag(value: number): number[] {
  let left = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  const bytes: number[] = [];
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  bytes.push(Number(left));
  return bytes;
}

const edges = Array.from({ length: 53 }, (_, bit) => 2 ** bit).flatMap((n) => [n - 1, n, -n, -n - 1, -n + 1]);
const anyNumber = fc.oneof(
  fc.constantFrom(...edges.filter((n) => Number.isSafeInteger(n))),
  fc.maxSafeInteger(),
  fc.integer(),
  fc.integer({ min: -10_000, max: 10_000 }),
);

describe('varint', () => {
  it('is written as the textbook says', () => {
    fc.assert(
      fc.property(anyNumber, (value) => {
        const bytes = Buffer.alloc(16);
        const end = writeVarint(bytes, value, 0);
        expect([...bytes.subarray(0, end)]).toEqual(zigzag(value));
      }),
      { numRuns: 1000 },
    );
  });

  it('takes as many bytes as announced', () => {
    fc.assert(
      fc.property(anyNumber, (value) => {
        expect(varintBytes(value)).toBe(zigzag(value).length);
      }),
      { numRuns: 1000 },
    );
  });
});

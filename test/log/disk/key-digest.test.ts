import { describe, expect, it } from 'vitest';
import type { Random } from '../../../src/kernel/random.ts';
import { KeyDigest } from '../../../src/log/disk/key-digest.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

/** The key of the reference code's test vectors, for both halves. */
const REFERENCE: Random = {
  bytes: () => Buffer.from('00010203040506070001020304050607', 'hex'),
  fraction: () => 0,
  uuid: () => '',
};

/** Of the bytes 0, 1, 2, …, as many as the place in the list. */
const VECTORS = [
  '218d1f59b9b83cc8',
  'be552412f8387315',
  '064f39ef7c50eb57',
  'ce0f1a45f7060679',
  'd5e78a175be52ea1',
  'cb9d7c3f2f3db580',
  'ce3e91358aa2bc25',
  'ff202728b07bc684',
];

function digest(key: Buffer, random: Random): string {
  const digest = new KeyDigest(random);
  const bytes = Buffer.concat([Buffer.from('before'), key, Buffer.from('behind')]);
  digest.take(bytes, 6, key.length);
  const words = Buffer.alloc(16);
  digest.words.forEach((word, n) => words.writeInt32LE(word, n * 4));
  return words.toString('hex');
}

describe('key digest', () => {
  it.each(VECTORS.map((vector, length) => [length, vector] as const))(
    'is that of the reference code for %d bytes',
    (length, vector) => {
      const key = Buffer.from(Array.from({ length }, (_, n) => n));
      expect(digest(key, REFERENCE)).toBe(vector + vector);
    },
  );

  it('is that of the reference code for a longer text', () => {
    expect(digest(Buffer.from('Esto es un Test para hash'), REFERENCE).slice(0, 16)).toBe('eac1d8508e6a7f5a');
  });

  it('is another one with other secrets', () => {
    const key = Buffer.from('key');
    expect(digest(key, new SeededRandom(1))).not.toBe(digest(key, new SeededRandom(2)));
  });

  it('has two halves that differ', () => {
    const both = digest(Buffer.from('key'), new SeededRandom(1));
    expect(both.slice(0, 16)).not.toBe(both.slice(16));
  });
});

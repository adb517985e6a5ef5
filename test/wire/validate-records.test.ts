import { describe, expect, it } from 'vitest';
import { validateRecords } from '../../src/wire/validate-records.ts';
import { codeOf, craftBatch } from './craft.ts';
import { GOLDEN } from './golden-batches.ts';

describe('validateRecords', () => {
  it.each([
    ['plain', GOLDEN.plain],
    ['nulls', GOLDEN.nulls],
    ['gzip', GOLDEN.gzip],
    ['zstd', GOLDEN.zstd],
  ])('takes the golden batch %s', (_name, batch) => {
    expect(codeOf(() => validateRecords(batch, { keyMaxBytes: 1 }))).toBe('none');
  });

  it('refuses holes', () => {
    expect(codeOf(() => validateRecords(GOLDEN.holes, { keyMaxBytes: 100 }))).toBe('CORRUPT_BATCH');
  });

  it('refuses a key above its bound', () => {
    expect(codeOf(() => validateRecords(GOLDEN.plain, { keyMaxBytes: 0 }))).toBe('KEY_TOO_LARGE');
  });

  it('refuses records that make no sense', () => {
    expect(codeOf(() => validateRecords(craftBatch(Buffer.alloc(9, 7)), { keyMaxBytes: 100 }))).toBe(
      'CORRUPT_BATCH',
    );
  });

  it('refuses to inflate beyond the bound', () => {
    expect(codeOf(() => validateRecords(GOLDEN.gzip, { keyMaxBytes: 1, inflatedMaxBytes: 22 }))).toBe(
      'BATCH_TOO_LARGE',
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Codec } from '../../src/wire/codecs.ts';
import { checkBatch, readBatchHeader, stampBatch } from '../../src/wire/record-batch.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';
import { filterBatch } from '../../src/wire/record-batch-filter.ts';
import { codeOf, craftBatch, recordsOf } from './craft.ts';
import { GOLDEN } from './golden-batches.ts';

const anyCodec = fc.constantFrom<Codec>('none', 'gzip', 'zstd');

/** `count` records at offset 1000, with their number as key, times and headers that differ. */
function numbered(count: number, codec: Codec): Buffer {
  const encoder = new RecordBatchEncoder();
  for (let i = 0; i < count; i++) {
    encoder.append(
      Buffer.from(String(i)),
      Buffer.alloc(i % 90),
      i % 2 ? [{ key: 'n', value: null }] : [],
      1000 + i * 37,
    );
  }
  const batch = encoder.finish({ codec, producerId: 5, producerEpoch: 1, baseSequence: 9 });
  stampBatch(batch, 1000, 4);
  return batch;
}

describe('filterBatch', () => {
  it('keeps exactly the records that are wanted, with offset, time and headers', () => {
    const wanted = fc.array(fc.boolean(), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(wanted, anyCodec, (keep, codec) => {
        const batch = numbered(keep.length, codec);
        const filtered = filterBatch(batch, (record) => keep[record.offset - 1000] === true);
        checkBatch(filtered);
        expect(recordsOf(filtered)).toEqual(recordsOf(batch).filter((_, i) => keep[i]));
      }),
    );
  });

  it.each(['none', 'gzip', 'zstd'] as const)('keeps every field of the header but the count: %s', (codec) => {
    const batch = numbered(10, codec);
    const before = readBatchHeader(batch);
    const after = readBatchHeader(filterBatch(batch, (record) => record.offset === 1003));
    expect({ ...after, batchBytes: 0, crc: 0 }).toEqual({ ...before, batchBytes: 0, crc: 0, recordCount: 1 });
  });

  it('keeps the append time', () => {
    const batch = numbered(4, 'none');
    stampBatch(batch, 1000, 4, 777_777);
    const filtered = filterBatch(batch, (record) => record.offset === 1003);
    expect(recordsOf(filtered)[0]?.timestampMs).toBe(777_777);
  });

  it('gives back the very same bytes when everything stays', () => {
    const batch = numbered(5, 'zstd');
    expect(filterBatch(batch, () => true)).toBe(batch);
  });

  it('leaves a header that moves the position when nothing stays', () => {
    const empty = filterBatch(numbered(5, 'zstd'), () => false);
    const { recordCount, codec, baseOffset, lastOffsetDelta } = readBatchHeader(empty);
    expect([empty.length, recordCount, codec, baseOffset, lastOffsetDelta]).toEqual([61, 0, 'none', 1000, 4]);
  });

  it('does not change the batch it reads', () => {
    const batch = numbered(5, 'none');
    const before = Buffer.from(batch);
    filterBatch(batch, (record) => record.offset === 1001);
    expect(batch).toEqual(before);
  });

  it('takes an empty batch', () => {
    expect(filterBatch(GOLDEN.empty, () => true)).toBe(GOLDEN.empty);
  });

  it('refuses records that make no sense', () => {
    const batch = craftBatch(Buffer.alloc(20, 0xff));
    expect(codeOf(() => filterBatch(batch, () => true))).toBe('CORRUPT_BATCH');
  });

  it('refuses to inflate beyond the bound', () => {
    expect(codeOf(() => filterBatch(numbered(50, 'zstd'), () => true, 100))).toBe('BATCH_TOO_LARGE');
  });
});

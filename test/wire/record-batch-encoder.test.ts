import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CODECS } from '../../src/wire/codecs.ts';
import type { Codec } from '../../src/wire/codecs.ts';
import { readBatchHeader, verifyBatch } from '../../src/wire/record-batch.ts';
import type { HeaderInput } from '../../src/wire/record-batch-encoder.ts';
import { RecordBatchEncoder, recordBytesAtMost } from '../../src/wire/record-batch-encoder.ts';
import { codeOf, plain, recordsOf } from './craft.ts';
import { BASE_TIME_MS, GOLDEN } from './golden-batches.ts';

const b = (text: string): Buffer => Buffer.from(text);

/** The records of the golden batch `nulls`. */
function appendNulls(encoder: RecordBatchEncoder): void {
  encoder.append(null, b('a'), [], BASE_TIME_MS);
  encoder.append(b('k'), null, [], BASE_TIME_MS + 5);
  encoder.append(b(''), b(''), [], BASE_TIME_MS - 3);
}

const anyBytes = fc.option(fc.uint8Array({ maxLength: 200 }));
const anyRecord = fc.record({
  key: anyBytes,
  value: anyBytes,
  headers: fc.array(
    fc.record<HeaderInput>({
      key: fc.string({ maxLength: 10 }).filter((s) => s.isWellFormed()),
      value: anyBytes,
    }),
    {
      maxLength: 3,
    },
  ),
  timestampMs: fc.oneof(fc.nat(2 ** 31 - 1), fc.integer({ min: -(2 ** 51), max: 2 ** 51 })),
});

describe('RecordBatchEncoder', () => {
  it('writes the golden bytes of one record', () => {
    const encoder = new RecordBatchEncoder();
    encoder.append(b('k'), b('value'), [], BASE_TIME_MS);
    expect(encoder.finish({ codec: 'none' })).toEqual(GOLDEN.plain);
  });

  it('writes the golden bytes of null and empty keys and values', () => {
    const encoder = new RecordBatchEncoder();
    appendNulls(encoder);
    expect(encoder.finish({ codec: 'none' })).toEqual(GOLDEN.nulls);
  });

  it('writes the golden bytes of headers', () => {
    const encoder = new RecordBatchEncoder();
    const headers = [
      { key: 'trace', value: Buffer.from([1, 2]) },
      { key: 'über', value: null },
      { key: 'trace', value: b('') },
    ];
    encoder.append(b('k'), b('v'), headers, BASE_TIME_MS);
    expect(encoder.finish({ codec: 'none' })).toEqual(GOLDEN.headers);
  });

  it('writes the golden bytes of an idempotent producer', () => {
    const encoder = new RecordBatchEncoder();
    encoder.append(b('k'), b('value'), [], BASE_TIME_MS);
    const batch = encoder.finish({ codec: 'none', producerId: 4242, producerEpoch: 3, baseSequence: 17 });
    expect(batch).toEqual(GOLDEN.producer);
  });

  it('writes the golden bytes of long lengths and long times', () => {
    const encoder = new RecordBatchEncoder();
    encoder.append(b('k'), b('x'.repeat(70)), [], BASE_TIME_MS);
    encoder.append(b('k'), b('y'), [], BASE_TIME_MS + 40 * 86_400_000);
    expect(encoder.finish({ codec: 'none' })).toEqual(GOLDEN.long);
  });

  it('says in a compressed header what the golden one says', () => {
    const encoder = new RecordBatchEncoder();
    appendNulls(encoder);
    const header = readBatchHeader(encoder.finish({ codec: 'gzip' }));
    const golden = readBatchHeader(GOLDEN.gzip);
    expect({ ...header, batchBytes: 0, crc: 0 }).toEqual({ ...golden, batchBytes: 0, crc: 0 });
  });

  it('is read back as it was written, whatever the codec', () => {
    const encoder = new RecordBatchEncoder();
    const codecs = fc.constantFrom(...(Object.keys(CODECS) as Codec[]));
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 8 }), codecs, (records, codec) => {
        for (const r of records) encoder.append(r.key, r.value, r.headers, r.timestampMs);
        const batch = encoder.finish({ codec });
        verifyBatch(batch, { batchMaxBytes: 1 << 20 });
        expect(recordsOf(batch)).toEqual(
          records.map((r, offset) => plain({ ...r, offset } as Parameters<typeof plain>[0])),
        );
      }),
    );
  });

  it('says how large the batch is while it grows', () => {
    const encoder = new RecordBatchEncoder();
    appendNulls(encoder);
    expect([encoder.count, encoder.sizeBytes]).toEqual([3, GOLDEN.nulls.length]);
  });

  it('is empty after finish', () => {
    const encoder = new RecordBatchEncoder();
    appendNulls(encoder);
    encoder.finish({ codec: 'none' });
    expect([encoder.count, encoder.sizeBytes]).toEqual([0, 61]);
  });

  it('does not touch a batch it has given out when it goes on', () => {
    const encoder = new RecordBatchEncoder();
    appendNulls(encoder);
    const batch = encoder.finish({ codec: 'none' });
    encoder.append(b('other'), b('other'), [], 1);
    expect(batch).toEqual(GOLDEN.nulls);
  });

  it('grows for records larger than its buffer', () => {
    const encoder = new RecordBatchEncoder();
    const large = Buffer.alloc(10_000_000, 7);
    encoder.append(null, large, [], 0);
    expect(recordsOf(encoder.finish({ codec: 'none' }))[0]?.value).toHaveLength(20_000_000);
  });

  it('keeps the records it has when its buffer grows', () => {
    const encoder = new RecordBatchEncoder();
    for (let i = 0; i < 50; i++) encoder.append(null, Buffer.alloc(5000, i), [], i);
    const first = recordsOf(encoder.finish({ codec: 'none' })).map((record) => record.value?.slice(0, 2));
    expect(first).toEqual(Array.from({ length: 50 }, (_, i) => i.toString(16).padStart(2, '0')));
  });

  it('never needs more for a record than it says beforehand', () => {
    const encoder = new RecordBatchEncoder();
    fc.assert(
      fc.property(anyRecord, (r) => {
        encoder.clear();
        encoder.append(r.key, r.value, r.headers, r.timestampMs);
        expect(encoder.sizeBytes - 61).toBeLessThanOrEqual(recordBytesAtMost(r.key, r.value, r.headers));
      }),
    );
  });

  it.each([Number.NaN, 0.5, 2 ** 53])('refuses %d as a time', (timestampMs) => {
    expect(codeOf(() => new RecordBatchEncoder().append(null, null, [], timestampMs))).toBe(
      'INVALID_ARGUMENT',
    );
  });

  it('refuses a time too far from the first', () => {
    const encoder = new RecordBatchEncoder();
    encoder.append(null, null, [], -(2 ** 52));
    expect(codeOf(() => encoder.append(null, null, [], 2 ** 52))).toBe('INVALID_ARGUMENT');
  });

  it('keeps what it has when it refuses a record', () => {
    const encoder = new RecordBatchEncoder();
    appendNulls(encoder);
    codeOf(() => encoder.append(null, null, [], Number.NaN));
    expect(encoder.finish({ codec: 'none' })).toEqual(GOLDEN.nulls);
  });

  it('refuses to finish without records', () => {
    expect(codeOf(() => new RecordBatchEncoder().finish({ codec: 'none' }))).toBe('INVALID_ARGUMENT');
  });
});

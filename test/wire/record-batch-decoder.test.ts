import { describe, expect, it } from 'vitest';
import { compressRecords } from '../../src/wire/codecs.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { codeOf, craftBatch, plain, recordsOf } from './craft.ts';
import { BASE_TIME_MS, GOLDEN } from './golden-batches.ts';

const NULLS = [
  { offset: 0, timestampMs: BASE_TIME_MS, key: null, value: '61', headers: [] },
  { offset: 1, timestampMs: BASE_TIME_MS + 5, key: '6b', value: null, headers: [] },
  { offset: 2, timestampMs: BASE_TIME_MS - 3, key: '', value: '', headers: [] },
];

/** Reads everything of a batch of one record with these bytes (hex). */
function readRecord(hex: string): void {
  readAll(craftBatch(Buffer.from(hex, 'hex')));
}

function readAll(batch: Buffer): void {
  for (const record of new RecordBatch(batch).records()) plain(record);
}

describe('RecordBatch', () => {
  it.each([
    ['nulls', GOLDEN.nulls],
    ['gzip', GOLDEN.gzip],
    ['zstd', GOLDEN.zstd],
  ])('reads the golden batch %s', (_name, batch) => {
    expect(recordsOf(batch)).toEqual(NULLS);
  });

  it('reads the golden headers', () => {
    expect(recordsOf(GOLDEN.headers)[0]?.headers).toEqual([
      ['trace', '0102'],
      ['über', null],
      ['trace', ''],
    ]);
  });

  it('reads long lengths and long times', () => {
    expect(recordsOf(GOLDEN.long)).toEqual([
      { offset: 0, timestampMs: BASE_TIME_MS, key: '6b', value: '78'.repeat(70), headers: [] },
      { offset: 1, timestampMs: BASE_TIME_MS + 40 * 86_400_000, key: '6b', value: '79', headers: [] },
    ]);
  });

  it('reads no records of an empty batch, whose position still moves', () => {
    const batch = new RecordBatch(GOLDEN.empty);
    expect([Array.from(batch.records()), batch.nextOffset]).toEqual([[], 15]);
  });

  it('reads no records of an empty batch that names a codec', () => {
    expect(recordsOf(craftBatch(Buffer.alloc(0), { recordCount: 0, codec: 'zstd' }))).toEqual([]);
  });

  it('reads offsets with holes', () => {
    expect(recordsOf(GOLDEN.holes).map((record) => record.offset)).toEqual([101, 103]);
  });

  it('gives every record the append time where the broker stamped one', () => {
    expect(recordsOf(GOLDEN.appendTime)[0]?.timestampMs).toBe(BASE_TIME_MS + 99);
  });

  it('gives the same to forEach as to iteration', () => {
    const seen: unknown[] = [];
    new RecordBatch(GOLDEN.nulls).forEach((record) => seen.push(plain(record)));
    expect(seen).toEqual(NULLS);
  });

  it('can be read twice', () => {
    const batch = new RecordBatch(GOLDEN.gzip);
    Array.from(batch.records());
    expect(Array.from(batch.records(), plain)).toEqual(NULLS);
  });

  it('gives records that stay valid after the next one', () => {
    const kept = [...new RecordBatch(GOLDEN.nulls).records()];
    expect(kept.map(plain)).toEqual(NULLS);
  });

  it('refuses a wrong CRC', () => {
    const batch = Buffer.from(GOLDEN.plain);
    batch[73]! ^= 1;
    expect(codeOf(() => new RecordBatch(batch))).toBe('CORRUPT_BATCH');
  });

  it('does not look at the CRC when it was checked before', () => {
    const batch = Buffer.from(GOLDEN.plain);
    batch[17]! ^= 1;
    expect(codeOf(() => new RecordBatch(batch, { verifyCrc: false }))).toBe('none');
  });

  it('refuses another length than its own also without CRC', () => {
    const cut = GOLDEN.plain.subarray(0, 73);
    expect(codeOf(() => new RecordBatch(cut, { verifyCrc: false }))).toBe('CORRUPT_BATCH');
  });

  it('refuses records that inflate to more than the bound', () => {
    const batch = craftBatch(compressRecords('zstd', Buffer.alloc(5000)), { codec: 'zstd' });
    const open = new RecordBatch(batch, { inflatedMaxBytes: 4999 });
    expect(codeOf(() => open.cursor())).toBe('BATCH_TOO_LARGE');
  });

  it('reads the crafted record that the cases below break', () => {
    expect(codeOf(() => readRecord('1a000000026b0676616c02026b00'))).toBe('none');
  });

  it.each([
    ['a record longer than the batch', '1c000000026b0676616c02026b00'],
    ['a record shorter than its fields', '18000000026b0676616c02026b00'],
    ['a negative record length', '01000000026b0676616c02026b00'],
    ['a record length of 2^31 − 1', 'feffffff0f0000026b0676616c00'],
    ['a key longer than the record', '1a000000406b0676616c02026b00'],
    ['a key length of −2', '1a000000036b0676616c02026b00'],
    ['a value longer than the record', '1a000000026b4076616c02026b00'],
    ['a value length of −2', '1a000000026b0376616c02026b00'],
    ['more headers than there are', '1a000000026b0676616c04026b00'],
    ['a negative header count', '1a000000026b0676616c01026b00'],
    ['a header count of 2^31 − 1', '20000000026b0676616cfeffffff0f6b00'],
    ['a header without key', '14000000010104' + '01026b00'],
    ['a header key longer than the record', '1a000000026b0676616c02406b00'],
    ['a header key that is not UTF-8', '1a000000026b0676616c0202ff00'],
    ['a header value longer than the record', '1a000000026b0676616c02026b40'],
    ['a header value length of −2', '1a000000026b0676616c02026b03'],
    ['an offset delta beyond the last', '1a000002026b0676616c02026b00'],
    ['a negative offset delta', '1a000001026b0676616c02026b00'],
    ['nothing', ''],
    ['only a length', '1a'],
    ['a varint that never ends', 'ffffffffffffffffffffffff'],
    ['a varint of six bytes', '80808080800000000000'],
    ['a varint beyond 32 bits', 'ffffffff7f000000000000'],
    ['bytes after the last record', '1a000000026b0676616c02026b0000'],
    ['a time delta of eleven bytes', '20008080808080808080808000' + '00010100'],
    ['a time delta of 2^53', '1a00808080808080802000010100'],
    ['a time delta of 2^63 − 1', '1e00feffffffffffffffff0100010100'],
  ])('refuses %s', (_what, hex) => {
    expect(codeOf(() => readRecord(hex))).toBe('CORRUPT_BATCH');
  });

  it('refuses a time beyond 2^53 − 1 that is the sum of two that are not', () => {
    const record = Buffer.from('18' + '00' + 'feffffffffff07' + '000101' + '00', 'hex');
    const batch = craftBatch(record, { baseTimestampMs: Number.MAX_SAFE_INTEGER - 1 });
    expect(codeOf(() => readAll(batch))).toBe('CORRUPT_BATCH');
  });

  it('reads the largest time delta that is exact', () => {
    // 2^53 − 2 is the magnitude; its zigzag has 54 bits.
    const record = Buffer.from('1a' + '00' + 'fcffffffffffff1f' + '000101' + '00', 'hex');
    const [read] = recordsOf(craftBatch(record, { baseTimestampMs: 0 }));
    expect(read?.timestampMs).toBe(Number.MAX_SAFE_INTEGER - 1);
  });

  it('refuses a record that hides another inside its length', () => {
    const hidden = '0c' + '00' + '00' + '02' + '01' + '01' + '00';
    const outer = '1a' + '00' + '00' + '00' + '01' + '01' + '00' + hidden;
    const batch = craftBatch(Buffer.from(outer, 'hex'), { recordCount: 2 });
    expect(codeOf(() => readAll(batch))).toBe('CORRUPT_BATCH');
  });

  it('refuses offset deltas that do not rise', () => {
    const twice = Buffer.concat([GOLDEN.plain.subarray(61), GOLDEN.plain.subarray(61)]);
    expect(codeOf(() => readAll(craftBatch(twice, { recordCount: 2 })))).toBe('CORRUPT_BATCH');
  });

  it('refuses fewer records than the header counts', () => {
    const batch = craftBatch(GOLDEN.plain.subarray(61), { recordCount: 2 });
    expect(codeOf(() => readAll(batch))).toBe('CORRUPT_BATCH');
  });

  it('refuses more records than the header counts', () => {
    const batch = craftBatch(GOLDEN.nulls.subarray(61), { recordCount: 2 });
    expect(codeOf(() => readAll(batch))).toBe('CORRUPT_BATCH');
  });
});

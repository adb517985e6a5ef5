import { describe, expect, it } from 'vitest';
import { holesOf, inspectBatch } from '../../../src/groups/queue/batch-inspection.ts';
import { batchToSend } from '../../../src/groups/queue/leased-batch.ts';
import type { Codec } from '../../../src/wire/codecs.ts';
import { CODECS } from '../../../src/wire/codecs.ts';
import { stampBatch } from '../../../src/wire/record-batch.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import { filterBatch } from '../../../src/wire/record-batch-filter.ts';
import { textOf } from '../../support/batch.ts';

function batchOf(
  records: readonly { key?: string; value?: string; headers?: Record<string, string> }[],
  codec: Codec = 'none',
): Buffer {
  const encoder = new RecordBatchEncoder();
  for (const { key, value = 'v', headers = {} } of records) {
    const wired = Object.entries(headers).map(([name, value]) => ({ key: name, value: Buffer.from(value) }));
    encoder.append(key === undefined ? null : Buffer.from(key), Buffer.from(value), wired, 1);
  }
  const batch = encoder.finish({ codec });
  stampBatch(batch, 10, 1);
  return batch;
}

const codecs = Object.keys(CODECS) as Codec[];

describe('what a queue has to know of records', () => {
  it.each(codecs)('is nothing without headers, holes or order (%s)', (codec) => {
    expect(
      inspectBatch(batchOf([{ key: 'a' }, { headers: { other: '1' } }], codec), false).records,
    ).toBeUndefined();
  });

  it.each(codecs)('is when they may be delivered (%s)', (codec) => {
    const headers = { 'sluice-deliver-at': '5', 'sluice-expire-at': '900000000000000' };
    expect(inspectBatch(batchOf([{}, { headers }], codec), false).records).toEqual([
      { offset: 10 },
      { offset: 11, availableAtMs: 5, expiresAtMs: 900_000_000_000_000 },
    ]);
  });

  it('is their keys where their order counts', () => {
    const [first, second, third] = inspectBatch(batchOf([{ key: 'a' }, { key: 'a' }, {}]), true).records!;
    expect(first?.keyHash).toBe(second?.keyHash);
    expect(first?.keyHash).toBeGreaterThanOrEqual(0);
    expect(third?.keyHash).toBeUndefined();
  });

  it('is which offsets have a record where some were taken out', () => {
    const batch = filterBatch(batchOf([{}, {}, {}]), ({ offset }) => offset !== 11);
    expect(inspectBatch(batch, false).records).toEqual([{ offset: 10 }, { offset: 12 }]);
    expect(holesOf(batch, 10, 13)).toEqual([{ first: 11, end: 12 }]);
    expect(holesOf(batchOf([{}, {}]), 10, 12)).toEqual([]);
  });

  it('takes as much looking as it inflates to', () => {
    const value = 'x'.repeat(100_000);
    const plain = batchOf([{ value }]);
    const small = batchOf([{ value }], 'zstd');
    expect(small.length).toBeLessThan(1000);
    expect(inspectBatch(plain, false).bytes).toBe(plain.length);
    expect(inspectBatch(small, false).bytes).toBeGreaterThan(100_000);
    expect(inspectBatch(small, true).bytes).toBeGreaterThan(100_000);
    small.fill(0xff, 61);
    expect(inspectBatch(small, false).bytes).toBeGreaterThan(100_000);
  });

  it('is nothing where a batch cannot be read', () => {
    const batch = batchOf([{ headers: { 'sluice-deliver-at': '5' } }], 'zstd');
    batch.fill(0xff, 61);
    expect(inspectBatch(batch, false).records).toBeUndefined();
    expect(batchToSend(batch, [{ first: 10, end: 11 }])).toBe(batch);
  });
});

describe('the bytes that go with leases', () => {
  const large = batchOf(Array.from({ length: 100 }, () => ({ key: 'k'.repeat(100) })));

  it('are the batch itself where half of it is leased, or it is small', () => {
    expect(batchToSend(large, [{ first: 10, end: 70 }])).toBe(large);
    const small = batchOf([{}, {}, {}]);
    expect(batchToSend(small, [{ first: 10, end: 11 }])).toBe(small);
  });

  it('are only the leased records where they are few', () => {
    const sent = batchToSend(large, [
      { first: 12, end: 13 },
      { first: 50, end: 52 },
    ]);
    expect(textOf([sent]).map((text) => text.split(' ')[0])).toEqual(['12', '50', '51']);
    expect(sent.length).toBeLessThan(1000);
  });
});

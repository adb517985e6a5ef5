import { describe, expect, it } from 'vitest';
import { HeldRecords } from '../../../../src/gateway/http/streams/held-records.ts';
import { ByteBudget } from '../../../../src/log/byte-budget.ts';
import { stampBatch } from '../../../../src/wire/record-batch.ts';
import { batchOf, stampedBatch } from '../../../support/batch.ts';

const MAX = { maxInflatedBytes: 1024 * 1024 };
const RECORDS = Array.from({ length: 5 }, (_, index) => ({ value: `${index} ${'x'.repeat(1000)}` }));

function compressed(baseOffset: number): Buffer {
  const batch = batchOf(RECORDS, { codec: 'gzip' });
  stampBatch(batch, baseOffset, 1);
  return batch;
}

function rest(records: HeldRecords): number[] {
  const offsets: number[] = [];
  for (let record = records.next(); record; record = records.next()) offsets.push(record.offset);
  return offsets;
}

describe('records that are held', () => {
  it('are those from a place on, of all batches', () => {
    const records = new HeldRecords([stampedBatch(10, 3), compressed(13)], 12, {
      inflated: new ByteBudget(0),
      ...MAX,
    });
    expect(rest(records)).toEqual([12, 13, 14, 15, 16, 17]);
  });

  it('stay inflated for a client that does not read only within bounds, and go on where they were', () => {
    const inflated = new ByteBudget(8000);
    const kept = new HeldRecords([compressed(0)], 0, { inflated, ...MAX });
    const dropped = new HeldRecords([compressed(0)], 0, { inflated, ...MAX });
    for (const records of [kept, dropped]) {
      records.next();
      records.rest();
    }
    const usedBytes = inflated.usedBytes;
    expect(usedBytes).toBeGreaterThan(5000);
    expect(usedBytes).toBeLessThan(8000);
    dropped.rest();
    expect([rest(kept), rest(dropped), inflated.usedBytes]).toEqual([[1, 2, 3, 4], [1, 2, 3, 4], 0]);
  });

  it('give back what they hold', () => {
    const inflated = new ByteBudget(8000);
    const records = new HeldRecords([compressed(0)], 0, { inflated, ...MAX });
    records.next();
    records.rest();
    records.rest();
    records.release();
    records.release();
    expect(inflated.usedBytes).toBe(0);
  });

  it('are refused where a batch inflates to too much', () => {
    const bounds = { inflated: new ByteBudget(0), maxInflatedBytes: 1000 };
    expect(() => new HeldRecords([compressed(0)], 0, bounds).next()).toThrow(
      expect.objectContaining({ code: 'BATCH_TOO_LARGE' }),
    );
  });
});

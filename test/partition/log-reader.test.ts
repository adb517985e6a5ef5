import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteBudget } from '../../src/log/byte-budget.ts';
import type { PartitionReader, Start } from '../../src/partition/reader.ts';
import type { KeyPredicate } from '../../src/partition/reader-source.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { BATCH_FIELD, batchNextOffset, batchRecordCount } from '../../src/wire/record-batch.ts';
import { crc32c } from '@node-rs/crc32';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { openPartition, readAll, readNow } from './fixture.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const keyIs =
  (...wanted: string[]): KeyPredicate =>
  (key) =>
    key !== null && wanted.includes(key.toString());
const open = (partition: Partition, start: Start, keep?: KeyPredicate): PartitionReader =>
  partition.openReader(start, keep) as PartitionReader;

/** A batch whose CRC is right and whose records are not. */
function garbage(): Buffer {
  const batch = batchOf([{ value: 'x'.repeat(50) }]);
  batch.fill(0xff, 61);
  batch.writeUInt32BE(crc32c(batch.subarray(BATCH_FIELD.ATTRIBUTES)), BATCH_FIELD.CRC);
  return batch;
}

describe('where a reader begins', () => {
  const filled = (): Partition => {
    const partition = openPartition();
    [100, 200, 300].forEach((timestampMs) =>
      partition.append(batchOf([{ timestampMs }, { timestampMs: timestampMs + 50 }])),
    );
    return partition;
  };

  it.each<[Start, number]>([
    [{ at: 'latest' }, 6],
    [{ at: 'earliest' }, 0],
    [{ at: 'offset', offset: 3 }, 3],
    [{ at: 'offset', offset: 6 }, 6],
    [{ at: 'timestamp', timestampMs: 0 }, 0],
    [{ at: 'timestamp', timestampMs: 220 }, 3],
    [{ at: 'timestamp', timestampMs: 351 }, 6],
  ])('%j is offset %i', (start, offset) => {
    expect(open(filled(), start).nextOffset).toBe(offset);
  });

  it.each([
    [7, 'OFFSET_OUT_OF_RANGE'],
    [-1, 'INVALID_ARGUMENT'],
    [2 ** 60, 'INVALID_ARGUMENT'],
    [1.5, 'INVALID_ARGUMENT'],
  ])('refuses offset %d', (offset, code) => {
    expect(() => filled().openReader({ at: 'offset', offset })).toThrow(coded(code));
  });

  it.each([
    [100, 1],
    [150, 1],
    [200, 2],
  ])('finds time %i among what is left of a batch', (timestampMs, offset) => {
    const partition = filled();
    partition.deleteBefore(1);
    expect(open(partition, { at: 'timestamp', timestampMs }).nextOffset).toBe(offset);
  });

  it('goes on behind what is left of a batch where only deleted records had the time', () => {
    const partition = openPartition();
    partition.append(batchOf([{ timestampMs: 300 }, { timestampMs: 100 }]));
    partition.append(batchOf([{ timestampMs: 300 }]));
    partition.deleteBefore(1);
    expect(open(partition, { at: 'timestamp', timestampMs: 200 }).nextOffset).toBe(2);
  });

  it('finds a time in records that cannot be read no closer than their batch', () => {
    const partition = filled();
    partition.append(garbage());
    expect(open(partition, { at: 'timestamp', timestampMs: 900 }).nextOffset).toBe(6);
  });
});

describe('a reader without filter', () => {
  it('hands out the very bytes of the log', () => {
    const partition = openPartition();
    partition.append(batchOf([{ value: 'x'.repeat(10_000) }]));
    const [one, other] = [open(partition, { at: 'earliest' }), open(partition, { at: 'earliest' })].map(
      (reader) => readNow(reader),
    );
    expect(
      one!.kind === 'batches' && other!.kind === 'batches' && one!.batches[0] === other!.batches[0],
    ).toBe(true);
  });

  it('reports exactly what is gone and goes on behind it', () => {
    const partition = openPartition({ retentionRecords: 20 });
    const reader = open(partition, { at: 'earliest' });
    for (let batch = 0; batch < 5; batch++) partition.append(batchOf(10));
    expect(readNow(reader)).toEqual({ kind: 'gap', from: 0, to: 30, reason: 1 });
    expect([reader.nextOffset, reader.gapRecords, partition.counters.gapRecords]).toEqual([30, 30, 30]);
    expect(readAll(reader)).toHaveLength(20);
  });

  it('says whether what is gone was deleted', () => {
    const partition = openPartition({ retentionRecords: 20 });
    const reader = open(partition, { at: 'earliest' });
    partition.append(batchOf(10));
    partition.deleteBefore(4);
    expect(readNow(reader)).toEqual({ kind: 'gap', from: 0, to: 4, reason: 2 });
    for (let batch = 0; batch < 5; batch++) partition.append(batchOf(10));
    expect(readNow(reader)).toEqual({ kind: 'gap', from: 4, to: 40, reason: 1 });
  });

  it('reports a gap that arises while it reads', () => {
    const partition = openPartition({ retentionRecords: 30 });
    const reader = open(partition, { at: 'earliest' });
    for (let batch = 0; batch < 3; batch++) partition.append(batchOf(10));
    readNow(reader, 1);
    for (let batch = 0; batch < 3; batch++) partition.append(batchOf(10));
    expect(readNow(reader)).toEqual({ kind: 'gap', from: 10, to: 30, reason: 1 });
  });

  it('knows its lag', () => {
    const clock = new FakeClock();
    const partition = openPartition({ clock });
    const reader = open(partition, { at: 'latest' });
    partition.append(batchOf(10));
    clock.advance(40);
    partition.append(batchOf(5));
    expect(reader.lag()).toEqual({ records: 15, bytes: batchOf(10).length + batchOf(5).length, ms: 40 });
    readAll(reader);
    expect(reader.lag()).toEqual({ records: 0, bytes: 0, ms: 0 });
  });

  it('reads garbage that is well wrapped like anything else', () => {
    const partition = openPartition();
    partition.append(garbage());
    expect(readNow(open(partition, { at: 'earliest' })).kind).toBe('batches');
  });

  it('misses nothing and repeats nothing without saying so, at any pace', () => {
    const step = fc.oneof(
      fc.record({ append: fc.integer({ min: 1, max: 20 }) }),
      fc.record({ read: fc.integer({ min: 1, max: 600 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const partition = openPartition({ retentionRecords: 50 });
        const reader = open(partition, { at: 'latest' });
        let expected = 0;
        for (const one of steps) {
          if ('append' in one) {
            partition.append(batchOf(one.append));
            continue;
          }
          const result = readNow(reader, one.read);
          if (result.kind === 'gap') {
            expect(result.from).toBe(expected);
            expected = result.to;
          } else if (result.kind === 'batches') {
            for (const batch of result.batches) {
              expect(batchNextOffset(batch) - batchRecordCount(batch)).toBe(expected);
              expected = batchNextOffset(batch);
            }
          } else {
            expect(expected).toBe(partition.highWatermark);
          }
        }
      }),
    );
  });
});

describe('a reader with a key filter', () => {
  it('hands out matching records with their offsets, and batches of only those untouched', () => {
    const partition = openPartition();
    partition.append(batchOf([{ key: 'a' }, { key: 'b' }, { key: 'a' }]));
    partition.append(batchOf([{ key: 'b' }]));
    partition.append(batchOf([{ key: 'a' }], { codec: 'zstd' }));
    expect(readAll(open(partition, { at: 'earliest' }, keyIs('a')))).toEqual(['0 a=v', '2 a=v', '4 a=v']);
  });

  it('stays quiet about batches nobody wants, and moves on', () => {
    const partition = openPartition();
    const reader = open(partition, { at: 'earliest' }, keyIs('a'));
    partition.append(batchOf([{ key: 'b' }, { key: 'b' }]));
    expect(readNow(reader)).toEqual({ kind: 'idle' });
    expect(reader.nextOffset).toBe(2);
  });

  it('looks at no more than about a megabyte per read, then tells its position with an empty batch', () => {
    const partition = openPartition();
    for (let batch = 0; batch < 30; batch++)
      partition.append(batchOf([{ key: 'b', value: 'x'.repeat(100_000) }]));
    const reader = open(partition, { at: 'earliest' }, keyIs('a'));
    const result = readNow(reader);
    const [empty] = result.kind === 'batches' ? result.batches : [];
    expect([batchRecordCount(empty!), batchNextOffset(empty!)]).toEqual([0, 11]);
    expect(reader.nextOffset).toBe(11);
  });

  it('stops early when looking takes long', () => {
    class SlowClock extends FakeClock {
      override monotonicMs(): number {
        this.advance(3);
        return super.monotonicMs();
      }
    }
    const partition = openPartition({ clock: new SlowClock() });
    for (let batch = 0; batch < 10; batch++) partition.append(batchOf([{ key: 'b' }]));
    const reader = open(partition, { at: 'earliest' }, keyIs('a'));
    expect(readNow(reader).kind).toBe('batches');
    expect(reader.nextOffset).toBeLessThan(10);
  });

  it('stops early when looking takes long, however little each round of it reads', () => {
    class SlowClock extends FakeClock {
      override monotonicMs(): number {
        this.advance(1);
        return super.monotonicMs();
      }
    }
    const partition = openPartition({ clock: new SlowClock() });
    for (let batch = 0; batch < 50; batch++) partition.append(batchOf([{ key: 'b' }]));
    const reader = open(partition, { at: 'earliest' }, keyIs('a'));
    expect(readNow(reader, 1).kind).toBe('batches');
    expect(reader.nextOffset).toBeLessThan(6);
  });

  it.each([
    ['that cannot be read', 'CORRUPT_BATCH', garbage],
    [
      'that inflate beyond the bound',
      'BATCH_TOO_LARGE',
      () => batchOf([{ value: '0'.repeat(3_000_000) }], { codec: 'zstd' }),
    ],
  ])('ends with its own error at records %s, and nobody else does', (_what, code, batch) => {
    const partition = openPartition();
    partition.append(batch());
    partition.append(batchOf([{ key: 'a' }]));
    const [filtered, other] = [
      open(partition, { at: 'earliest' }, keyIs('a')),
      open(partition, { at: 'earliest' }),
    ];
    expect(readNow(filtered)).toEqual({ kind: 'ended', code });
    expect(readNow(filtered)).toEqual({ kind: 'ended', code });
    expect(readNow(other).kind).toBe('batches');
    expect(partition.readers).toBe(1);
  });
});

describe('a reader from the last record of each key', () => {
  const lastPerKey: Start = { at: 'last-per-key' };

  it('hands out the latest of each key, in order, then everything new', () => {
    const partition = openPartition();
    partition.append(batchOf([{ key: 'a', value: '1' }, { key: 'b', value: '1' }, { value: 'keyless' }]));
    partition.append(
      batchOf([
        { key: 'c', value: '1' },
        { key: 'a', value: '2' },
      ]),
    );
    const reader = open(partition, lastPerKey);
    expect(readAll(reader)).toEqual(['1 b=1', '3 c=1', '4 a=2']);
    partition.append(
      batchOf([
        { key: 'a', value: '3' },
        { key: 'a', value: '4' },
      ]),
    );
    expect(readAll(reader)).toEqual(['5 a=3', '6 a=4']);
  });

  it('hands out a latest record that says the key is gone', () => {
    const partition = openPartition();
    partition.append(
      batchOf([
        { key: 'a', value: '1' },
        { key: 'a', value: null },
      ]),
    );
    expect(readAll(open(partition, lastPerKey))).toEqual(['1 a=null']);
  });

  it('goes together with a key filter', () => {
    const partition = openPartition();
    partition.append(
      batchOf([
        { key: 'a', value: '1' },
        { key: 'b', value: '1' },
        { key: 'a', value: '2' },
      ]),
    );
    const reader = open(partition, lastPerKey, keyIs('a'));
    partition.append(
      batchOf([
        { key: 'b', value: '2' },
        { key: 'a', value: '3' },
      ]),
    );
    expect(readAll(reader)).toEqual(['2 a=2', '4 a=3']);
  });

  it('is a reader like any other on an empty log', () => {
    const partition = openPartition();
    const reader = open(partition, lastPerKey);
    expect(readNow(reader)).toEqual({ kind: 'idle' });
    partition.append(batchOf([{ key: 'a' }]));
    expect(readAll(reader)).toEqual(['0 a=v']);
  });

  it('lets others have their turn between the steps of a long scan', () => {
    const clock = new FakeClock();
    const partition = openPartition({ clock });
    for (let batch = 0; batch < 50; batch++) {
      partition.append(batchOf([{ key: `k${batch % 3}`, value: 'x'.repeat(100_000) }]));
    }
    const reader = open(partition, lastPerKey);
    let idle = 0;
    let result = readNow(reader);
    while (result.kind === 'idle' && idle < 20) {
      idle++;
      let woken = false;
      reader.onReadable = () => (woken = true);
      clock.advance(0);
      expect(woken).toBe(true);
      result = readNow(reader);
    }
    expect([idle, result.kind === 'batches' && result.batches.map(batchNextOffset)]).toEqual([
      4,
      [48, 49, 50],
    ]);
  });

  it.each([
    ['lets others have their turn within a batch of many keys', 10_000_000, 9],
    ['goes through such a batch at once where what it holds would be too much', 100_000, 0],
  ])('%s', (_what, budgetBytes, steps) => {
    const clock = new FakeClock();
    const scanBudget = new ByteBudget(budgetBytes);
    const partition = openPartition({ clock, scanBudget });
    const records = Array.from({ length: 10_000 }, (_, index) => ({
      key: `${index % 10}`,
      value: `${index}`,
    }));
    partition.append(batchOf(records));
    let seen = 0;
    const reader = partition.openReader(lastPerKey, () => {
      if (++seen % 1000 === 0) clock.advance(5);
      return true;
    }) as PartitionReader;
    let idle = 0;
    let result = readNow(reader);
    for (; result.kind === 'idle' && idle < 50; result = readNow(reader)) {
      idle += 1;
      clock.advance(0);
    }
    expect(idle).toBe(steps);
    expect(result.kind === 'batches' && result.batches.map(batchRecordCount)).toEqual([10]);
    expect(seen).toBe(10_000);
    reader.close();
    expect(scanBudget.usedBytes).toBe(0);
  });

  it('reports no gap for records that were no key’s latest', () => {
    const clock = new FakeClock();
    const partition = openPartition({ clock, retentionRecords: 15 });
    for (let round = 0; round < 15; round++) partition.append(batchOf([{ key: 'a', value: `${round}` }]));
    const reader = open(partition, lastPerKey);
    for (let round = 0; round < 10; round++) partition.append(batchOf([{ key: 'b', value: `${round}` }]));
    expect(readAll(reader)[0]).toBe('14 a=14');
  });

  it('ends with OVERLOADED when there are more keys than may be remembered, and gives all back', () => {
    const scanBudget = new ByteBudget(10_000);
    const partition = openPartition({ scanBudget });
    partition.append(batchOf(Array.from({ length: 500 }, (_, index) => ({ key: `key ${index}` }))));
    expect(readNow(open(partition, lastPerKey))).toEqual({ kind: 'ended', code: 'OVERLOADED' });
    expect(scanBudget.usedBytes).toBe(0);
  });

  it('gives back what it remembers once it has handed out the latest records, and when it is closed', () => {
    const scanBudget = new ByteBudget(10_000);
    const partition = openPartition({ scanBudget });
    partition.append(batchOf([{ key: 'a' }, { key: 'b' }]));
    readAll(open(partition, lastPerKey));
    expect(scanBudget.usedBytes).toBe(0);
    const left = open(partition, lastPerKey);
    readNow(left);
    left.close();
    expect(scanBudget.usedBytes).toBe(0);
  });

  it('ends with the error of records that cannot be read', () => {
    const partition = openPartition();
    partition.append(garbage());
    expect(readNow(open(partition, lastPerKey))).toEqual({ kind: 'ended', code: 'CORRUPT_BATCH' });
  });

  it('finds what a map of the whole log finds', () => {
    const records = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', null) }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(fc.array(records, { maxLength: 30 }), (batches) => {
        const partition = openPartition();
        const latest = new Map<string, number>();
        let offset = 0;
        for (const batch of batches) {
          partition.append(batchOf(batch));
          for (const { key } of batch) {
            if (key !== null) latest.set(key, offset);
            offset++;
          }
        }
        const expected = [...latest].sort(([, a], [, b]) => a - b).map(([key, at]) => `${at} ${key}=v`);
        expect(readAll(open(partition, lastPerKey))).toEqual(expected);
      }),
    );
  });
});

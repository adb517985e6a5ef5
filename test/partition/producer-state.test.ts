import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { decodeProducers, encodeProducers } from '../../src/partition/producer-snapshot.ts';
import type { ProducerBatch } from '../../src/partition/producer-window.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import { readBatchHeader, stampBatch } from '../../src/wire/record-batch.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { from } from './producer-batches.ts';

const DAY_MS = 86_400_000;

let clock: FakeClock;

const open = (maxProducers = 100, on = clock): ProducerWindow =>
  new ProducerWindow(on, maxProducers, { producers: 0, maxProducers: 1000 });
/** Does what a partition does; says what came of it. */
function offer(window: ProducerWindow, batch: ProducerBatch, offset: number): number | ErrorCode {
  try {
    const stored = window.check(batch);
    if (stored) return stored.baseOffset;
    window.record(batch, offset, 0);
    return offset;
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
}

beforeEach(() => {
  clock = new FakeClock();
});

describe('the state of producers', () => {
  it('behaves, restored from a snapshot, as it did before', () => {
    const attempt = fc.record({
      producer: fc.integer({ min: 1, max: 8 }),
      epoch: fc.nat(2),
      sequence: fc.nat(6).map((step) => step * 2),
      records: fc.constantFrom(2, 4),
      waitMs: fc.constantFrom(0, 1000, 3 * DAY_MS),
    });
    const attempts = fc.array(attempt, { maxLength: 100 });
    fc.assert(
      fc.property(attempts, attempts, (before, after) => {
        clock = new FakeClock();
        const window = open(5);
        let offset = 0;
        const run = ({ producer, epoch, sequence, records }: (typeof before)[number], to: ProducerWindow) =>
          offer(to, from(producer, sequence, records, epoch), offset);
        for (const one of before) {
          clock.advance(one.waitMs);
          run(one, window);
          offset += one.records;
        }
        const restored = open(5);
        restored.restore(window.snapshot());
        for (const one of after) {
          clock.advance(one.waitMs);
          expect(run(one, restored)).toBe(run(one, window));
          offset += one.records;
        }
        expect(restored.snapshot()).toEqual(window.snapshot());
      }),
    );
  });

  it('counts the age of a producer on while nothing runs', () => {
    const window = open();
    offer(window, from(1, 0), 0);
    const snapshot = window.snapshot();
    const later = new FakeClock(clock.now() + 7 * DAY_MS);
    const restored = open(100, later);
    restored.restore(snapshot);
    expect(offer(restored, from(1, 10), 10)).toBe('UNKNOWN_PRODUCER');
  });

  it('takes a producer from the future, by a clock that was set back, for one of now', () => {
    const window = open();
    offer(window, from(1, 0), 0);
    const snapshot = window.snapshot();
    const earlier = new FakeClock(clock.now() - 30 * DAY_MS);
    const restored = open(100, earlier);
    restored.restore(snapshot);
    earlier.advance(7 * DAY_MS);
    expect(offer(restored, from(1, 10), 10)).toBe('UNKNOWN_PRODUCER');
  });

  it('replaces what it knew before, and what that took of the budget', () => {
    const budget = { producers: 0, maxProducers: 1000 };
    const window = new ProducerWindow(clock, 100, budget);
    offer(window, from(1, 0), 0);
    const snapshot = window.snapshot();
    offer(window, from(2, 0), 10);
    offer(window, from(3, 0), 20);
    window.restore(snapshot);
    expect([window.size, budget.producers, offer(window, from(2, 10), 30)]).toEqual([
      1,
      1,
      'UNKNOWN_PRODUCER',
    ]);
  });

  it('comes back from batches of the log, also of producers whose first ones are gone', () => {
    const window = open();
    const batch = batchOf(3, { producerId: 7, producerEpoch: 2, baseSequence: 30 });
    stampBatch(batch, 100, 1, 5000);
    window.replay(readBatchHeader(batch));
    expect(window.check(from(7, 30, 3, 2))).toMatchObject({ baseOffset: 100, appendTimeMs: 5000 });
    expect(offer(window, from(7, 33, 1, 2), 103)).toBe(103);
  });

  it('goes on behind a batch that compaction has taken records out of', () => {
    const window = open();
    const header = readBatchHeader(batchOf(5, { producerId: 7, producerEpoch: 0, baseSequence: 0 }));
    window.replay({ ...header, recordCount: 1 });
    expect(offer(window, from(7, 5, 1), 5)).toBe(5);
  });

  it('is not touched by batches without a producer', () => {
    const window = open();
    window.replay(readBatchHeader(batchOf(5)));
    expect(window.size).toBe(0);
  });
});

describe('a snapshot of producers', () => {
  const producers = [
    {
      id: 300,
      epoch: 2,
      nextSequence: 7,
      lastAppendMs: 1_700_000_000_000,
      batches: [{ baseSequence: 5, recordCount: 2, baseOffset: 2 ** 33, appendTimeMs: 0 }],
    },
    { id: 4, epoch: 0, nextSequence: 2 ** 31 - 1, lastAppendMs: 5, batches: [] },
  ];

  it('has the layout it is documented with', () => {
    expect(encodeProducers(producers).toString('hex')).toBe(
      [
        '0001 00000002',
        '000000000000012c 0002 00000007 0000018bcfe56800 01',
        '00000005 00000002 0000000200000000 0000000000000000',
        '0000000000000004 0000 7fffffff 0000000000000005 00',
      ]
        .join('')
        .replaceAll(' ', ''),
    );
  });

  it('reads back as it was', () => {
    expect(decodeProducers(encodeProducers(producers))).toEqual(producers);
  });

  it('is refused when it is cut off or longer', () => {
    const bytes = encodeProducers(producers);
    const failed = expect.objectContaining({ code: 'STORAGE_FAILED' }) as Error;
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeProducers(bytes.subarray(0, length))).toThrow(failed);
    }
    expect(() => decodeProducers(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(failed);
  });

  it('of another version is refused and changes nothing', () => {
    const window = open();
    offer(window, from(1, 0), 0);
    const bytes = window.snapshot();
    bytes.writeUInt16BE(2, 0);
    expect(() => window.restore(bytes)).toThrow(expect.objectContaining({ code: 'STORAGE_FAILED' }) as Error);
    expect(window.size).toBe(1);
  });
});

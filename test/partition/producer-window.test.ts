import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { ProducerBatch, ProducerBudget } from '../../src/partition/producer-window.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import type { BatchHeader } from '../../src/wire/record-batch.ts';
import { readBatchHeader, stampBatch } from '../../src/wire/record-batch.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { from } from './producer-batches.ts';

const DAY_MS = 86_400_000;

let clock: FakeClock;
let budget: ProducerBudget;
let window: ProducerWindow;
let nextOffset: number;

/** Does what a partition does; says what came of it. */
function offer(batch: ProducerBatch, to = window): number | ErrorCode {
  try {
    const stored = to.check(batch);
    if (stored) return stored.baseOffset;
    to.record(batch, nextOffset, 0);
    nextOffset += batch.recordCount;
    return nextOffset - batch.recordCount;
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
}

beforeEach(() => {
  clock = new FakeClock();
  budget = { producers: 0, maxProducers: 1000 };
  window = new ProducerWindow(clock, 100, budget);
  nextOffset = 0;
});

describe('a producer window', () => {
  it('lets consecutive sequences through', () => {
    expect([offer(from(1, 0)), offer(from(1, 10)), offer(from(1, 20, 5)), offer(from(1, 25))]).toEqual([
      0, 10, 20, 25,
    ]);
  });

  it('answers each of the last five batches with its first answer', () => {
    for (let batch = 0; batch < 7; batch++) offer(from(1, batch * 10));
    expect([20, 30, 40, 50, 60].map((sequence) => offer(from(1, sequence)))).toEqual([20, 30, 40, 50, 60]);
    expect(offer(from(1, 10))).toBe('OUT_OF_ORDER_SEQUENCE');
  });

  it('takes a batch with a known sequence and another count for a mistake', () => {
    offer(from(1, 0));
    expect(offer(from(1, 0, 9))).toBe('OUT_OF_ORDER_SEQUENCE');
  });

  it('refuses a batch after a hole', () => {
    offer(from(1, 0));
    expect(offer(from(1, 11))).toBe('OUT_OF_ORDER_SEQUENCE');
  });

  it('does not know a producer that begins in the middle', () => {
    expect(offer(from(1, 10))).toBe('UNKNOWN_PRODUCER');
  });

  it('fences an older epoch once a newer one has begun, which it does with 0', () => {
    offer(from(1, 0));
    expect(offer(from(1, 10, 10, 1))).toBe('OUT_OF_ORDER_SEQUENCE');
    expect(offer(from(1, 0, 10, 1))).toBe(10);
    expect(offer(from(1, 10, 10, 0))).toBe('PRODUCER_FENCED');
    expect(offer(from(1, 10, 10, 1))).toBe(20);
  });

  it('wraps sequences at 2^31', () => {
    offer(from(1, 0, 2 ** 31 - 5));
    expect(offer(from(1, 2 ** 31 - 5))).toBe(2 ** 31 - 5);
    expect(offer(from(1, 5))).toBe(2 ** 31 + 5);
  });

  it('keeps producers apart', () => {
    offer(from(1, 0));
    expect(offer(from(2, 0))).toBe(10);
  });

  it('forgets a producer after seven days without a batch', () => {
    offer(from(1, 0));
    clock.advance(6 * DAY_MS);
    offer(from(1, 10));
    clock.advance(7 * DAY_MS - 1);
    expect(offer(from(1, 20))).toBe(20);
    clock.advance(7 * DAY_MS);
    expect(offer(from(1, 30))).toBe('UNKNOWN_PRODUCER');
  });

  it('frees what has expired when it is swept', () => {
    offer(from(1, 0));
    clock.advance(DAY_MS);
    offer(from(2, 0));
    clock.advance(6 * DAY_MS);
    window.expire();
    expect([window.size, budget.producers]).toEqual([1, 1]);
  });

  it('forgets the one that has been quiet longest when there are too many', () => {
    window = new ProducerWindow(clock, 2, budget);
    [from(1, 0), from(2, 0), from(1, 10), from(3, 0)].forEach((batch) => offer(batch));
    expect(offer(from(1, 20))).toBe(40);
    expect(offer(from(2, 10))).toBe('UNKNOWN_PRODUCER');
  });

  it('keeps its producers when others fill the bound that they share', () => {
    budget = { producers: 0, maxProducers: 50 };
    const [flooded, alsoFlooded] = [0, 1].map(() => new ProducerWindow(clock, 100, budget));
    for (let id = 100; id < 200; id++) offer(from(id, 0), id % 2 ? flooded : alsoFlooded);
    window = new ProducerWindow(clock, 100, budget);
    for (const id of [1, 2, 3]) offer(from(id, 0));
    for (let id = 200; id < 300; id++) offer(from(id, 0), id % 2 ? flooded : alsoFlooded);
    expect([1, 2, 3].map((id) => typeof offer(from(id, 10)))).toEqual(['number', 'number', 'number']);
    expect(budget.producers).toBe(50);
  });

  it('keeps within a bound that it shares with others, and gives its part back', () => {
    budget = { producers: 0, maxProducers: 3 };
    window = new ProducerWindow(clock, 100, budget);
    const other = new ProducerWindow(clock, 100, budget);
    offer(from(9, 0), other);
    for (let id = 1; id <= 50; id++) offer(from(id, 0));
    expect([window.size, other.size, budget.producers]).toEqual([2, 1, 3]);
    window.clear();
    expect(budget.producers).toBe(1);
  });

  describe('whose log is cut off', () => {
    /** What a log has of a producer's batch. */
    const header = ({ recordCount, ...batch }: ProducerBatch, baseOffset: number): BatchHeader => {
      const bytes = batchOf(recordCount, batch);
      stampBatch(bytes, baseOffset, 1);
      return readBatchHeader(bytes);
    };

    it('takes the batches that are gone again, and knows those that are left', () => {
      [from(1, 0), from(2, 0), from(1, 10), from(1, 20), from(2, 10)].forEach((batch) => offer(batch));
      window.truncate(20, []);
      nextOffset = 20;
      expect(offer(from(1, 20))).toBe('OUT_OF_ORDER_SEQUENCE');
      expect([offer(from(1, 0)), offer(from(1, 10)), offer(from(2, 0)), offer(from(2, 10))]).toEqual([
        0, 20, 10, 30,
      ]);
    });

    it('forgets who began there, without looking at the log', () => {
      [from(1, 0), from(2, 0), from(2, 10)].forEach((batch) => offer(batch));
      const log = (function* (): Generator<never> {
        throw new Error('not needed');
      })();
      window.truncate(10, log);
      nextOffset = 10;
      expect([window.size, budget.producers]).toEqual([1, 1]);
      expect([offer(from(2, 10)), offer(from(2, 0))]).toEqual(['UNKNOWN_PRODUCER', 10]);
    });

    it('finds in the log what it had forgotten of a producer', () => {
      for (let n = 0; n < 12; n++) offer(from(1, n * 10));
      const below = [from(9, 0), from(1, 30), from(1, 20)].map((batch, n) => header(batch, [40, 30, 20][n]!));
      window.truncate(40, below);
      nextOffset = 40;
      expect([offer(from(1, 50)), offer(from(1, 30)), offer(from(1, 40))]).toEqual([
        'OUT_OF_ORDER_SEQUENCE',
        30,
        40,
      ]);
    });

    it('goes back to the epoch that was, and forgets who is not in the log any more', () => {
      [from(1, 0), from(2, 0), from(1, 0, 10, 1)].forEach((batch) => offer(batch));
      for (let n = 1; n < 8; n++) offer(from(2, n * 10));
      window.truncate(20, [header(from(1, 0), 0)]);
      nextOffset = 20;
      expect([offer(from(1, 10)), offer(from(1, 0))]).toEqual([20, 0]);
      expect(offer(from(2, 10))).toBe('UNKNOWN_PRODUCER');
      expect(budget.producers).toBe(1);
    });

    it('is what a window is that never saw what is gone, after any history', () => {
      const step = fc.record({
        id: fc.integer({ min: 1, max: 4 }),
        count: fc.integer({ min: 1, max: 5 }),
        bump: fc.nat(9),
      });
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, kept) => {
          budget = { producers: 0, maxProducers: 1000 };
          window = new ProducerWindow(clock, 100, budget);
          const other = new ProducerWindow(clock, 100, { producers: 0, maxProducers: 1000 });
          const state = new Map<number, { epoch: number; next: number }>();
          const headers: BatchHeader[] = [];
          let offset = 0;
          for (const { id, count, bump } of steps) {
            const last = state.get(id) ?? { epoch: 0, next: 0 };
            const now = bump === 0 ? { epoch: last.epoch + 1, next: 0 } : last;
            const one = header(from(id, now.next, count, now.epoch), offset);
            headers.push(one);
            window.replay(one);
            state.set(id, { epoch: now.epoch, next: now.next + count });
            offset += count;
          }
          const left = headers.slice(0, kept);
          for (const one of left) other.replay(one);
          window.truncate(headers[kept]?.baseOffset ?? offset, left.toReversed());
          expect(window.size).toBe(other.size);
          const last = new Map(left.map((one) => [one.producerId, one]));
          for (const { producerId, producerEpoch, baseSequence, recordCount } of last.values()) {
            for (const sequence of [
              baseSequence,
              baseSequence + recordCount,
              baseSequence + recordCount + 1,
            ]) {
              for (const epoch of [producerEpoch - 1, producerEpoch, producerEpoch + 1]) {
                const batch = from(producerId, sequence, recordCount, epoch);
                expect(verdict(window, batch)).toBe(verdict(other, batch));
              }
            }
          }
        }),
      );
    });

    const verdict = (of: ProducerWindow, batch: ProducerBatch): string => {
      try {
        return String(of.check(batch)?.baseOffset);
      } catch (error) {
        return (error as SluiceError).code;
      }
    };
  });

  it('stores every batch of retrying producers exactly once and in order, whatever is lost, repeated or late', () => {
    const attempt = fc.record({
      producer: fc.integer({ min: 1, max: 3 }),
      back: fc.nat(6),
      records: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(attempt, { maxLength: 200 }), (attempts) => {
        window = new ProducerWindow(clock, 100, budget);
        nextOffset = 0;
        /** By producer: what it has sent for the first time, in order, with the answer. */
        const sent = new Map<number, { batch: ProducerBatch; offset: number }[]>();
        for (const { producer, back, records } of attempts) {
          const history = sent.get(producer) ?? [];
          sent.set(producer, history);
          const again = back === 0 ? undefined : history[history.length - back];
          if (again) {
            const remembered = back <= 5;
            expect(offer(again.batch)).toBe(remembered ? again.offset : 'OUT_OF_ORDER_SEQUENCE');
          } else {
            const last = history.at(-1)?.batch;
            const batch = from(producer, last ? last.baseSequence + last.recordCount : 0, records);
            history.push({ batch, offset: nextOffset });
            expect(offer(batch)).toBe(nextOffset - records);
          }
        }
        const stored = [...sent.values()].flat().reduce((sum, { batch }) => sum + batch.recordCount, 0);
        expect(nextOffset).toBe(stored);
      }),
    );
  });
});

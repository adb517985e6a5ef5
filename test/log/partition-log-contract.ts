/** What every partition log does, wherever it keeps its batches. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { LogState } from '../../src/log/log-state.ts';
import type { PartitionLog, RetentionLimits } from '../../src/log/partition-log.ts';
import {
  batchBaseOffset,
  batchNextOffset,
  readBatchHeader,
  stampBatch,
} from '../../src/wire/record-batch.ts';
import { batchOf, stampedBatch } from '../support/batch.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { readAll } from './array-log.ts';
import { ProducerRecall } from './producer-recall.ts';

/** Where a log under test lives. */
export interface LogStage {
  readonly clock: FakeClock;
  /** A new, empty log. @param limits default: nothing is ever dropped */
  open(limits?: Partial<RetentionLimits>, firstOffset?: number, state?: LogState): Promise<PartitionLog>;
  /** Lets the log do all that it has begun. */
  settle(): Promise<void>;
}

/** Bytes that make the smallest log drop something when it may keep no more than a little. */
const PLENTY_BYTES = 64 * 1024;

/** Declares the tests. @param makeStage makes a stage of its own for each test */
export function describePartitionLog(name: string, makeStage: () => Promise<LogStage> | LogStage): void {
  let stage: LogStage;
  beforeEach(async () => {
    stage = await makeStage();
  });
  const fill = (log: PartitionLog, batches: number, records = 10): void => {
    for (let n = 0; n < batches; n++) log.append(stampedBatch(log.logEnd, records));
  };
  const filled = async (batches: number): Promise<PartitionLog> => {
    const log = await stage.open();
    fill(log, batches);
    await durable(log);
    return log;
  };
  /** Batches of 1 KiB, one record each. */
  const fillLarge = async (log: PartitionLog, batches: number): Promise<void> => {
    for (let n = 0; n < batches; n++) log.append(stampedBatch(log.logEnd, [{ value: 'x'.repeat(1024) }]));
    await durable(log);
    // Now and then the broker calls it: a log may leave what an append makes too much until then.
    log.enforceRetention();
    await stage.settle();
  };

  describe(`closing ${name}`, () => {
    it('may be done twice', async () => {
      const log = await filled(3);
      await Promise.all([log.close(), log.close()]);
      await log.close();
    });
  });

  describe(`reading ${name}`, () => {
    it('gives back the bytes that were appended, in order', async () => {
      const log = await stage.open();
      const appended = [1, 40, 3, 2000].map((records) => {
        const batch = stampedBatch(log.logEnd, records);
        log.append(Buffer.from(batch));
        return batch;
      });
      await durable(log);
      expect(Buffer.concat(await readAll(log)).equals(Buffer.concat(appended))).toBe(true);
    });

    it('begins with the batch that holds the offset', async () => {
      const log = await filled(5);
      expect(basesOf(await log.read(23, 50, 1e6))).toEqual([20, 30, 40]);
    });

    it('hands out no more whole batches than fit', async () => {
      const log = await filled(5);
      const size = stampedBatch(0, 10).length;
      const bases = basesOf(await log.read(0, 50, 3 * size - 1));
      expect([[0], [0, 10]]).toContainEqual(bases);
    });

    it('hands out one batch even when it is larger than asked for', async () => {
      const log = await filled(2);
      expect(basesOf(await log.read(0, 20, 1))).toEqual([0]);
    });

    it('hands out nothing at or above the bound', async () => {
      const log = await filled(3);
      expect(basesOf(await log.read(0, 20, 1e6))).toEqual([0, 10]);
      expect(await log.read(20, 20, 1e6)).toEqual([]);
    });

    it('hands out nothing at its end', async () => {
      const log = await filled(3);
      expect(await log.read(30, 30, 1e6)).toEqual([]);
      expect(await (await stage.open()).read(0, 0, 1e6)).toEqual([]);
    });

    it('finds every batch by each of its offsets', async () => {
      const log = await stage.open();
      fill(log, 30, 3);
      await durable(log);
      for (let offset = 0; offset < 90; offset++) {
        expect(batchBaseOffset((await log.read(offset, 90, 1))[0]!)).toBe(offset - (offset % 3));
      }
    });

    it('reads the same while it is appended to', async () => {
      const log = await stage.open();
      fill(log, 1);
      await durable(log);
      for (let round = 0; round < 50; round++) {
        const upTo = log.durableEnd;
        const reading = log.read(0, upTo, 1e6);
        fill(log, 3);
        const batches = await reading;
        expect(batchNextOffset(batches.at(-1)!)).toBeLessThanOrEqual(upTo);
        expect(basesOf(batches)).toEqual(batches.map((_, n) => n * 10));
      }
      await durable(log);
      expect(await readAll(log)).toHaveLength(151);
    });

    it('keeps a batch as it was for a reader that holds it while the batch is dropped', async () => {
      const log = await stage.open({ retentionBytes: PLENTY_BYTES });
      fill(log, 1);
      await durable(log);
      const [held] = await log.read(0, 10, 1e6);
      const before = Buffer.from(held!);
      await fillLarge(log, 300);
      expect(held!.equals(before)).toBe(true);
    });
  });

  describe(`appending to ${name}`, () => {
    it('moves its end at once, and what is durable not beyond it', async () => {
      const log = await stage.open({}, 5000);
      expect([log.logStart, log.logEnd, log.durableEnd]).toEqual([5000, 5000, 5000]);
      fill(log, 2);
      expect([log.logStart, log.logEnd]).toEqual([5000, 5020]);
      await durable(log);
      expect(log.durableEnd).toBe(5020);
    });

    it('takes no batch that begins below its end', async () => {
      const log = await filled(1);
      expect(() => {
        log.append(stampedBatch(9, 1));
      }).toThrow(TypeError);
      expect(log.logEnd).toBe(10);
    });

    it('calls back once for each offset, in order, and only when it is durable', async () => {
      const log = await stage.open();
      const calls: [offset: number, durableEnd: number][] = [];
      for (let n = 1; n <= 20; n++) {
        fill(log, 1);
        log.whenDurable(n * 10, (error) => {
          expect(error).toBeUndefined();
          calls.push([n * 10, log.durableEnd]);
        });
      }
      await durable(log);
      await stage.settle();
      expect(calls.map(([offset]) => offset)).toEqual(Array.from({ length: 20 }, (_, n) => (n + 1) * 10));
      expect(calls.filter(([offset, durableEnd]) => durableEnd < offset)).toEqual([]);
    });

    it('calls back inside the call when the offset is durable already', async () => {
      const log = await filled(2);
      let called = false;
      log.whenDurable(20, () => (called = true));
      expect(called).toBe(true);
    });
  });

  describe(`retention of ${name}`, () => {
    it('drops the oldest above its bytes, whole batches and never the newest', async () => {
      const log = await stage.open({ retentionBytes: PLENTY_BYTES });
      await fillLarge(log, 300);
      expect(log.logStart).toBeGreaterThan(0);
      expect(log.logStart).toBeLessThan(300);
      expect(basesOf(await readAll(log))).toEqual(range(log.logStart, 300));
    });

    it('drops the oldest above its records', async () => {
      const log = await stage.open({ retentionRecords: 80 });
      for (let n = 0; n < 40; n++) {
        fill(log, 1);
        await durable(log);
      }
      await stage.settle();
      expect(log.logStart).toBeGreaterThan(0);
      expect(log.logEnd - log.logStart).toBeGreaterThanOrEqual(10);
      expect(log.logEnd - log.logStart).toBeLessThanOrEqual(100);
    });

    it('drops everything once it is too old, by the time of the append and not by the records’ time', async () => {
      const log = await stage.open({ retentionMs: 10_000 });
      log.append(stampedBatch(0, [{ timestampMs: Date.UTC(2900, 0, 1) }]));
      fill(log, 3);
      await durable(log);
      stage.clock.advance(9_000);
      log.enforceRetention();
      await stage.settle();
      expect(log.logStart).toBe(0);
      stage.clock.advance(3_000);
      log.enforceRetention();
      await stage.settle();
      expect([log.logStart, log.logEnd]).toEqual([31, 31]);
      fill(log, 1);
      await durable(log);
      expect(basesOf(await readAll(log))).toEqual([31]);
    });

    it('is not moved by a jump of the wall clock', async () => {
      const log = await stage.open({ retentionMs: 10_000 });
      fill(log, 3);
      await durable(log);
      stage.clock.jumpTo(stage.clock.now() + 1e9);
      log.enforceRetention();
      await stage.settle();
      expect(log.logStart).toBe(0);
    });

    it('follows new limits', async () => {
      const log = await stage.open();
      await fillLarge(log, 300);
      log.configure({ retentionBytes: PLENTY_BYTES, retentionMs: 0, retentionRecords: 0 });
      await fillLarge(log, 300);
      expect(log.logStart).toBeGreaterThan(300);
      expect(basesOf(await readAll(log))).toEqual(range(log.logStart, 600));
    });
  });

  describe(`deleting from ${name}`, () => {
    it('makes it begin exactly where it is told to, in the middle of a batch too', async () => {
      const log = await filled(5);
      log.deleteBefore(23);
      expect([log.logStart, log.logEnd]).toEqual([23, 50]);
      expect(basesOf(await log.read(23, 50, 1e6))).toEqual([20, 30, 40]);
    });

    it('leaves nothing when all is deleted, and the next record where it belongs', async () => {
      const log = await filled(5);
      log.deleteBefore(50);
      await stage.settle();
      expect([log.logStart, log.logEnd]).toEqual([50, 50]);
      expect(log.bytesFrom(50)).toBe(0);
      fill(log, 1);
      await durable(log);
      expect(basesOf(await readAll(log))).toEqual([50]);
    });

    it('says when what is deleted cannot come back', async () => {
      const log = await filled(5);
      log.deleteBefore(23);
      await log.whenStartDurable(23);
      expect(log.logStart).toBe(23);
    });

    it('never moves the start back', async () => {
      const log = await filled(5);
      log.deleteBefore(30);
      log.deleteBefore(10);
      expect(log.logStart).toBe(30);
    });

    it('is refused above the end', async () => {
      const log = await filled(1);
      expect(() => {
        log.deleteBefore(11);
      }).toThrow(expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }) as Error);
      expect(log.logStart).toBe(0);
    });

    it('does not find times in what is deleted', async () => {
      const log = await stage.open();
      [900, 100, 800].forEach((timestampMs, at) => {
        log.append(stampedBatch(at, [{ timestampMs }]));
      });
      await durable(log);
      log.deleteBefore(1);
      expect(batchBaseOffset((await log.findTimestamp(500, 3))!)).toBe(2);
    });
  });

  describe(`cutting off ${name}`, () => {
    it('takes back every batch that reaches beyond the offset', async () => {
      const log = await filled(5);
      await log.truncate(25);
      expect([log.logStart, log.logEnd, log.durableEnd]).toEqual([0, 20, 20]);
      expect(basesOf(await readAll(log))).toEqual([0, 10]);
    });

    it('goes on with other batches where the old ones were', async () => {
      const log = await filled(5);
      await log.truncate(20);
      const other = stampedBatch(20, [{ value: 'other' }]);
      log.append(Buffer.from(other));
      await durable(log);
      expect((await log.read(20, 21, 1e6))[0]!.equals(other)).toBe(true);
      expect(basesOf(await readAll(log))).toEqual([0, 10, 20]);
    });

    it('keeps what is below the offset, also when it is not durable yet', async () => {
      const log = await stage.open();
      fill(log, 3);
      await log.truncate(20);
      expect(log.logEnd).toBe(20);
      expect(basesOf(await readAll(log))).toEqual([0, 10]);
    });

    it('tells who waits for what is taken back, and never that it is durable', async () => {
      const log = await stage.open();
      const told: boolean[] = [];
      fill(log, 3);
      const cutting = Promise.resolve(log.truncate(20));
      log.whenDurable(30, (error) => told.push(error !== undefined));
      await cutting;
      if (log.logEnd < 30) fill(log, 1);
      await durable(log);
      expect(told.length).toBe(1);
    });

    it('takes back the leader epochs that began there', async () => {
      const log = await stage.open();
      [1, 1, 3].forEach((epoch) => {
        log.append(stampedBatch(log.logEnd, 10, epoch));
      });
      await durable(log);
      const epochs = [
        { epoch: 1, firstOffset: 0 },
        { epoch: 3, firstOffset: 20 },
      ];
      expect(log.leaderEpochs).toEqual(epochs);
      await log.truncate(20);
      expect(log.leaderEpochs).toEqual(epochs.slice(0, 1));
    });
  });

  describe(`${name} with holes`, () => {
    /** 0 to 10, 30 to 40, 40 to 50, 1000 to 1010. */
    const withHoles = async (): Promise<PartitionLog> => {
      const log = await stage.open();
      for (const [base, timestampMs] of [
        [0, 500],
        [30, 100],
        [40, 700],
        [1000, 900],
      ] as const) {
        log.append(
          stampedBatch(
            base,
            Array.from({ length: 10 }, () => ({ timestampMs })),
          ),
        );
      }
      await durable(log);
      return log;
    };

    it('reads on behind them, from wherever one begins', async () => {
      const log = await withHoles();
      expect([log.logStart, log.logEnd, log.durableEnd]).toEqual([0, 1010, 1010]);
      expect(basesOf(await readAll(log))).toEqual([0, 30, 40, 1000]);
      for (const [offset, base] of [
        [9, 0],
        [10, 30],
        [29, 30],
        [50, 1000],
        [999, 1000],
      ] as const) {
        expect(basesOf(await log.read(offset, 1010, 1))).toEqual([base]);
      }
      expect(await log.read(15, 30, 1e6)).toEqual([]);
      expect(basesOf(await log.read(15, 1000, 1e6))).toEqual([30, 40]);
    });

    it('finds times behind them', async () => {
      const log = await withHoles();
      const found = [0, 501, 800].map(async (time) =>
        batchBaseOffset((await log.findTimestamp(time, 1010))!),
      );
      expect(await Promise.all(found)).toEqual([0, 40, 1000]);
      expect(await log.findTimestamp(800, 1000)).toBeUndefined();
    });

    it('knows how many bytes lie ahead of an offset that nobody has', async () => {
      const log = await withHoles();
      expect(log.bytesFrom(1010)).toBe(0);
      expect(log.bytesFrom(500)).toBeGreaterThan(0);
      expect(log.bytesFrom(0)).toBeGreaterThanOrEqual(log.bytesFrom(35));
    });

    it.each([
      [1005, 50],
      [1000, 50],
      [400, 50],
      [35, 10],
      [15, 10],
      [5, 0],
    ])('ends with a batch after it was cut off at %i', async (offset, end) => {
      const log = await withHoles();
      await log.truncate(offset);
      expect([log.logEnd, log.durableEnd]).toEqual([end, end]);
      expect(basesOf(await readAll(log))).toEqual([0, 30, 40].filter((base) => base < end));
      fill(log, 1);
      await durable(log);
      expect(basesOf(await log.read(end, end + 10, 1e6))).toEqual([end]);
    });

    it('drops by offsets what is too much, and never the newest', async () => {
      const log = await stage.open({ retentionRecords: 500 });
      for (let base = 0; base < 5000; base += 50) {
        log.append(stampedBatch(base, 10));
        await durable(log);
        log.enforceRetention();
        await stage.settle();
      }
      expect(log.logStart).toBeGreaterThan(4300);
      const bases = basesOf(await readAll(log));
      expect(bases).toEqual(
        range(0, 100)
          .map((n) => n * 50)
          .slice(-bases.length),
      );
      expect(bases.length).toBeGreaterThanOrEqual(10);
    });

    it('deletes up to an offset that nobody has', async () => {
      const log = await withHoles();
      log.deleteBefore(20);
      expect(log.logStart).toBe(20);
      expect(basesOf(await readAll(log))).toEqual([30, 40, 1000]);
    });
  });

  describe(`beginning ${name} anew`, () => {
    it.each([50, 5000, 20, 0])('leaves nothing, and the next record at %i', async (offset) => {
      const log = await stage.open({}, 10);
      fill(log, 4);
      await durable(log);
      await log.reset(offset);
      expect([log.logStart, log.logEnd, log.durableEnd]).toEqual([offset, offset, offset]);
      expect([log.retainedBytes, log.bytesFrom(offset)]).toEqual([0, 0]);
      expect(log.leaderEpochs).toEqual([]);
      expect(await log.read(20, 50, 1e6)).toEqual([]);
      expect(await log.findTimestamp(0, 1e6)).toBeUndefined();
      const other = stampedBatch(offset, [{ value: 'other' }], 7);
      log.append(Buffer.from(other));
      await durable(log);
      expect(Buffer.concat(await readAll(log)).equals(other)).toBe(true);
      expect(log.leaderEpochs).toEqual([{ epoch: 7, firstOffset: offset }]);
    });

    it('works with much in it, again and again', async () => {
      const log = await stage.open();
      for (const offset of [1000, 0, 700]) {
        await fillLarge(log, 100);
        await log.reset(offset);
        await fillLarge(log, 60);
        expect(basesOf(await readAll(log))).toEqual(range(offset, offset + 60));
      }
    });

    it('takes a first batch above where it begins', async () => {
      const log = await filled(3);
      await log.reset(100);
      log.append(stampedBatch(120, 10));
      await durable(log);
      expect([log.logStart, log.logEnd]).toEqual([100, 130]);
      expect(basesOf(await readAll(log))).toEqual([120]);
      await log.truncate(125);
      expect([log.logStart, log.logEnd]).toEqual([100, 100]);
    });

    it('never says of what was in it that it is durable', async () => {
      const log = await stage.open();
      fill(log, 3);
      const told: boolean[] = [];
      log.whenDurable(30, (error) => told.push(error === undefined && log.logEnd === 30));
      const isMemory = told.length === 1;
      await log.reset(0);
      expect(told).toEqual([isMemory]);
    });

    it('gives a reader that is under way what was there, or nothing', async () => {
      const log = await stage.open();
      await fillLarge(log, 60);
      const before = await readAll(log);
      const reading = range(0, 60).map(async (offset) => log.read(offset, 60, 1));
      await log.reset(30);
      log.append(stampedBatch(30, [{ value: 'other' }]));
      await durable(log);
      for (const [offset, read] of (await Promise.all(reading)).entries()) {
        const isOld = read.length === 1 && read[0]!.equals(before[offset]!);
        expect(read.length === 0 || isOld || batchNextOffset(read[0]!) === 31, `at ${offset}`).toBe(true);
      }
      expect(basesOf(await readAll(log))).toEqual([30]);
    });
  });

  describe(`what ${name} derives from its batches`, () => {
    let state: ProducerRecall;
    const publish = (log: PartitionLog, producerId: number, baseSequence: number): void => {
      const batch = batchOf(10, { producerId, producerEpoch: 0, baseSequence });
      stampBatch(batch, log.logEnd, 1);
      const header = readBatchHeader(batch);
      log.append(batch);
      state.replay(header);
    };
    const published = async (): Promise<PartitionLog> => {
      state = new ProducerRecall();
      const log = await stage.open({}, 0, state);
      [1, 2, 1, 3].forEach((producer, n) => publish(log, producer, n * 10));
      await durable(log);
      await stage.settle();
      return log;
    };

    it('is what it was when it is cut off', async () => {
      const log = await published();
      await log.truncate(25);
      expect([...state.producers].sort()).toEqual([
        [1, { sequence: 0, offset: 0 }],
        [2, { sequence: 10, offset: 10 }],
      ]);
      publish(log, 3, 0);
      await durable(log);
      expect(state.producers.get(3)).toEqual({ sequence: 0, offset: 20 });
    });

    it('stays where nothing is cut off', async () => {
      const log = await published();
      const before = new Map(state.producers);
      await log.truncate(40);
      expect(state.producers).toEqual(before);
    });

    it('is nothing when it begins anew', async () => {
      const log = await published();
      await log.reset(20);
      expect(state.producers.size).toBe(0);
      publish(log, 5, 0);
      await durable(log);
      expect([...state.producers]).toEqual([[5, { sequence: 0, offset: 20 }]]);
    });
  });

  describe(`${name} knows`, () => {
    it('the first batch with a time or later, also when times go up and down', async () => {
      const log = await stage.open();
      [100, 500, 200, 600].forEach((timestampMs, at) => {
        log.append(stampedBatch(at, [{ timestampMs }]));
      });
      await durable(log);
      const found: Buffer[] = [];
      for (const time of [0, 150, 501, 600]) found.push((await log.findTimestamp(time, 4))!);
      expect(basesOf(found)).toEqual([0, 1, 3, 3]);
      expect(await log.findTimestamp(601, 4)).toBeUndefined();
      expect(await log.findTimestamp(501, 3)).toBeUndefined();
    });

    it('how many bytes lie ahead, less and less towards its end', async () => {
      const log = await filled(20);
      const ahead = range(0, 21).map((n) => log.bytesFrom(n * 10));
      expect(ahead).toEqual(ahead.toSorted((a, b) => b - a));
      expect([ahead[0], ahead[20]]).toEqual([20 * stampedBatch(0, 10).length, 0]);
    });

    it('how long ago it was appended to', async () => {
      const log = await filled(2);
      stage.clock.advance(70);
      expect([log.ageMsAt(15), log.ageMsAt(20)]).toEqual([70, 0]);
    });
  });
}

/** Resolves when all that was appended is durable. */
export function durable(log: PartitionLog): Promise<void> {
  return new Promise((resolve, reject) => {
    log.whenDurable(log.logEnd, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

function basesOf(batches: readonly Buffer[]): number[] {
  return batches.map(batchBaseOffset);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

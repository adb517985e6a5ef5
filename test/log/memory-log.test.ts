import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { NO_STATE } from '../../src/log/log-state.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { BATCH_OVERHEAD_BYTES, MemoryLog } from '../../src/log/memory-log.ts';
import type { RetentionLimits } from '../../src/log/partition-log.ts';
import { batchBaseOffset, batchNextOffset } from '../../src/wire/record-batch.ts';
import { stampedBatch } from '../support/batch.ts';
import { checkSame } from '../support/cheap-checks.ts';
import { FakeClock } from '../support/fake-clock.ts';

const UNBOUNDED: RetentionLimits = { retentionBytes: 0, retentionMs: 0, retentionRecords: 0 };

let clock: FakeClock;
const open = (
  limits: Partial<RetentionLimits> = {},
  firstOffset = 0,
  budget = new MemoryBudget(Infinity),
): MemoryLog =>
  new MemoryLog({ clock, firstOffset, limits: { ...UNBOUNDED, ...limits }, state: NO_STATE, budget });
const fill = (log: MemoryLog, batches: number, records = 10): void => {
  for (let batch = 0; batch < batches; batch++) log.append(stampedBatch(log.logEnd, records));
};
const cost = (records: number): number => stampedBatch(0, records).length + BATCH_OVERHEAD_BYTES;
const basesOf = (batches: readonly Buffer[]): number[] => batches.map(batchBaseOffset);

beforeEach(() => {
  clock = new FakeClock();
});

describe('reading a memory log', () => {
  it('begins with the batch that holds the offset', () => {
    const log = open();
    fill(log, 5);
    expect(basesOf(log.read(23, 50, 1e6))).toEqual([20, 30, 40]);
  });

  it('hands out as many whole batches as fit', () => {
    const log = open();
    fill(log, 5);
    const size = stampedBatch(0, 10).length;
    expect(basesOf(log.read(0, 50, 3 * size - 1))).toEqual([0, 10]);
  });

  it('hands out one batch even when it is larger than asked for', () => {
    const log = open();
    fill(log, 2);
    expect(basesOf(log.read(0, 20, 1))).toEqual([0]);
  });

  it('hands out nothing at or above the bound', () => {
    const log = open();
    fill(log, 3);
    expect(basesOf(log.read(0, 20, 1e6))).toEqual([0, 10]);
    expect(log.read(20, 20, 1e6)).toEqual([]);
  });

  it('keeps a batch readable that is dropped while a reader holds it', () => {
    const log = open({ retentionRecords: 10 });
    fill(log, 1);
    const [held] = log.read(0, 10, 1e6);
    const before = Buffer.from(held!);
    fill(log, 1000);
    expect(held).toEqual(before);
  });
});

describe('retention of a memory log', () => {
  it('drops the oldest batches above its bytes, and never the newest', () => {
    const log = open({ retentionBytes: 3 * cost(10) });
    fill(log, 10);
    expect(log.logStart).toBe(70);
    log.append(stampedBatch(100, 5000));
    expect([log.logStart, log.logEnd]).toEqual([100, 5100]);
  });

  it('drops whole batches above its records', () => {
    const log = open({ retentionRecords: 25 });
    fill(log, 10);
    expect([log.logStart, log.logEnd]).toEqual([80, 100]);
  });

  it('drops what is too old on the next append, by the time it was appended and not by its records’ time', () => {
    const log = open({ retentionMs: 1000 });
    const farFuture = Date.UTC(2900, 0, 1);
    log.append(stampedBatch(0, [{ timestampMs: farFuture }]));
    clock.advance(600);
    fill(log, 1, 1);
    clock.advance(600);
    fill(log, 1, 1);
    expect(log.logStart).toBe(1);
  });

  it('drops everything that is too old when asked to, the newest too', () => {
    const log = open({ retentionMs: 1000 });
    fill(log, 3);
    clock.advance(1000);
    log.enforceRetention();
    expect([log.logStart, log.logEnd, log.retainedBytes]).toEqual([30, 30, 0]);
  });

  it('is not moved by a jump of the wall clock', () => {
    const log = open({ retentionMs: 1000 });
    fill(log, 3);
    clock.jumpTo(clock.now() + 1e9);
    log.enforceRetention();
    expect(log.logStart).toBe(0);
  });

  it('drops at once what new limits no longer keep', () => {
    const log = open();
    fill(log, 10);
    log.configure({ ...UNBOUNDED, retentionRecords: 10 });
    expect(log.logStart).toBe(90);
  });

  it('drops its own oldest batches when all logs together are too large and it is the largest', () => {
    const budget = new MemoryBudget(4 * cost(10));
    const [quiet, busy] = [open({}, 0, budget), open({}, 0, budget)];
    fill(quiet, 2);
    fill(busy, 10);
    expect([quiet.logStart, busy.logStart]).toEqual([0, 80]);
  });

  it('keeps what it has when another log is the largest', () => {
    const budget = new MemoryBudget(40 * cost(10));
    const [large, small] = [open({}, 0, budget), open({}, 0, budget)];
    fill(large, 40);
    fill(small, 10);
    expect([large.logStart, small.logStart]).toEqual([100, 0]);
  });

  it('keeps its only batch and lets logs with several go before it', () => {
    const budget = new MemoryBudget(3 * cost(10));
    const [single, several] = [open({}, 0, budget), open({}, 0, budget)];
    fill(several, 3);
    fill(single, 1, 25);
    expect([single.logStart, several.logStart]).toEqual([0, 20]);
  });

  it('asks nothing of a log that was closed', () => {
    const budget = new MemoryBudget(4 * cost(10));
    const [closed, live] = [open({}, 0, budget), open({}, 0, budget)];
    fill(closed, 4);
    closed.close();
    fill(live, 4);
    expect([closed.logEnd, live.logStart]).toEqual([40, 0]);
  });

  it('gives all it had of the budget back when it is closed', () => {
    const budget = new MemoryBudget(Infinity);
    const log = open({ retentionRecords: 50 }, 0, budget);
    fill(log, 10);
    log.close();
    expect(budget.usedBytes).toBe(0);
  });

  it('gives all it had of the budget back when it begins anew', () => {
    const budget = new MemoryBudget(Infinity);
    const log = open({}, 0, budget);
    fill(log, 10);
    log.reset(1000);
    expect([budget.usedBytes, log.retainedBytes]).toEqual([0, 0]);
    fill(log, 2);
    log.close();
    expect(budget.usedBytes).toBe(0);
  });

  it('does not hold on to a large buffer of which a batch is a small part', () => {
    const log = open();
    const large = Buffer.alloc(10 * 1024 * 1024);
    const batch = stampedBatch(0, [{ value: 'x'.repeat(20_000) }]);
    batch.copy(large);
    log.append(large.subarray(0, batch.length));
    const [stored] = log.read(0, 1, 1e6);
    expect(stored!.buffer.byteLength).toBe(batch.length);
    expect(stored).toEqual(batch);
  });

  it('keeps a batch that has its memory to itself without copying it', () => {
    const log = open();
    const batch = Buffer.from(new Uint8Array(stampedBatch(0, [{ value: 'x'.repeat(20_000) }])).buffer);
    log.append(batch);
    expect(log.read(0, 1, 1e6)[0]).toBe(batch);
  });
});

describe('a memory log knows', () => {
  it('where it begins when earlier offsets were used up before', () => {
    const log = open({}, 5000);
    expect([log.logStart, log.logEnd]).toEqual([5000, 5000]);
    fill(log, 1);
    expect(basesOf(log.read(5000, 5010, 1e6))).toEqual([5000]);
  });

  it('the first batch with a time or later, also when times go up and down', () => {
    const log = open();
    [100, 500, 200, 600].forEach((timestampMs, at) => log.append(stampedBatch(at, [{ timestampMs }])));
    const find = (timestampMs: number) => log.findTimestamp(timestampMs, 4);
    expect([0, 150, 501].map((time) => batchBaseOffset(find(time)!))).toEqual([0, 1, 3]);
    expect(find(601)).toBeUndefined();
  });

  it('does not find a time in batches that are gone', () => {
    const log = open({ retentionRecords: 2 });
    [900, 900, 100, 850].forEach((timestampMs, at) => log.append(stampedBatch(at, [{ timestampMs }])));
    expect(batchBaseOffset(log.findTimestamp(800, 4)!)).toBe(3);
    expect(log.findTimestamp(860, 4)).toBeUndefined();
  });

  it('how many bytes lie ahead of an offset, and how old it is', () => {
    const log = open();
    fill(log, 2);
    clock.advance(70);
    fill(log, 1);
    clock.advance(30);
    expect(log.bytesFrom(15)).toBe(2 * stampedBatch(0, 10).length);
    expect([log.ageMsAt(15), log.ageMsAt(25), log.ageMsAt(30)]).toEqual([100, 30, 0]);
  });
});

describe('a memory log against an array', () => {
  const command = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('append' as const),
        records: fc.integer({ min: 1, max: 40 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 400 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('sweep' as const) }) },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('read' as const), at: fc.nat(1000), bytes: fc.nat(2000) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('configure' as const),
        retentionBytes: fc.constantFrom(0, 1, 5000, 20_000, 400_000),
        retentionMs: fc.constantFrom(0, 500, 3000),
        retentionRecords: fc.constantFrom(0, 1, 300, 8000),
      }),
    },
  );
  type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

  interface Entry {
    readonly base: number;
    readonly next: number;
    readonly bytes: number;
    readonly atMs: number;
  }

  class Model {
    entries: Entry[] = [];
    end = 0;
    limits = UNBOUNDED;

    get start(): number {
      return this.entries[0]?.base ?? this.end;
    }

    enforce(nowMs: number): void {
      const { retentionBytes, retentionMs, retentionRecords } = this.limits;
      if (retentionMs > 0) this.entries = this.entries.filter(({ atMs }) => nowMs - atMs < retentionMs);
      const tooMuch = (): boolean => {
        const bytes = this.entries.reduce((sum, entry) => sum + entry.bytes + BATCH_OVERHEAD_BYTES, 0);
        return (
          (retentionBytes > 0 && bytes > retentionBytes) ||
          (retentionRecords > 0 && this.end - this.start > retentionRecords)
        );
      };
      while (this.entries.length > 1 && tooMuch()) this.entries.shift();
    }

    read(offset: number, maxBytes: number): number[] {
      const bases: number[] = [];
      let bytes = 0;
      for (const entry of this.entries.filter(({ next }) => next > offset)) {
        bytes += entry.bytes;
        if (bases.length > 0 && bytes > maxBytes) break;
        bases.push(entry.base);
      }
      return bases;
    }
  }

  const run = (log: MemoryLog, model: Model, step: Command): void => {
    if (step.kind === 'append') {
      const batch = stampedBatch(log.logEnd, step.records);
      log.append(batch);
      model.entries.push({
        base: model.end,
        next: model.end + step.records,
        bytes: batch.length,
        atMs: clock.monotonicMs(),
      });
      model.end += step.records;
      model.enforce(clock.monotonicMs());
    } else if (step.kind === 'advance') {
      clock.advance(step.ms);
    } else if (step.kind === 'sweep') {
      log.enforceRetention();
      model.enforce(clock.monotonicMs());
    } else if (step.kind === 'configure') {
      model.limits = step;
      log.configure(step);
      model.enforce(clock.monotonicMs());
    } else {
      const offset = model.start + Math.floor(((model.end - model.start) * step.at) / 1000);
      const batches = log.read(offset, log.logEnd, step.bytes);
      expect(basesOf(batches)).toEqual(model.read(offset, step.bytes));
      expect(log.bytesFrom(offset)).toBe(
        model.entries.filter(({ next }) => next > offset).reduce((sum, entry) => sum + entry.bytes, 0),
      );
    }
  };

  it('retains, reads and counts the same after any sequence of appends, time and changed limits', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 700, size: 'max' }), (steps) => {
        clock = new FakeClock();
        const log = open();
        const model = new Model();
        for (const step of steps) {
          run(log, model, step);
          checkSame(log.logStart, model.start, 'start of the log');
          checkSame(log.logEnd, model.end, 'end of the log');
        }
        const all = log.read(log.logStart, log.logEnd, Infinity);
        expect(all.map(batchNextOffset)).toEqual(model.entries.map(({ next }) => next));
      }),
      { numRuns: 60 },
    );
  });
});

import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import { NO_STATE } from '../../src/log/log-state.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';
import type { LogReader } from '../../src/partition/log-reader.ts';
import type { Partition } from '../../src/partition/partition.ts';
import type { Start } from '../../src/partition/reader.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { idlePartition, memoryLog, openPartition, readAll, readNow } from './fixture.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const EARLIEST: Start = { at: 'earliest' };
const open = (copy: Partition, start: Start): LogReader => copy.openReader(start) as LogReader;

/** A copy with the batches of these records, one each. */
function copyOf(values: readonly string[], clock = new FakeClock()): Partition {
  const copy = openPartition({ clock });
  for (const value of values) copy.append(batchOf([{ key: value.slice(0, 1), value }]));
  return copy;
}

describe('a reader whose copy goes', () => {
  it('goes on at the same offset in another', () => {
    const old = copyOf(['a', 'b']);
    const reader = open(old, EARLIEST);
    readAll(reader);
    reader.suspend();
    copyOf(['a', 'b', 'c']).adopt(reader);
    void old.close();
    expect(readAll(reader)).toEqual(['2 c=c']);
  });

  it('waits without an end until there is another, which wakes it', () => {
    const old = copyOf(['a']);
    const reader = open(old, EARLIEST);
    let woken = 0;
    reader.onReadable = () => woken++;
    reader.suspend();
    void old.close();
    expect([readNow(reader), reader.lag(), old.readers, woken]).toEqual([
      { kind: 'idle' },
      { records: 0, bytes: 0, ms: 0 },
      0,
      0,
    ]);
    const next = copyOf(['a']);
    next.adopt(reader);
    expect([woken, next.readers, readAll(reader)]).toEqual([1, 1, ['0 a=a']]);
  });

  it('waits for no other once it is closed', () => {
    const reader = open(copyOf(['a']), EARLIEST);
    reader.suspend();
    reader.close();
    expect(reader.isSuspended).toBe(false);
  });

  it('is woken by what the new copy gets, and not by the old one', () => {
    const [old, next] = [copyOf([]), copyOf([])];
    const reader = open(old, EARLIEST);
    readAll(reader);
    next.adopt(reader);
    readAll(reader);
    let woken = 0;
    reader.onReadable = () => woken++;
    old.append(batchOf(1));
    expect(woken).toBe(0);
    next.append(batchOf([{ value: 'x' }]));
    expect([woken, readAll(reader)]).toEqual([1, ['0 null=x']]);
  });

  it('waits for a copy that has not come so far', () => {
    const reader = open(copyOf(['a', 'b']), EARLIEST);
    readAll(reader);
    const next = copyOf(['a']);
    next.adopt(reader);
    expect(readAll(reader)).toEqual([]);
    next.append(batchOf([{ value: 'b' }]));
    next.append(batchOf([{ value: 'c' }]));
    expect(readAll(reader)).toEqual(['2 null=c']);
  });

  it('is told what is gone from the new one', () => {
    const reader = open(copyOf(['a', 'b', 'c']), EARLIEST);
    const next = copyOf(['a', 'b', 'c']);
    next.deleteBefore(2);
    next.adopt(reader);
    expect(readAll(reader)).toEqual(['gap 0-2', '2 c=c']);
  });

  it('reads again what was being read', async () => {
    const log = memoryLog(new FakeClock());
    const { promise, reject } = Promise.withResolvers<readonly Buffer[]>();
    const old = openPartition({ log: new Proxy(log, lateReads(promise)) });
    old.append(batchOf([{ value: 'a' }]));
    const reader = open(old, EARLIEST);
    const reading = reader.read(1e6);
    reader.suspend();
    copyOf(['a']).adopt(reader);
    reject(new SluiceError('CLOSED', 'the log is closed'));
    expect(await reading).toMatchObject({ kind: 'batches' });
    expect(reader.nextOffset).toBe(1);
  });

  it('leaves out what is no key’s latest there too', () => {
    const values = ['a1', 'b1', 'a2', 'b2'];
    const reader = open(copyOf(values), { at: 'last-per-key' });
    expect(readNow(reader)).toMatchObject({ kind: 'batches' });
    copyOf(values).adopt(reader);
    expect([reader.nextOffset, readAll(reader)]).toEqual([4, []]);
    const other = open(copyOf(values), { at: 'last-per-key' });
    copyOf(values).adopt(other);
    expect(readAll(other)).toEqual(['2 a=a2', '3 b=b2']);
  });

  it('takes no copy that has not got all it looks through for the latest of each key', () => {
    const reader = open(copyOf(['a1', 'a2']), { at: 'last-per-key' });
    const next = copyOf(['a1']);
    next.adopt(reader);
    expect(readAll(reader)).toEqual([]);
    next.append(batchOf([{ key: 'a', value: 'a2' }]));
    expect(readAll(reader)).toEqual(['1 a=a2']);
  });

  it('cannot go on in one that is closed', () => {
    const reader = open(copyOf(['a']), EARLIEST);
    const closed = copyOf(['a']);
    void closed.close();
    reader.suspend();
    expect(() => closed.adopt(reader)).toThrow(coded('TOPIC_NOT_FOUND'));
    expect(readNow(reader)).toEqual({ kind: 'idle' });
  });

  it('stays closed when it was', () => {
    const reader = open(copyOf(['a']), EARLIEST);
    reader.close();
    const next = copyOf(['a']);
    next.adopt(reader);
    expect([next.readers, readAll(reader)]).toEqual([0, ['end undefined']]);
  });

  it('ends for who reads when there never will be another', () => {
    const reader = open(copyOf(['a']), EARLIEST);
    reader.suspend();
    let woken = 0;
    reader.onReadable = () => woken++;
    reader.end();
    expect([woken, readAll(reader)]).toEqual([1, ['end undefined']]);
  });
});

describe('a reader at an offset that another copy has named', () => {
  it('waits until this one has come so far', () => {
    const copy = copyOf(['a']);
    expect(() => copy.openReader({ at: 'offset', offset: 2 })).toThrow(coded('OFFSET_OUT_OF_RANGE'));
    const reader = copy.openReaderAt(2);
    expect(readAll(reader)).toEqual([]);
    copy.append(batchOf([{ value: 'b' }]));
    copy.append(batchOf([{ value: 'c' }]));
    expect(readAll(reader)).toEqual(['2 null=c']);
  });
});

describe('a sweep', () => {
  it('drops what is too old where the partition is led, and nowhere else', () => {
    const clock = new FakeClock();
    const limits = { retentionBytes: 0, retentionMs: 1000, retentionRecords: 0 };
    const logOf = (): MemoryLog =>
      new MemoryLog({ clock, firstOffset: 0, limits, state: NO_STATE, budget: new MemoryBudget(Infinity) });
    const leader = openPartition({ clock, log: logOf() });
    leader.append(batchOf(1));
    const follower = idlePartition({ clock, log: logOf() });
    follower.follow(1);
    follower.appendReplicated([batchOf(1)], { highWatermark: 1, logStart: 0 });
    clock.advance(5000);
    for (const copy of [leader, follower]) copy.sweep();
    expect([leader.logStart, follower.logStart]).toEqual([1, 0]);
  });
});

/** Reads of a log that are not answered yet. */
function lateReads(answer: Promise<readonly Buffer[]>): ProxyHandler<ReturnType<typeof memoryLog>> {
  return {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name === 'read') return () => answer;
      return value.bind(target) as unknown;
    },
  };
}

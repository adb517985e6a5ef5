import { beforeEach, describe, expect, it } from 'vitest';
import type { ObserverLimits } from '../../src/observers/observers.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { stampedBatch } from '../support/batch.ts';
import { ObserverStage, offsetsOf, span } from './observer-stage.ts';

const KiB = 1024;
const value = 'x'.repeat(10 * KiB);

let stage: ObserverStage;

beforeEach(() => {
  stage = new ObserverStage();
});

/** Base offsets of batches that came more than once. */
function repeated(id: string): number[] {
  const { sent } = stage.node(id);
  return sent.filter((offset, index) => sent.indexOf(offset) !== index);
}

describe('a source that fails', () => {
  it('is replaced by another one, without loss, doubles or a gap', async () => {
    stage.start('b', 'c');
    const reader = await stage.subscribe();
    stage.publish(3);
    await stage.settle();
    expect(stage.node('b').sent).toEqual([]);
    stage.node('c').isReachable = false;
    stage.publish(3);
    await stage.pass(600);
    stage.publish(3);
    await stage.settle();
    expect(await offsetsOf(reader)).toBe(span(0, 9));
    expect(stage.node('b').sent).toEqual([3, 4, 5, 6, 7, 8]);
  });

  it('is not asked all the time', async () => {
    stage.start('b');
    await stage.subscribe();
    stage.node('b').isReachable = false;
    await stage.pass(600);
    const before = stage.node('b').asked.length;
    await stage.pass(20_000);
    expect(stage.node('b').asked.length - before).toBeLessThan(25);
    expect(stage.observers.counters).toMatchObject({ lastError: 'UNAVAILABLE' });
  });

  it('is asked again, and its copy goes on', async () => {
    stage.start('b');
    const reader = await stage.subscribe();
    stage.node('b').isReachable = false;
    await stage.pass(5000);
    stage.publish(3);
    stage.node('b').isReachable = true;
    await stage.pass(2000);
    expect(await offsetsOf(reader)).toBe('0 1 2');
  });

  it('ends no reader of older records, who goes on at another', async () => {
    stage.start('b', 'c');
    stage.publish(5);
    const reader = await stage.subscribe({ at: 'earliest' });
    stage.node('b').isReachable = false;
    stage.node('c').isReachable = false;
    const reading = offsetsOf(reader);
    await stage.pass(5000);
    stage.node('b').isReachable = true;
    await stage.pass(2000);
    expect(await reading).toBe(span(0, 5));
  });

  it('is given up as soon as the cluster says that it is gone, before its answer fails', async () => {
    stage.start('b', 'c');
    const reader = await stage.subscribe();
    stage.node('c').delayMs = 60_000;
    stage.publish(1);
    await stage.pass(1000);
    expect(await offsetsOf(reader)).toBe('');
    stage.cluster.put({ isr: ['b'] });
    await stage.settle();
    expect(await offsetsOf(reader)).toBe('0');
  });

  it('is replaced when it has no copy any more', async () => {
    stage.start('b', 'c');
    const reader = await stage.subscribe();
    void stage.node('c').partition.close();
    await stage.settle();
    stage.leader.append(stampedBatch(0, 1));
    await stage.settle();
    expect(await offsetsOf(reader)).toBe('0');
  });

  it('that sends what is broken is replaced', async () => {
    stage.start('b', 'c');
    const reader = await stage.subscribe();
    const broken = stampedBatch(0, 1, 7);
    broken[30]! ^= 1;
    const { log } = stage.node('c').partition;
    const read = log.read.bind(log);
    log.read = (...asked) => (read(...asked) as Buffer[]).map(() => broken);
    stage.publish(1);
    await stage.pass(100);
    expect(await offsetsOf(reader)).toBe('0');
    expect(stage.observers.counters.lastError).toBe('CORRUPT_BATCH');
  });
});

describe('a source that is behind', () => {
  it('gives way to one that is not, and nobody is cut off', async () => {
    stage.start('b', 'c', 'd');
    stage.cluster.put({ isr: ['b', 'c'] });
    const reader = await stage.subscribe();
    stage.publish(5);
    await stage.settle();
    // The only follower now has less than was read already.
    const behind = stage.node('d').partition;
    await behind.truncateTo(2);
    stage.node('c').isReachable = false;
    stage.cluster.put({ isr: ['b', 'd'] });
    stage.leader.append(stampedBatch(0, 1));
    await stage.pass(1000);
    expect(await offsetsOf(reader)).toBe(span(0, 6));
    expect(stage.observers.counters.truncations).toBe(0);
  });

  it('in its epochs is not believed', async () => {
    stage.start('b', 'c');
    const reader = await stage.subscribe();
    stage.publish(2);
    await stage.settle();
    const { partition } = stage.node('c');
    stage.lead('b', 9);
    await stage.pass(600);
    // It leads an epoch that is over, and takes what nobody else has.
    stage.node('c').partition = deposed(partition);
    await stage.pass(600);
    stage.publish(1);
    await stage.pass(2000);
    expect(await offsetsOf(reader)).toBe('0 1 2');
    expect(stage.node('b').sent).toContain(2);
  });
});

/** A copy that says that it is in an older epoch. */
function deposed(partition: Partition): Partition {
  return new Proxy(partition, {
    get: (of, name) => {
      const value = Reflect.get(of, name, of) as unknown;
      if (name === 'leaderEpoch') return 8;
      return typeof value === 'function' ? (value.bind(of) as unknown) : value;
    },
  });
}

describe('a leader with another history', () => {
  it('takes back what it has not: who has read it is cut off, others go on', async () => {
    stage.start('b', 'c');
    stage.publish(2);
    const lucky = await stage.subscribe();
    const unlucky = await stage.subscribe();
    stage.publish(4);
    await stage.settle();
    expect(await offsetsOf(unlucky)).toBe('2 3 4 5');
    // It was not in sync, and is elected all the same.
    await stage.node('c').partition.truncateTo(4);
    stage.node('b').isReachable = false;
    stage.lead('c', 9, ['c']);
    stage.leader.append(stampedBatch(0, 1));
    await stage.pass(1500);
    expect(await offsetsOf(unlucky)).toBe('end OFFSET_OUT_OF_RANGE');
    expect(await offsetsOf(lucky)).toBe('2 3 4');
    expect(stage.open().log.leaderEpochs.at(-1)).toEqual({ epoch: 9, firstOffset: 4 });
    expect(stage.observers.counters.truncations).toBe(1);
  });

  it('is noticed where it has become longer than what was here', async () => {
    stage.start('b', 'c');
    const reader = await stage.subscribe();
    stage.publish(4);
    await stage.settle();
    expect(await offsetsOf(reader)).toBe(span(0, 4));
    await stage.node('c').partition.truncateTo(3);
    stage.node('b').isReachable = false;
    stage.node('c').isReachable = false;
    await stage.pass(600);
    stage.lead('c', 9, ['c']);
    for (let n = 0; n < 5; n++) stage.leader.append(stampedBatch(0, 1));
    stage.node('c').isReachable = true;
    await stage.pass(2500);
    expect(await offsetsOf(reader)).toBe('end OFFSET_OUT_OF_RANGE');
    expect(await offsetsOf(await stage.subscribe({ at: 'earliest' }))).toBe(span(0, 8));
  });

  it('that parts nobody knows where cuts off all who have read anything, and the copy begins anew', async () => {
    stage.start('b', 'c');
    stage.publish(2);
    stage.lead('b', 8);
    stage.publish(4);
    const [read, unread] = [
      await stage.subscribe({ at: 'earliest' }),
      await stage.subscribe({ at: 'earliest' }),
    ];
    expect(await offsetsOf(read)).toBe(span(0, 6));
    // Of the only epoch that is known here it has nothing.
    await stage.node('c').partition.truncateTo(1);
    stage.node('b').isReachable = false;
    stage.node('c').sent.length = 0;
    stage.lead('c', 9, ['c']);
    for (let n = 0; n < 7; n++) stage.leader.append(stampedBatch(0, 1));
    await stage.pass(2500);
    // What there is to begin with, and the newest record.
    expect(stage.node('c').sent).toEqual([0, 7]);
    expect(await offsetsOf(read)).toBe('end OFFSET_OUT_OF_RANGE');
    expect(await offsetsOf(unread)).toBe(span(0, 8));
  });

  it('that parts below what is in memory cuts off who has read what it has not', async () => {
    stage.start('b', 'c');
    stage.publish(4);
    const reader = await stage.subscribe({ at: 'earliest' });
    expect(await offsetsOf(reader)).toBe(span(0, 4));
    await stage.node('c').partition.truncateTo(1);
    stage.node('b').isReachable = false;
    stage.lead('c', 9, ['c']);
    for (let n = 0; n < 5; n++) stage.leader.append(stampedBatch(0, 1));
    await stage.pass(2500);
    expect(await offsetsOf(reader)).toBe('end OFFSET_OUT_OF_RANGE');
    expect(await offsetsOf(await stage.subscribe({ at: 'earliest' }))).toBe(span(0, 6));
  });

  it('that has everything is followed without anybody noticing', async () => {
    stage.start('b', 'c');
    const reader = await stage.subscribe();
    stage.publish(3);
    await stage.settle();
    stage.lead('c', 9);
    stage.publish(3);
    await stage.pass(600);
    expect(await offsetsOf(reader)).toBe(span(0, 6));
    expect(reader.leaderEpoch).toBe(9);
    expect(stage.observers.counters.truncations).toBe(0);
  });

  it('is not shown to readers of older records before it is known what it means', async () => {
    stage.start('b', 'c');
    stage.publish(4);
    const older = await stage.subscribe({ at: 'offset', offset: 2 });
    await stage.node('c').partition.truncateTo(1);
    stage.node('b').isReachable = false;
    stage.lead('c', 9, ['c']);
    for (let n = 0; n < 5; n++) stage.leader.append(stampedBatch(0, 1));
    const reading = offsetsOf(older);
    await stage.pass(2500);
    expect(await reading).toBe('end OFFSET_OUT_OF_RANGE');
  });
});

describe('a source that keeps nothing of what comes next', () => {
  it('tells readers which records are gone', async () => {
    stage.start('b');
    const reader = await stage.subscribe();
    stage.publish(2);
    await stage.settle();
    expect(await offsetsOf(reader)).toBe('0 1');
    stage.node('b').isReachable = false;
    await stage.pass(600);
    stage.publish(5);
    stage.leader.deleteBefore(5);
    stage.node('b').isReachable = true;
    await stage.pass(2500);
    expect(await offsetsOf(reader)).toBe('gap 2-5 5 6');
    expect(stage.observers.counters.restarts).toBe(1);
  });

  it('and begins in the middle of a batch tells no more than that', async () => {
    stage.start('b');
    const reader = await stage.subscribe();
    stage.node('b').isReachable = false;
    await stage.pass(600);
    stage.leader.append(stampedBatch(0, 4));
    stage.leader.deleteBefore(2);
    stage.node('b').isReachable = true;
    await stage.pass(2500);
    expect(await offsetsOf(reader)).toBe('gap 0-2 0 1 2 3');
    const next = await stage.subscribe({ at: 'earliest' });
    expect(next.nextOffset).toBe(2);
  });

  it('moves the beginning of the copy, also while nothing is published', async () => {
    stage.start('b');
    stage.publish(6);
    const copy = stage.open();
    await stage.settle();
    expect([copy.logStart, copy.highWatermark]).toEqual([0, 6]);
    stage.leader.deleteBefore(4);
    await stage.pass(600);
    expect([copy.logStart, copy.highWatermark]).toEqual([4, 6]);
  });
});

describe('a way that takes its time', () => {
  const readBytes = 100 * KiB;

  function far(limits: Partial<ObserverLimits> = {}): void {
    stage = new ObserverStage({ readBytes, ...limits });
    stage.start('b');
    stage.node('b').delayMs = 50;
  }

  it('has two reads under way at most, which come in order and bring nothing twice', async () => {
    far();
    stage.publish(1, { value });
    const reader = stage.open().openReader({ at: 'earliest' });
    await stage.pass(300);
    stage.publish(100, { value });
    await stage.pass(3000);
    expect(await offsetsOf(await reader)).toBe(span(0, 101));
    expect(stage.node('b').mostOutstanding).toBe(2);
    // The last batch is read again when a copy begins.
    expect(repeated('b').filter((offset) => offset > 0)).toEqual([]);
  });

  it('is used better by two reads than by one', async () => {
    far();
    stage.publish(1, { value });
    const copy = stage.open();
    await stage.pass(300);
    stage.publish(200, { value });
    let waited = 0;
    while (copy.highWatermark < 201) {
      await stage.pass(10);
      waited += 10;
    }
    // 2 MiB, 100 KiB in each read of 100 ms.
    expect(waited).toBeLessThan(1600);
  });

  it('loses nothing where records become larger, or smaller, than those before', async () => {
    far();
    stage.publish(1, { value: 'x' });
    const reader = stage.open().openReader({ at: 'earliest' });
    await stage.pass(300);
    stage.publish(100, { value: 'x' });
    stage.publish(30, { value });
    stage.publish(100, { value: 'x' });
    stage.publish(30, { value: value + value });
    await stage.pass(4000);
    expect(await offsetsOf(await reader)).toBe(span(0, 261));
    expect(repeated('b').filter((offset) => offset > 0)).toEqual([]);
  });

  it('asks ahead only as far as all copies together may', async () => {
    far({ aheadBytes: 0 });
    stage.publish(1, { value });
    const copy = stage.open();
    await stage.pass(300);
    stage.publish(100, { value });
    await stage.pass(3000);
    expect(copy.highWatermark).toBe(101);
    expect(stage.node('b').mostOutstanding).toBe(1);
  });
});

describe('holes, as compaction leaves them', () => {
  it('are passed over, also at the end', async () => {
    stage.start('b', 'c');
    const { partition } = stage.node('c');
    stage.cluster.put({ isr: ['c'] });
    const batches = [stampedBatch(0, 1, 7), stampedBatch(5, 1, 7)];
    partition.appendReplicated(batches, { highWatermark: 6, logStart: 0 });
    const reader = await stage.subscribe({ at: 'earliest' });
    expect(await offsetsOf(reader)).toBe('0 5');
    partition.appendReplicated([stampedBatch(9, 1, 7)], { highWatermark: 10, logStart: 0 });
    await stage.settle();
    expect(await offsetsOf(reader)).toBe('9');
    const read = partition.log.read.bind(partition.log);
    partition.appendReplicated([stampedBatch(10, 2, 7)], { highWatermark: 10, logStart: 0 });
    partition.log.read = (...asked) => (asked[0] >= 10 ? [] : read(...asked));
    partition.appendReplicated([], { highWatermark: 12, logStart: 0 });
    await stage.pass(600);
    expect(stage.open().highWatermark).toBe(12);
    expect(await offsetsOf(reader)).toBe('');
    expect(reader.nextOffset).toBe(12);
  });
});

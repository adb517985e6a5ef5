import { beforeEach, describe, expect, it } from 'vitest';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { ObserverStage, TOPIC, offsetsOf, readAll, span } from './observer-stage.ts';

const KiB = 1024;

let stage: ObserverStage;

beforeEach(() => {
  stage = new ObserverStage();
});

describe('a partition that is kept elsewhere', () => {
  it('is read here from its newest record on', async () => {
    stage.start('b');
    stage.publish(3);
    const reader = await stage.subscribe();
    expect(await offsetsOf(reader)).toBe('');
    stage.publish(2);
    await stage.settle();
    expect(await offsetsOf(reader)).toBe('3 4');
  });

  it('is read from an empty log on', async () => {
    stage.start('b');
    const reader = await stage.subscribe();
    stage.publish(2);
    await stage.settle();
    expect(await offsetsOf(reader)).toBe('0 1');
  });

  it('wakes readers as soon as there is something, without time passing', async () => {
    stage.start('b');
    const reader = await stage.subscribe();
    await reader.read(1e6);
    let woken = 0;
    reader.onReadable = () => woken++;
    stage.publish(1);
    await stage.settle();
    expect(woken).toBe(1);
  });

  it('crosses the way between two nodes once, however many read it', async () => {
    stage.start('b');
    const readers: PartitionReader[] = [];
    for (let n = 0; n < 20; n++) readers.push(await stage.subscribe());
    stage.publish(50);
    await stage.settle();
    for (const reader of readers) expect(await offsetsOf(reader)).toBe(span(0, 50));
    const sent = stage.node('b').sent;
    expect(sent).toEqual([...new Set(sent)]);
    expect(stage.observers.size).toBe(1);
  });

  it('has the epoch and the replicas that its source says', async () => {
    stage.start('b', 'c');
    const copy = stage.open();
    await stage.settle();
    expect(copy).toMatchObject({ role: 'follower', leaderEpoch: 7, replicas: ['b', 'c'], isr: ['b', 'c'] });
  });

  it('cannot be read while nobody can be reached, and can when somebody is', async () => {
    stage.start('b');
    stage.node('b').isReachable = false;
    const opening = Promise.resolve(stage.open().openReader({ at: 'latest' }));
    const code = opening.then(
      () => 'opened',
      (error: unknown) => (error as { code: string }).code,
    );
    await stage.pass(5000, 50);
    expect(await code).toBe('UNAVAILABLE');
    stage.node('b').isReachable = true;
    await stage.pass(2000, 50);
    stage.publish(1);
    expect(await offsetsOf(await stage.subscribe({ at: 'earliest' }))).toBe('0');
  });

  it('ends for its readers without an error when the topic is deleted', async () => {
    stage.start('b');
    const reader = await stage.subscribe();
    stage.cluster.deleteTopic();
    expect(await offsetsOf(reader)).toBe('end undefined');
    expect(stage.observers.size).toBe(0);
  });
});

describe('readers that begin behind', () => {
  beforeEach(async () => {
    stage.start('b');
    for (let n = 0; n < 6; n++) stage.publish(1, { key: `k${n % 2}`, value: `${n}`, timestampMs: 1000 + n });
    stage.open();
    await stage.settle();
  });

  it('begin with the earliest record', async () => {
    expect(await offsetsOf(await stage.subscribe({ at: 'earliest' }))).toBe(span(0, 6));
  });

  it('begin at an offset', async () => {
    expect(await offsetsOf(await stage.subscribe({ at: 'offset', offset: 2 }))).toBe(span(2, 6));
  });

  it('begin at a time', async () => {
    expect(await offsetsOf(await stage.subscribe({ at: 'timestamp', timestampMs: 1003 }))).toBe(span(3, 6));
    const later = await stage.subscribe({ at: 'timestamp', timestampMs: 5000 });
    stage.publish(1);
    await stage.settle();
    expect(await offsetsOf(later)).toBe('6');
  });

  it('find no time where nobody leads', async () => {
    stage.cluster.put({ leader: null });
    await expect(stage.subscribe({ at: 'timestamp', timestampMs: 1003 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  it('begin with the last of each key', async () => {
    const reader = await stage.subscribe({ at: 'last-per-key' });
    const seen: string[] = [];
    // Each step of the scan lets others have their turn.
    for (let step = 0; step < 3; step++) {
      seen.push(...(await readAll(reader)));
      await stage.pass(10);
    }
    expect(seen).toEqual(['4 k0=4', '5 k1=5']);
  });

  it('are told of a gap where the source keeps nothing more', async () => {
    const reader = await stage.subscribe({ at: 'offset', offset: 1 });
    stage.leader.deleteBefore(4);
    await stage.pass(500);
    expect(await offsetsOf(reader)).toBe('gap 1-4 4 5');
  });

  it('are told of a gap that they meet before the copy has heard of it', async () => {
    const reader = await stage.subscribe({ at: 'offset', offset: 1 });
    stage.leader.deleteBefore(4);
    expect(await offsetsOf(reader)).toBe('gap 1-4 4 5');
  });

  it('go on where they were on another copy, though this one has not come so far', async () => {
    const opening = Promise.resolve(stage.open().openReader({ at: 'offset', offset: 8 }));
    await stage.settle();
    stage.publish(3);
    expect(await offsetsOf(await opening)).toBe('8');
  });

  it('are refused an offset that never comes', async () => {
    const opening = Promise.resolve(stage.open().openReader({ at: 'offset', offset: 8 }));
    const code = opening.catch((error: unknown) => (error as { code: string }).code);
    await stage.pass(5000, 50);
    expect(await code).toBe('OFFSET_OUT_OF_RANGE');
  });
});

describe('what a copy keeps', () => {
  const value = 'x'.repeat(10 * KiB);

  it('is bounded, and slow readers get all the same', async () => {
    stage = new ObserverStage({ tailBytes: 100 * KiB });
    stage.start('b');
    const slow = await stage.subscribe();
    const copy = stage.open();
    for (let n = 0; n < 10; n++) {
      stage.publish(10, { value });
      await stage.settle();
      expect(copy.log.retainedBytes).toBeLessThanOrEqual(100 * KiB);
    }
    expect(copy.highWatermark).toBe(100);
    expect(await offsetsOf(slow, 25 * KiB)).toBe(span(0, 100));
  });

  it('is bounded for all copies together', async () => {
    stage = new ObserverStage({ totalBytes: 100 * KiB });
    stage.start('b');
    const reader = await stage.subscribe();
    stage.publish(100, { value });
    await stage.settle();
    expect(stage.observers.retainedBytes).toBeLessThanOrEqual(100 * KiB);
    expect(await offsetsOf(reader)).toBe(span(0, 100));
    expect(stage.observers.retainedBytes).toBeLessThanOrEqual(100 * KiB);
  });

  it('is not pushed out by readers of older records', async () => {
    stage = new ObserverStage({ tailBytes: 100 * KiB });
    stage.start('b');
    stage.publish(200, { value });
    const atTail = await stage.subscribe();
    stage.publish(5, { value });
    await stage.settle();
    const older = await stage.subscribe({ at: 'earliest' });
    expect(await offsetsOf(older, 25 * KiB)).toBe(span(0, 205));
    const before = stage.node('b').asked.length;
    expect(await offsetsOf(atTail)).toBe(span(200, 205));
    expect(stage.node('b').asked.length).toBe(before);
  });

  it('spares the source readers that are at the same older place', async () => {
    stage.start('b');
    stage.publish(100, { value });
    const readers: PartitionReader[] = [];
    for (let n = 0; n < 10; n++) readers.push(await stage.subscribe({ at: 'earliest' }));
    const before = stage.node('b').sentBytes;
    const all = await Promise.all(readers.map((reader) => offsetsOf(reader, 25 * KiB)));
    expect(new Set(all)).toEqual(new Set([span(0, 100)]));
    expect(stage.node('b').sentBytes - before).toBeLessThan(101 * 10.2 * KiB);
  });

  it('goes away some seconds after its last user', async () => {
    stage.start('b');
    stage.publish(3);
    const reader = await stage.subscribe();
    stage.open();
    reader.close();
    stage.observers.release(TOPIC, 0);
    await stage.pass(6000, 100);
    expect(stage.observers.size).toBe(1);
    stage.observers.release(TOPIC, 0);
    await stage.pass(4900, 100);
    expect(stage.observers.size).toBe(1);
    await stage.pass(100, 100);
    expect([stage.observers.size, stage.observers.retainedBytes]).toEqual([0, 0]);
    await stage.pass(1000, 100);
    const asked = stage.node('b').asked.length;
    await stage.pass(5000, 100);
    expect(stage.node('b').asked.length).toBe(asked);
    expect(stage.clock.pendingTimers).toBe(0);
  });

  it('stays when somebody comes back in time', async () => {
    stage.start('b');
    const copy = stage.open();
    stage.observers.release(TOPIC, 0);
    await stage.pass(4000, 100);
    expect(stage.open()).toBe(copy);
    await stage.pass(6000, 100);
    expect(copy.closed).toBe(false);
  });

  it('is not more than so many partitions', () => {
    stage = new ObserverStage({ maxCopies: 1 });
    stage.start('b');
    stage.open();
    expect(() => stage.observers.open(TOPIC, 1)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    expect(stage.open().partition).toBe(0);
  });

  it('ends with the node', async () => {
    stage.start('b');
    const reader = await stage.subscribe();
    stage.observers.close();
    expect(await offsetsOf(reader)).toBe('end undefined');
    await stage.pass(1000, 100);
    expect([stage.cluster.watchers, stage.clock.pendingTimers]).toEqual([0, 0]);
  });
});

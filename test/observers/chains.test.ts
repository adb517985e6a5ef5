import { beforeEach, describe, expect, it } from 'vitest';
import type { Observers } from '../../src/observers/observers.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { ObserverStage, TOPIC, offsetsOf, span } from './observer-stage.ts';

const OBSERVING = ['a', 'p', 'q'];

let stage: ObserverStage;
let observers: Map<string, Observers>;

/** Observers in zone `y`, of what `b` and `c` keep elsewhere. */
beforeEach(() => {
  stage = new ObserverStage({ zone: 'y' });
  observers = new Map([
    ['a', stage.observers],
    ['p', stage.observe('p')],
    ['q', stage.observe('q')],
  ]);
  stage.start('b', 'c');
});

async function subscribeAll(): Promise<PartitionReader[]> {
  const readers: PartitionReader[] = [];
  for (const id of OBSERVING) readers.push(await stage.subscribe({ at: 'latest' }, observers.get(id)));
  return readers;
}

/** Lets observers find each other, and publishes in the course of it. */
async function publish(count: number, everyMs = 200): Promise<void> {
  for (let n = 0; n < count; n++) {
    stage.publish(1);
    await stage.pass(everyMs);
  }
}

/** Offsets that have come into the zone since the last call, in order. */
function crossed(): number[] {
  const offsets: number[] = [];
  for (const id of ['b', 'c']) {
    for (const sent of stage.node(id).sentTo.values()) offsets.push(...sent.splice(0));
  }
  return offsets.sort((a, b) => a - b);
}

const chained = (): string[] =>
  OBSERVING.filter((id) => [...observers.get(id)!.partitions()].some(({ isChained }) => isChained));

const offsets = (from: number, end: number): number[] =>
  Array.from({ length: end - from }, (_, n) => from + n);

/** The one that is fed by a replica, and feeds the others. */
function relay(): string {
  const fed = chained();
  const [direct, ...others] = OBSERVING.filter((id) => !fed.includes(id));
  if (!direct || others.length > 0) throw new Error(`fed by observers are: ${fed.join(' ')}`);
  return direct;
}

describe('observers of a zone without a replica', () => {
  it('have what is new sent into the zone once, however many they are', async () => {
    const readers = await subscribeAll();
    await publish(8);
    expect(chained()).toHaveLength(2);
    crossed();
    await publish(20);
    expect(crossed()).toEqual(offsets(8, 28));
    for (const reader of readers) expect(await offsetsOf(reader)).toBe(span(0, 28));
  });

  it('go on when the one that feeds them cannot be reached, without loss, doubles or a gap; another one feeds them then', async () => {
    const readers = await subscribeAll();
    await publish(8);
    const first = relay();
    stage.node(first).isReachable = false;
    for (const id of ['b', 'c']) stage.node(id).isReachable = true;
    observers.get(first)!.close();
    await publish(30);
    crossed();
    await publish(10);
    expect(crossed()).toEqual(offsets(38, 48));
    const others = readers.filter((_, index) => OBSERVING[index] !== first);
    for (const reader of others) expect(await offsetsOf(reader)).toBe(span(0, 48));
  });

  it('go on when the one that feeds them has no subscribers any more', async () => {
    const readers = await subscribeAll();
    await publish(8);
    const first = relay();
    readers[OBSERVING.indexOf(first)]!.close();
    observers.get(first)!.release(TOPIC, 0);
    await publish(50);
    expect(observers.get(first)!.size).toBe(0);
    crossed();
    await publish(10);
    expect(crossed()).toEqual(offsets(58, 68));
    const others = readers.filter((_, index) => OBSERVING[index] !== first);
    for (const reader of others) expect(await offsetsOf(reader)).toBe(span(0, 68));
  });

  it('read from a replica themselves when the one that feeds them hears of none any more', async () => {
    const readers = await subscribeAll();
    await publish(8);
    const first = relay();
    // Those that keep the partition answer all but this one.
    for (const id of ['b', 'c']) stage.node(id).unreachableFrom.add(first);
    await publish(30);
    const others = readers.filter((_, index) => OBSERVING[index] !== first);
    for (const reader of others) expect(await offsetsOf(reader)).toBe(span(0, 38));
  });

  it('all turn to a replica in their own zone as soon as there is one', async () => {
    await subscribeAll();
    await publish(8);
    stage.cluster.leave('c');
    stage.cluster.join('c', { zone: 'y' });
    await publish(8);
    expect(chained()).toEqual([]);
    crossed();
    await publish(3);
    expect([...stage.node('c').sentTo.keys()].sort()).toEqual(OBSERVING);
  });

  it('all go back to where the histories part when an election has lost records', async () => {
    const readers = await subscribeAll();
    await publish(8);
    void stage.node('c').partition.truncateTo(6);
    stage.lead('c', 9);
    void stage.node('b').partition.truncateTo(6);
    await publish(20);
    for (const id of OBSERVING) {
      const { log } = stage.open(observers.get(id));
      expect([log.logEnd, log.leaderEpochs.map(({ epoch }) => epoch)]).toEqual([26, [7, 9]]);
    }
    // Nobody has read yet what was lost.
    for (const reader of readers) expect(await offsetsOf(reader)).toBe(span(0, 26));
  });
});

describe('an observer of a zone without a replica that does not keep pace', () => {
  it('feeds nobody until it has caught up', async () => {
    stage = new ObserverStage({ zone: 'y', readBytes: 1 });
    stage.start('b', 'c');
    await stage.subscribe();
    await publish(4);
    expect(stage.observers.relayed('t1', 0)).toBeDefined();
    for (const id of ['b', 'c']) stage.node(id).delayMs = 100;
    for (let n = 0; n < 100; n++) {
      stage.publish(1);
      await stage.pass(50);
    }
    expect(stage.observers.relayed('t1', 0)).toBeUndefined();
    await stage.pass(30_000);
    expect(stage.observers.relayed('t1', 0)).toBeDefined();
  });

  it('makes those late that keep pace no more than for the moment in which they find that out', async () => {
    const slow = stage.observe('s');
    const reads = [stage.node('b'), stage.node('c')].map(({ copies }) => copies);
    for (const copies of reads) {
      const read = copies.read.bind(copies);
      copies.read = async (nodeId, ...asked) => {
        const answer = await read(nodeId, ...asked);
        if (nodeId === 's') {
          const late = Promise.withResolvers<undefined>();
          stage.clock.setTimer(900, () => late.resolve(undefined));
          await late.promise;
        }
        return answer;
      };
    }
    stage.open(slow);
    await stage.pass(3000);
    await stage.subscribe();
    const { log } = stage.open();
    const lags: number[] = [];
    for (let n = 0; n < 200; n++) {
      stage.publish(1);
      await stage.pass(50);
      lags.push(stage.leader.logEnd - log.logEnd);
    }
    expect(lags.filter((lag) => lag > 0).length).toBeLessThan(20);
    expect(Math.max(...lags)).toBeLessThan(10);
  });
});

describe('observers that name no zone', () => {
  it('are all fed by replicas', async () => {
    stage = new ObserverStage();
    observers = new Map(OBSERVING.map((id) => [id, id === 'a' ? stage.observers : stage.observe(id)]));
    stage.start('b', 'c');
    await subscribeAll();
    await publish(10);
    expect(chained()).toEqual([]);
  });
});

describe('a copy that is fed by another observer', () => {
  it('feeds none from the moment on in which it asks that', async () => {
    await stage.subscribe({ at: 'latest' }, observers.get('p'));
    stage.node('p').delayMs = 200;
    await stage.subscribe();
    stage.publish(1);
    await stage.settle();
    // A replica has answered it a moment ago, and named the other.
    expect([stage.node('p').asked.length, chained()]).toEqual([1, []]);
    expect(stage.observers.relayed('t1', 0)).toBeUndefined();
  });

  it('feeds no other one', async () => {
    await subscribeAll();
    await publish(8);
    const [fed] = chained();
    expect(observers.get(fed!)!.relayed('t1', 0)).toBeUndefined();
    expect(observers.get(relay())!.relayed('t1', 0)).toBeDefined();
    const request = { topicId: 't1', partition: 0, offset: 8, maxBytes: 1, maxWaitMs: 0, observed: true };
    const reading = stage.readerOf('x').read(fed!, request);
    await expect(reading).rejects.toMatchObject({ code: 'PARTITION_NOT_FOUND' });
  });
});

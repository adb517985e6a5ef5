import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ReceivedRecord } from '../../../src/client/record.ts';
import type { SubscribeOptions } from '../../../src/client/subscription/subscribe-options.ts';
import type { Subscription } from '../../../src/client/subscription/subscription.ts';
import { encodeDatagram } from '../../../src/wire/delivery.ts';
import { filterBatch } from '../../../src/wire/record-batch-filter.ts';
import { turns } from '../../support/turns.ts';
import { batchOf, FakeBroker } from '../fake-broker.ts';

let broker: FakeBroker;
beforeEach(async () => {
  broker = await FakeBroker.open();
});
afterEach(() => broker[Symbol.asyncDispose]());

async function subscribe(options: SubscribeOptions = {}): Promise<Subscription> {
  const client = await broker.client();
  return client.subscribe('t', options);
}

interface Reading {
  readonly iterator: AsyncIterator<ReceivedRecord, undefined>;
  /** A step that nothing has come for yet. */
  next?: Promise<IteratorResult<ReceivedRecord, undefined>> | undefined;
}
const readings = new WeakMap<Subscription, Reading>();

/** Everything that can be had now, as `offset=value`. */
async function drain(subscription: Subscription): Promise<string[]> {
  await turns(5);
  const reading: Reading = readings.get(subscription) ?? { iterator: subscription[Symbol.asyncIterator]() };
  readings.set(subscription, reading);
  const seen: string[] = [];
  for (;;) {
    reading.next ??= reading.iterator.next();
    const result = await Promise.race([reading.next, turns(5)]);
    if (result === undefined || result.done === true) return seen;
    reading.next = undefined;
    seen.push(text(result.value));
  }
}

const text = (record: ReceivedRecord): string => `${record.offset}=${record.text()}`;
const resumedAt = (): unknown =>
  broker.last.subscribes.at(-1)?.resume.map(({ partition, offset }) => [partition, Number(offset)]);

describe('an ordered subscription', () => {
  it('asks for what its options say', async () => {
    await subscribe({
      from: new Date(5000),
      onGap: 'end',
      urgency: 7,
      name: 'n',
      delivery: 'unordered',
      paused: true,
    });
    expect(broker.last.subscribes[0]).toMatchObject({
      filter: 't',
      start: { at: { case: 'timestampMs', value: 5000n } },
      onGap: 2,
      urgencyPlusOne: 8,
      name: 'n',
      delivery: 2,
      paused: true,
    });
  });

  it('skips records of the first batch that were not asked for', async () => {
    const subscription = await subscribe();
    broker.last.deliver('t', 0, 12).batch(10, ['a', 'b', 'c', 'd']);
    expect(await drain(subscription)).toEqual(['12=c', '13=d']);
  });

  it('knows where it is after each record', async () => {
    const subscription = await subscribe();
    broker.last.deliver('t', 0, 10).batch(10, ['a', 'b']);
    const iterator = subscription[Symbol.asyncIterator]();
    await iterator.next();
    expect(subscription.positions()).toEqual([{ topic: 't', partition: 0, offset: 11 }]);
  });

  it('moves over batches of which a filter left nothing', async () => {
    const subscription = await subscribe();
    const empty = filterBatch(batchOf(1, ['b', 'c']), () => false, 1000);
    broker.last.deliver('t', 0, 0).batch(0, ['a']).bytes(empty);
    expect(await drain(subscription)).toEqual(['0=a']);
    expect(subscription.positions()).toEqual([{ topic: 't', partition: 0, offset: 3 }]);
  });

  it('resumes after a lost connection at what has not arrived, and keeps what has', async () => {
    const subscription = await subscribe();
    broker.last.deliver('t', 0, 10).batch(10, ['a', 'b']);
    broker.last.deliver('t', 1, 5).batch(5, ['x']);
    await turns(5);
    broker.last.cut();
    await broker.pass(1000);
    expect(resumedAt()).toEqual([
      [0, 12],
      [1, 6],
    ]);
    broker.last.deliver('t', 0, 12).batch(10, ['a', 'b', 'c']);
    expect(await drain(subscription)).toEqual(['10=a', '11=b', '5=x', '12=c']);
  });

  it.each(['ordered', 'unordered'] as const)(
    'reads another log from its beginning when the topic is made again after it came back (%s)',
    async (delivery) => {
      const subscription = await subscribe({ delivery });
      const restarts: unknown[] = [];
      subscription.on('status', (status) => {
        if (status.kind === 'restarted') restarts.push([status.from, status.to]);
      });
      broker.last.deliver('t', 0, 0).batch(0, ['a', 'b', 'c']);
      await turns(5);
      broker.last.cut();
      await broker.pass(1000);
      broker.last.deliver('t', 0, 0).batch(0, ['x', 'y']);
      expect(await drain(subscription)).toEqual(['0=a', '1=b', '2=c', '0=x', '1=y']);
      expect(restarts).toEqual([[3, 0]]);
    },
  );

  it('reads what another cluster has from its beginning, whatever offsets there are', async () => {
    const subscription = await subscribe();
    broker.last.deliver('t', 0, 0).batch(0, ['a', 'b', 'c']);
    await turns(5);
    broker.last.cut();
    broker.clusterId = 'another';
    await broker.pass(1000);
    expect(broker.last.subscribes[0]).toMatchObject({ start: { at: { case: 'earliest' } }, resume: [] });
    broker.last.deliver('t', 0, 0).batch(0, ['x', 'y', 'z', 'u']);
    expect(await drain(subscription)).toEqual(['0=a', '1=b', '2=c', '0=x', '1=y', '2=z', '3=u']);
    expect(subscription.positions()).toEqual([{ topic: 't', partition: 0, offset: 4 }]);
    broker.last.cut();
    await broker.pass(1000);
    expect(resumedAt()).toEqual([[0, 4]]);
  });

  it('ends with GAP there when it shall end at a gap', async () => {
    const subscription = await subscribe({ onGap: 'end' });
    broker.last.deliver('t', 0, 0).batch(0, ['a']);
    expect(await drain(subscription)).toEqual(['0=a']);
    broker.last.cut();
    await broker.pass(1000);
    broker.last.deliver('t', 0, 0).batch(0, ['x']);
    await expect(drain(subscription)).rejects.toMatchObject({ code: 'GAP' });
  });

  it('reads partitions that appeared while it was away from their beginning', async () => {
    await subscribe({ from: 'latest' });
    broker.last.cut();
    await broker.pass(1000);
    expect(broker.last.subscribes[0]!.start!.at.case).toBe('earliest');
  });

  it('resumes at the positions of the answer though no stream had come', async () => {
    const positions = [{ topic: 't', partition: 0, offset: 42n }];
    broker.onRequest = (request) =>
      request.case === 'subscribe'
        ? { case: 'subscribe', value: { positions } }
        : broker.defaultAnswer(request);
    await subscribe();
    broker.last.cut();
    await broker.pass(1000);
    expect(resumedAt()).toEqual([[0, 42]]);
  });

  /** A wildcard with so many partitions in topics with names of 40 characters. */
  const answerMany = (count: number): void => {
    const positions = Array.from({ length: count }, (_, i) => ({
      topic: `${i}-`.padEnd(40, 't'),
      partition: 0,
      offset: 2n ** 40n,
    }));
    broker.onRequest = (request) =>
      request.case === 'subscribe'
        ? { case: 'subscribe', value: { positions } }
        : broker.defaultAnswer(request);
  };

  it('resumes ten thousand partitions', async () => {
    answerMany(10_000);
    const subscription = await subscribe();
    broker.last.cut();
    await broker.pass(1000);
    expect(broker.last.subscribes[0]!.resume.length).toBe(10_000);
    expect(subscription.positions().length).toBe(10_000);
  });

  it('says so when there are more partitions than a request can name', async () => {
    answerMany(30_000);
    const subscription = await subscribe();
    const next = subscription[Symbol.asyncIterator]().next();
    next.catch(() => undefined);
    broker.last.cut();
    await broker.pass(1000);
    await expect(next).rejects.toMatchObject({ code: 'FRAME_TOO_LARGE' });
  });

  it('ignores streams that still come for the subscription it was before', async () => {
    const client = await broker.client();
    const subscription = await client.subscribe('t');
    broker.last.deliver('t', 0, 0, 99).batch(0, ['not mine']);
    broker.last.deliver('t', 0, 0).batch(0, ['mine']);
    expect(await drain(subscription)).toEqual(['0=mine']);
  });

  it('subscribes again on another broker when the old one drains, before that is gone', async () => {
    const subscription = await subscribe();
    const old = broker.last;
    const delivery = old.deliver('t', 0, 0).batch(0, ['a']);
    await turns(5);
    old.goAway();
    await broker.pass(1000);
    expect(resumedAt()).toEqual([[0, 1]]);
    delivery.batch(1, ['from the old one']);
    broker.last.deliver('t', 0, 1).batch(1, ['from the new one']);
    expect(await drain(subscription)).toEqual(['0=a', '1=from the new one']);
  });

  it('subscribes again when the broker ends a stream for the moment', async () => {
    const subscription = await subscribe();
    broker.last.deliver('t', 0, 0).batch(0, ['a']).end({ error: 'NOT_LEADER' });
    await turns(5);
    await broker.pass(200);
    expect(broker.last.subscribes).toHaveLength(2);
    broker.last.deliver('t', 0, 1).batch(1, ['b']);
    expect(await drain(subscription)).toEqual(['0=a', '1=b']);
  });

  it('stops the streams it had when it subscribes again', async () => {
    await subscribe();
    const stopped: number[] = [];
    broker.last.deliver('t', 0, 0).send.onStopped = (code) => stopped.push(code);
    broker.last.deliver('t', 1, 0).end({ error: 'NOT_LEADER' });
    await turns(5);
    await broker.pass(200);
    expect(stopped).toEqual([4]);
    expect(broker.last.requests.map(({ case: name }) => name)).toEqual([
      'subscribe',
      'unsubscribe',
      'subscribe',
    ]);
  });

  it('ends when the broker ends a stream for good, after what came before', async () => {
    const subscription = await subscribe();
    broker.last.deliver('t', 0, 0).batch(0, ['a']).end({ error: 'FORBIDDEN' });
    await turns(5);
    const iterator = subscription[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.text()).toBe('a');
    await expect(iterator.next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('tells what happens to it', async () => {
    const subscription = await subscribe();
    const kinds: string[] = [];
    subscription.on('status', ({ kind }) => kinds.push(kind));
    broker.last.deliver('t', 0, 0);
    await turns(5);
    broker.last.cut();
    await broker.pass(1000);
    await subscription.close();
    expect(kinds).toEqual(['partition-added', 'disconnected', 'resumed', 'ended']);
  });
});

describe('a gap', () => {
  const gap = { from: 1, to: 8, reason: 1 } as const;

  it('is told between the records around it, and reading goes on', async () => {
    const subscription = await subscribe();
    broker.last.deliver('t', 0, 0).batch(0, ['a']).gap(gap).batch(8, ['b']);
    await turns(5);
    const seen: string[] = [];
    subscription.on('gap', ({ from, to, reason }) => seen.push(`${reason} ${from}-${to}`));
    const iterator = subscription[Symbol.asyncIterator]();
    for (let i = 0; i < 2; i++) seen.push(text((await iterator.next()).value!));
    expect(seen).toEqual(['0=a', 'retention 1-8', '8=b']);
    expect(subscription.stats().gapRecords).toBe(7);
  });

  it('ends the subscription where that is wanted, after the records before it', async () => {
    const subscription = await subscribe({ onGap: 'end' });
    broker.last.deliver('t', 0, 0).batch(0, ['a']).gap(gap).end({ error: 'GAP' });
    await turns(5);
    const iterator = subscription[Symbol.asyncIterator]();
    expect(text((await iterator.next()).value!)).toBe('0=a');
    await expect(iterator.next()).rejects.toMatchObject({ code: 'GAP' });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('is noticed when a resumed stream begins later than it should', async () => {
    const subscription = await subscribe();
    const gaps: unknown[] = [];
    subscription.on('gap', (event) => gaps.push(event));
    broker.last.deliver('t', 0, 0).batch(0, ['a']);
    await turns(5);
    broker.last.cut();
    await broker.pass(1000);
    broker.last.deliver('t', 0, 5).batch(5, ['b']);
    expect(await drain(subscription)).toEqual(['0=a', '5=b']);
    expect(gaps).toEqual([{ topic: 't', partition: 0, from: 1, to: 5, reason: 'retention' }]);
  });

  it('is a new beginning when the topic was made again while the client was away', async () => {
    const subscription = await subscribe();
    broker.last.deliver('t', 0, 100).batch(100, ['a']);
    await turns(5);
    let refuse = true;
    broker.onRequest = (request) => {
      if (request.case === 'subscribe' && refuse) return { error: 'OFFSET_OUT_OF_RANGE' };
      if (request.case !== 'listOffsets') return broker.defaultAnswer(request);
      refuse = false;
      const offset = request.value.at?.at.case === 'earliest' ? 2n : 7n;
      return { case: 'listOffsets', value: { positions: [{ topic: 't', partition: 0, offset }] } };
    };
    const restarted: unknown[] = [];
    subscription.on('status', (status) => status.kind === 'restarted' && restarted.push(status));
    broker.last.cut();
    await broker.pass(2000);
    expect(resumedAt()).toEqual([[0, 2]]);
    expect(restarted).toMatchObject([{ from: 101, to: 2 }]);
    broker.last.deliver('t', 0, 2).batch(2, ['b']);
    expect(await drain(subscription)).toEqual(['100=a', '2=b']);
  });
});

describe('a poisoned batch', () => {
  async function pair(): Promise<readonly [Subscription, Subscription]> {
    const client = await broker.client();
    return [await client.subscribe('t'), await client.subscribe('u')];
  }

  it('ends its subscription with CORRUPT_BATCH and leaves the others alone', async () => {
    const [bad, good] = await pair();
    const bytes = batchOf(0, ['a', 'b']);
    bytes[bytes.length - 1]! ^= 1;
    broker.last.deliver('t', 0, 0, 1).bytes(bytes);
    const delivery = broker.last.deliver('u', 0, 0, 2).batch(0, ['fine']);
    await turns(5);
    await expect(bad[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'CORRUPT_BATCH' });
    delivery.batch(1, ['still fine']);
    expect(await drain(good)).toEqual(['0=fine', '1=still fine']);
  });

  it('ends its subscription with BATCH_TOO_LARGE when it inflates to too much', async () => {
    const [bad] = await pair();
    const bomb = batchOf(
      7,
      Array.from({ length: 20 }, () => '0'.repeat(1024 * 1024)),
      'zstd',
    );
    broker.last.deliver('t', 0, 7, 1).bytes(bomb);
    await turns(5);
    await expect(bad[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'BATCH_TOO_LARGE',
      message: expect.stringContaining('resume at 27') as string,
    });
  });

  it('is the end of the connection when it cannot be told whose it is', async () => {
    await subscribe();
    const send = broker.last.connection.openUni();
    send.write(Buffer.from([0x31, 0, 0, 0, 0, 1, 0]));
    await broker.pass(1000);
    expect(broker.connections[0]!.closeCode).toBe(50);
    expect(broker.connections).toHaveLength(2);
  });
});

describe('back-pressure', () => {
  const kilobyte = 'x'.repeat(1000);

  it('holds the stream back when the buffer is full, and only that one', async () => {
    broker.streamWindowBytes = 4096;
    const client = await broker.client();
    const slow = await client.subscribe('t', { bufferBytes: 5000 });
    const quick = await client.subscribe('u');
    const slowStream = broker.last.deliver('t', 0, 0, 1);
    const quickStream = broker.last.deliver('u', 0, 0, 2);
    for (let i = 0; i < 50; i++) {
      slowStream.batch(i, [kilobyte]);
      quickStream.batch(i, [kilobyte]);
    }
    expect((await drain(quick)).length).toBe(50);
    expect(slowStream.send.bufferedBytes).toBeGreaterThan(35_000);
    expect(slow.stats().bufferedBytes).toBeLessThan(10_000);
    expect((await drain(slow)).length).toBe(50);
    expect(slowStream.send.bufferedBytes).toBe(0);
  });

  it('holds streams back that come while the buffer is full', async () => {
    broker.streamWindowBytes = 1000;
    const subscription = await subscribe({ bufferBytes: 100 });
    broker.last.deliver('t', 0, 0).batch(0, [kilobyte]);
    await turns(5);
    const second = broker.last.deliver('t', 1, 0).batch(0, [kilobyte]).batch(1, [kilobyte]);
    await turns(5);
    expect(second.send.bufferedBytes).toBeGreaterThan(0);
    expect((await drain(subscription)).length).toBe(3);
  });
});

describe('an unordered subscription', () => {
  const settle = (offset: number, first = offset): void =>
    void broker.last
      .deliver('t', 0, first)
      .batch(offset, [`v${offset}`])
      .fin();

  it('hands batches out as they come, grants credit for them, and resumes at the first that is missing', async () => {
    const subscription = await subscribe({ delivery: 'unordered' });
    for (const offset of [0, 1, 3, 4]) settle(offset);
    expect(await drain(subscription)).toEqual(['0=v0', '1=v1', '3=v3', '4=v4']);
    expect(broker.last.credits.reduce((sum, { streams }) => sum + streams, 0)).toBe(4);
    expect(subscription.positions()).toEqual([{ topic: 't', partition: 0, offset: 2 }]);
    broker.last.cut();
    await broker.pass(1000);
    expect(resumedAt()).toEqual([[0, 2]]);
    for (const offset of [2, 3, 4, 5]) settle(offset);
    expect(await drain(subscription)).toEqual(['2=v2', '5=v5']);
    expect(subscription.positions()).toEqual([{ topic: 't', partition: 0, offset: 6 }]);
  });

  it('hands out of a batch only what has not come before', async () => {
    const subscription = await subscribe({ delivery: 'unordered' });
    for (const offset of [0, 1]) settle(offset);
    broker.last.deliver('t', 0, 3).batch(3, ['d', 'e']).fin();
    expect(await drain(subscription)).toEqual(['0=v0', '1=v1', '3=d', '4=e']);
    broker.last.deliver('t', 0, 2).batch(2, ['c', 'd', 'e', 'f']).fin();
    expect(await drain(subscription)).toEqual(['2=c', '5=f']);
  });

  it('takes offsets between two batches for settled where the stream says so', async () => {
    const subscription = await subscribe({ delivery: 'unordered' });
    settle(0);
    settle(10, 1); // a filter left 1 to 9 out
    await drain(subscription);
    expect(subscription.positions()).toEqual([{ topic: 't', partition: 0, offset: 11 }]);
  });

  it('takes a gap for settled', async () => {
    const subscription = await subscribe({ delivery: 'unordered' });
    settle(0);
    broker.last.deliver('t', 0, 1).gap({ from: 1, to: 5, reason: 1 }).fin();
    settle(5);
    expect(await drain(subscription)).toEqual(['0=v0', '5=v5']);
    expect(subscription.positions()).toEqual([{ topic: 't', partition: 0, offset: 6 }]);
  });
});

describe('a datagram subscription', () => {
  const datagram = (offset: number): void =>
    void broker.last.connection.sendDatagram(
      encodeDatagram({ topic: 't', subscription: 1, partition: 0, batch: batchOf(offset, [`v${offset}`]) }),
    );

  it('hands out what comes, drops what is late, and counts what is missing', async () => {
    const subscription = await subscribe({ delivery: 'datagram' });
    broker.last.deliver('t', 0, 0);
    await turns(3);
    for (const offset of [0, 3, 1, 4]) datagram(offset);
    expect(await drain(subscription)).toEqual(['0=v0', '3=v3', '4=v4']);
    expect(subscription.stats()).toMatchObject({ missingRecords: 2, lateDatagrams: 1 });
  });

  it('takes a large record from the stream though newer ones have come', async () => {
    const subscription = await subscribe({ delivery: 'datagram' });
    const stream = broker.last.deliver('t', 0, 0);
    await turns(3);
    datagram(1);
    await turns(3);
    stream.batch(0, ['large']);
    expect(await drain(subscription)).toEqual(['1=v1', '0=large']);
    expect(subscription.stats().missingRecords).toBe(0);
  });

  it('throws away what the application has no room for', async () => {
    const subscription = await subscribe({ delivery: 'datagram', bufferBytes: 100 });
    broker.last.deliver('t', 0, 0);
    await turns(3);
    for (let offset = 0; offset < 10; offset++) datagram(offset);
    await turns(3);
    expect(subscription.stats().droppedRecords).toBe(8);
  });

  it('survives datagrams that make no sense', async () => {
    const subscription = await subscribe({ delivery: 'datagram' });
    broker.last.connection.sendDatagram(Buffer.from('nonsense'));
    const broken = batchOf(0, ['x']);
    broken[30]! ^= 1;
    broker.last.connection.sendDatagram(
      encodeDatagram({ topic: 't', subscription: 1, partition: 0, batch: broken }),
    );
    await turns(3);
    datagram(0);
    expect(await drain(subscription)).toEqual(['0=v0']);
    expect(subscription.stats().badDatagrams).toBe(1);
  });
});

describe('options', () => {
  it.each([
    { urgency: 8 },
    { bufferBytes: 0 },
    { from: -1 },
    { from: 1.5 },
    { from: new Date(Number.NaN) },
    { from: 'soon' as never },
    { resume: [{ topic: 't', partition: 0, offset: -1 }] },
  ])('refuses %o', async (options) => {
    await expect(subscribe(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ReceivedRecord } from '../../src/client/record.ts';
import type { Subscription } from '../../src/client/subscription/subscription.ts';
import { turns } from '../support/turns.ts';
import { BrokerStage } from './broker-stage.ts';

/** Takes `count` records, without ending the subscription. */
async function take(subscription: Subscription, count: number): Promise<ReceivedRecord[]> {
  const iterator = subscription[Symbol.asyncIterator]();
  const records: ReceivedRecord[] = [];
  while (records.length < count) {
    const { value } = await iterator.next();
    if (value === undefined) break;
    records.push(value);
  }
  return records;
}

const texts = (records: readonly ReceivedRecord[]): string[] => records.map((record) => record.text());

describe('client against the broker', () => {
  let stage: BrokerStage;
  beforeEach(async () => {
    stage = await BrokerStage.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('publishes a record and says where it is stored', async () => {
    const client = await stage.client();
    const result = await client.producer().send({ topic: 't', key: 'k', value: 'v' });
    expect(result).toEqual({ topic: 't', partition: 0, offset: 0, appendTimeMs: undefined });
  });

  it('hands a record out with everything that was sent', async () => {
    const client = await stage.client();
    await client.producer().send({
      topic: 't',
      key: 'a/b',
      value: Buffer.from([1, 2, 3]),
      headers: { h: 'x', none: null },
      timestampMs: 1234,
    });
    const [record] = await take(await client.subscribe('t', { from: 'earliest' }), 1);
    expect(inspect(record)).toBe(
      inspect({
        topic: 't',
        partition: 0,
        offset: 0,
        timestampMs: 1234,
        key: Buffer.from('a/b'),
        value: Buffer.from([1, 2, 3]),
        headers: [
          { key: 'h', value: Buffer.from('x') },
          { key: 'none', value: null },
        ],
      }),
    );
    expect([record!.address, record!.keyText(), record!.header('h')?.toString()]).toEqual([
      't/a/b',
      'a/b',
      'x',
    ]);
  });

  it('brings records published after subscribe has resolved', async () => {
    const client = await stage.client();
    const subscription = await client.subscribe('t');
    await client.producer().publish('t/k', 'new');
    expect(texts(await take(subscription, 1))).toEqual(['new']);
  });

  it('hands out batches whose records can be walked without objects', async () => {
    const client = await stage.client();
    const producer = client.producer();
    for (let i = 0; i < 10; i++) producer.offer({ topic: 't', value: `v${i}` });
    await producer.flush();
    const subscription = await client.subscribe('t', { from: 'earliest' });
    const seen: string[] = [];
    for await (const batch of subscription.batches()) {
      batch.forEach((record) => seen.push(record.value!.toString()));
      if (seen.length === 10) break;
    }
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => `v${i}`));
  });

  it('gathers the records of one turn into one batch', async () => {
    const client = await stage.client();
    const producer = client.producer();
    await Promise.all(Array.from({ length: 100 }, (_, i) => producer.send({ topic: 't', value: `${i}` })));
    const subscription = await client.subscribe('t', { from: 'earliest' });
    for await (const batch of subscription.batches()) {
      expect(batch.recordCount).toBe(100);
      break;
    }
  });

  it.each(['gzip', 'zstd'] as const)('compresses with %s and inflates again', async (compression) => {
    const client = await stage.client();
    const producer = client.producer({ compression });
    const value = 'x'.repeat(10_000);
    await Promise.all([producer.send({ topic: 't', value }), producer.send({ topic: 't', value })]);
    const subscription = await client.subscribe('t', { from: 'earliest' });
    expect(texts(await take(subscription, 2))).toEqual([value, value]);
    expect(subscription.stats().receivedBytes).toBeLessThan(1000);
  });

  it('filters by key', async () => {
    const client = await stage.client();
    const producer = client.producer();
    await Promise.all(['a/1', 'b/1', 'a/2'].map((key) => producer.send({ topic: 't', key, value: key })));
    expect(texts(await take(await client.subscribe('t/a/+', { from: 'earliest' }), 2))).toEqual([
      'a/1',
      'a/2',
    ]);
  });

  it('begins at an offset in the middle of a batch', async () => {
    const client = await stage.client();
    const producer = client.producer();
    await Promise.all(['0', '1', '2', '3'].map((value) => producer.send({ topic: 't', value })));
    expect(texts(await take(await client.subscribe('t', { from: 2 }), 2))).toEqual(['2', '3']);
  });

  it('goes on at positions that were kept', async () => {
    const client = await stage.client();
    const producer = client.producer();
    await Promise.all(['0', '1', '2', '3'].map((value) => producer.send({ topic: 't', value })));
    const first = await client.subscribe('t', { from: 'earliest' });
    await take(first, 3);
    const resume = first.positions();
    await first.close();
    expect(resume).toEqual([{ topic: 't', partition: 0, offset: 3 }]);
    expect(texts(await take(await client.subscribe('t', { resume }), 1))).toEqual(['3']);
  });

  it('rejects a subscription with a filter that is none', async () => {
    const client = await stage.client();
    await expect(client.subscribe('t/#/x')).rejects.toMatchObject({ code: 'INVALID_FILTER' });
  });

  it('rejects a start beyond the end', async () => {
    const client = await stage.client();
    await client.producer().publish('t', 'x');
    const subscribing = client.subscribe('t', { from: 17 }).then((subscription) => take(subscription, 1));
    await expect(subscribing).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
  });

  it('keeps what an iterator has not taken when another subscription is slow', async () => {
    const client = await stage.client();
    const slow = await client.subscribe('t', { bufferBytes: 1000 });
    const quick = await client.subscribe('t');
    const producer = client.producer({ batchBytes: 10_000 });
    const value = Buffer.alloc(1000, 1);
    for (let i = 0; i < 2000; i++) await producer.send({ topic: 't', value });
    expect((await take(quick, 2000)).length).toBe(2000);
    expect(slow.stats().bufferedBytes).toBeLessThan(70_000);
    expect((await take(slow, 2000)).map(({ offset }) => offset)).toEqual(
      Array.from({ length: 2000 }, (_, i) => i),
    );
  });

  it('stops handing out while paused and loses nothing', async () => {
    const client = await stage.client();
    const subscription = await client.subscribe('t');
    subscription.pause();
    await client.producer().publish('t', 'kept');
    let came = false;
    const taking = take(subscription, 1).then((records) => {
      came = true;
      return texts(records);
    });
    await turns();
    expect(came).toBe(false);
    subscription.resume();
    expect(await taking).toEqual(['kept']);
  });

  it('ends the subscription when the loop is left', async () => {
    const client = await stage.client();
    const subscription = await client.subscribe('t');
    await client.producer().publish('t', 'x');
    for await (const record of subscription) {
      expect(record.text()).toBe('x');
      break;
    }
    await turns();
    expect(await client.admin.listSubscriptions()).toEqual([]);
  });

  it('ends when its topic is deleted', async () => {
    const client = await stage.client();
    await client.admin.createTopic({ name: 't' });
    const subscription = await client.subscribe('t');
    const taking = take(subscription, 1);
    await client.admin.deleteTopic('t');
    expect(await taking).toEqual([]);
  });

  it.each(['unordered', 'datagram'] as const)('delivers %s', async (delivery) => {
    const client = await stage.client();
    const subscription = await client.subscribe('t', { delivery });
    const producer = client.producer();
    for (let i = 0; i < 300; i++) await producer.send({ topic: 't', value: `${i}` });
    const got = texts(await take(subscription, 300)).sort((a, b) => Number(a) - Number(b));
    expect(got).toEqual(Array.from({ length: 300 }, (_, i) => `${i}`));
  });

  it('counts what datagrams did not bring', async () => {
    await stage[Symbol.asyncDispose]();
    let sent = 0;
    stage = await BrokerStage.open({ transport: { dropDatagram: () => sent++ % 3 === 1 } });
    const client = await stage.client();
    const subscription = await client.subscribe('t', { delivery: 'datagram' });
    const producer = client.producer();
    for (let i = 0; i < 30; i++) await producer.send({ topic: 't', value: `${i}` });
    await take(subscription, 20);
    expect(subscription.stats().missingRecords).toBeGreaterThanOrEqual(9);
  });

  it('administers topics', async () => {
    const { admin } = await stage.client();
    await admin.createTopic({ name: 'a', partitions: 3, settings: { retentionRecords: 5 } });
    await admin.alterTopic({ name: 'a', settings: { retentionMs: 1000 } });
    const topic = await admin.describeTopic('a');
    expect([topic.partitions.length, topic.settings.retentionRecords, topic.settings.retentionMs]).toEqual([
      3, 5, 1000,
    ]);
    expect((await admin.listTopics()).map(({ name }) => name)).toEqual(['a']);
    expect(await admin.listOffsets('a', 'latest')).toHaveLength(3);
    await admin.deleteTopic('a');
    await expect(admin.describeTopic('a')).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
  });

  it('goes on after the connection was cut, without a record lost or repeated', async () => {
    const client = await stage.client();
    const subscription = await client.subscribe('t');
    const producer = client.producer();
    const sends: Promise<unknown>[] = [];
    const taking = take(subscription, 300);
    for (let i = 0; i < 300; i++) {
      sends.push(producer.send({ topic: 't', value: `${i}` }));
      if (i % 100 === 50) stage.cut();
      if (i % 10 === 0) await turns(2);
    }
    await stage.pass(3000);
    await Promise.all(sends);
    expect(texts(await taking)).toEqual(Array.from({ length: 300 }, (_, i) => `${i}`));
    expect((await client.admin.listOffsets('t', 'latest'))[0]!.offset).toBe(300);
  });

  it('publishes to memory topics after the broker was started anew', async () => {
    const client = await stage.client();
    const producer = client.producer();
    await producer.send({ topic: 't', value: 'before' });
    await stage.stop();
    await stage.start();
    const sending = producer.send({ topic: 't', value: 'after' });
    await stage.pass(3000);
    await sending;
    const [record] = await take(await client.subscribe('t', { from: 'earliest' }), 1);
    expect(record!.text()).toBe('after');
  });

  it('reports the gap when the broker has lost what was not read', async () => {
    const client = await stage.client();
    const producer = client.producer();
    const subscription = await client.subscribe('t', { bufferBytes: 1 });
    for (let i = 0; i < 5; i++) await producer.send({ topic: 't', value: `${i}` });
    const gaps: unknown[] = [];
    subscription.on('gap', (gap) => gaps.push(gap));
    await take(subscription, 5);
    await stage.stop();
    await stage.start();
    await stage.pass(3000);
    const sending = producer.send({ topic: 't', value: 'later' });
    await stage.pass(1000);
    await sending;
    expect(texts(await take(subscription, 1))).toEqual(['later']);
  });
});

import { afterEach, describe, expect, it } from 'vitest';
import { DeliveryMode, GapPolicy } from '../../../src/gen/sluice/client/v1/subscription_pb.ts';
import { ANONYMOUS } from '../../../src/security/principal.ts';
import { decodeEnd, decodeGap } from '../../../src/wire/delivery.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import type { StageOptions } from './gateway-stage.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient } from './native-client.ts';
import { batchOf, produce, receive, settle, textsOf } from './native-client.ts';

const EARLIEST = { at: { case: 'earliest', value: true } } as const;

describe('subscription', () => {
  let stage: GatewayStage;
  const open = async (options?: StageOptions): Promise<NativeClient> => {
    stage = await GatewayStage.open(options);
    return stage.client();
  };
  afterEach(async () => stage[Symbol.asyncDispose]());

  const subscribe = (client: NativeClient, value: Parameters<typeof subscribeBody>[0]) =>
    client.request(subscribeBody(value));

  it('says where each partition begins', async () => {
    const client = await open({ partitions: 2 });
    await produce(client.bidi(), 'news', batchOf(['a', 'b']), { partition: 1 });
    const { positions } = await subscribe(client, { filter: 'news' });
    expect(positions.map(({ topic, partition, offset }) => [topic, partition, offset])).toEqual([
      ['news', 0, 0n],
      ['news', 1, 2n],
    ]);
  });

  it('opens a stream for a topic that is created later and matches', async () => {
    const client = await open();
    await subscribe(client, { filter: 'prices.*' });
    await produce(client.bidi(), 'prices.eu', batchOf(['1']));
    const { channel, topic } = await client.delivery();
    expect([topic, await receive(channel, 1)]).toEqual(['prices.eu', ['1']]);
  });

  it('delivers only the keys of the filter', async () => {
    const client = await open();
    await subscribe(client, { filter: 'sensors/room1/#' });
    const stream = client.bidi();
    await produce(stream, 'sensors', batchOf(['room2/x:no', 'room1/x:yes', 'room3:no']));
    expect(await receive((await client.delivery()).channel, 1)).toEqual(['yes']);
  });

  it('resumes where the client says', async () => {
    const client = await open();
    const stream = client.bidi();
    for (const text of ['a', 'b', 'c']) await produce(stream, 'news', batchOf([text]));
    await subscribe(client, { filter: 'news', resume: [{ topic: 'news', partition: 0, offset: 2n }] });
    const { channel, open: first } = await client.delivery();
    expect([first.firstOffset, await receive(channel, 1)]).toEqual([2n, ['c']]);
  });

  it.each<[string, string, Parameters<typeof subscribeBody>[0]]>([
    ['a filter that is none', 'INVALID_FILTER', { filter: 'a/#/b' }],
    ['an empty filter', 'INVALID_FILTER', { filter: '' }],
    ['subscription 0', 'INVALID_ARGUMENT', { filter: 'a', subscriptionId: 0 }],
    ['urgency 8', 'INVALID_ARGUMENT', { filter: 'a', urgencyPlusOne: 9 }],
    ['a delivery mode it does not know', 'INVALID_ARGUMENT', { filter: 'a', delivery: 9 as DeliveryMode }],
    ['a name of more than 256 bytes', 'INVALID_ARGUMENT', { filter: 'a', name: 'n'.repeat(257) }],
    [
      'an offset above the log end',
      'OFFSET_OUT_OF_RANGE',
      { filter: 'a', start: { at: { case: 'offset', value: 1n } } },
    ],
    [
      'an offset beyond 2^53 − 1',
      'OFFSET_OUT_OF_RANGE',
      { filter: 'a', start: { at: { case: 'offset', value: 2n ** 53n } } },
    ],
    [
      'a position beyond 2^53 − 1',
      'OFFSET_OUT_OF_RANGE',
      { filter: 'a', resume: [{ topic: 'a', partition: 0, offset: 2n ** 63n }] },
    ],
    [
      'a time beyond 2^53 − 1',
      'INVALID_ARGUMENT',
      { filter: 'a', start: { at: { case: 'timestampMs', value: 2n ** 53n } } },
    ],
  ])('refuses %s with %s and forgets it', async (_what, code, value) => {
    const client = await open();
    await client.request({ case: 'createTopic', value: { name: 'a' } });
    expect(await client.refusal(subscribeBody(value))).toBe(code);
    expect(stage.gateway.gauges()).toMatchObject({ subscriptions: 0, deliveryStreams: 0 });
    await subscribe(client, { filter: 'a' });
  });

  it('refuses a second subscription with the same number', async () => {
    const client = await open();
    await subscribe(client, { filter: 'a' });
    expect(await client.refusal(subscribeBody({ filter: 'b' }))).toBe('SUBSCRIPTION_EXISTS');
  });

  it('refuses more subscriptions than a connection may have', async () => {
    const client = await open({ limits: { maxSubscriptions: 2 } });
    await subscribe(client, { filter: 'a', subscriptionId: 1 });
    await subscribe(client, { filter: 'a', subscriptionId: 2 });
    expect(await client.refusal(subscribeBody({ filter: 'a', subscriptionId: 3 }))).toBe('OVERLOADED');
  });

  it('refuses a subscription whose positions take more than a connection may keep, until another one has ended', async () => {
    const client = await open({ limits: { maxSubscriptionBytes: 10_000 } });
    const resume = Array.from({ length: 50 }, (_, partition) => ({ topic: 'later', partition, offset: 1n }));
    await subscribe(client, { filter: 'a', subscriptionId: 1, resume });
    const another = subscribeBody({ filter: 'a', subscriptionId: 2, resume });
    expect(await client.refusal(another)).toBe('OVERLOADED');
    await client.request({ case: 'unsubscribe', value: { subscriptionId: 1 } });
    await client.request(another);
  });

  it('refuses a subscription that matches more partitions than a connection may have streams', async () => {
    const client = await open({ limits: { maxDeliveryStreams: 3 }, partitions: 4 });
    expect(await client.refusal(subscribeBody({ filter: 'a' }))).toBe('OVERLOADED');
    expect(stage.gateway.gauges()).toMatchObject({ subscriptions: 0, deliveryStreams: 0 });
  });

  it('ends its streams with END 0 and FIN when it is unsubscribed', async () => {
    const client = await open();
    await subscribe(client, { filter: 'news' });
    const { channel } = await client.delivery();
    await client.request({ case: 'unsubscribe', value: { subscriptionId: 1 } });
    expect(decodeEnd((await channel.expect(FRAME.END)).payload).error).toBeUndefined();
    expect(await channel.ended).toBe('end');
  });

  it('says so when there is nothing to unsubscribe', async () => {
    const client = await open();
    const value = { subscriptionId: 5 };
    const codes = [
      await client.refusal({ case: 'unsubscribe', value }),
      await client.refusal({ case: 'pause', value }),
      await client.refusal({ case: 'resume', value }),
    ];
    expect(codes).toEqual(Array(3).fill('SUBSCRIPTION_NOT_FOUND'));
  });

  it('ends its streams with END 0 when the topic is deleted', async () => {
    const client = await open();
    await subscribe(client, { filter: 'news' });
    const { channel } = await client.delivery();
    await client.request({ case: 'deleteTopic', value: { name: 'news' } });
    expect(decodeEnd((await channel.expect(FRAME.END)).payload).error).toBeUndefined();
  });

  it('delivers nothing while it is paused, and everything after it is resumed', async () => {
    const client = await open();
    await subscribe(client, { filter: 'news', paused: true });
    const { channel } = await client.delivery();
    await produce(client.bidi(), 'news', batchOf(['waits']));
    await settle();
    expect(channel.waiting).toEqual([]);
    await client.request({ case: 'resume', value: { subscriptionId: 1 } });
    expect(await receive(channel, 1)).toEqual(['waits']);
    await client.request({ case: 'pause', value: { subscriptionId: 1 } });
    await produce(client.bidi(), 'news', batchOf(['waits too']));
    await settle();
    expect(channel.waiting).toEqual([]);
  });

  it('closes only the stream that the client stops', async () => {
    const client = await open();
    await subscribe(client, { filter: 'a', subscriptionId: 1 });
    await subscribe(client, { filter: 'a', subscriptionId: 2 });
    const [unwanted, wanted] = [await client.delivery(), await client.delivery()];
    unwanted.channel.receive!.stop(0);
    await settle();
    await produce(client.bidi(), 'a', batchOf(['x']));
    expect(await receive(wanted.channel, 1)).toEqual(['x']);
    expect(stage.gateway.gauges().deliveryStreams).toBe(1);
    expect((await stage.broker.describeTopic(ANONYMOUS, 'a')).partitions[0]!.subscribers).toBe(1);
  });

  it('lets go of everything when the connection is gone', async () => {
    const client = await open();
    await subscribe(client, { filter: 'a' });
    client.connection.close(0, '');
    await settle();
    expect(stage.gateway.gauges()).toEqual({
      connections: 0,
      subscriptions: 0,
      deliveryStreams: 0,
      publishStreams: 0,
      requestStreams: 0,
      blockedDeliveries: 0,
    });
    expect(stage.broker.snapshot().subscriptions).toBe(0);
  });

  it('lists subscriptions with their lag', async () => {
    const client = await open();
    await subscribe(client, { filter: 'news', paused: true, name: 'reader' });
    await produce(client.bidi(), 'news', batchOf(['a', 'b']));
    const { subscriptions } = await client.request({ case: 'listSubscriptions', value: {} });
    expect(subscriptions[0]).toMatchObject({
      clientId: 'test',
      subscriptionId: 1,
      name: 'reader',
      filter: 'news',
      lagRecords: 2n,
      delivery: DeliveryMode.ORDERED,
      paused: true,
    });
    expect(stage.gateway.lagByTopic().get('news')).toMatchObject({ records: 2 });
  });

  describe('that stalls', () => {
    const BATCH = 32 * 1024;
    const big = (text: string): Buffer => batchOf([text.padEnd(BATCH, '.')]);
    const window = { streamWindowBytes: 64 * 1024 };

    it('delays neither its sibling on the connection nor the publisher', async () => {
      const client = await open();
      const reader = await stage.client(window);
      await subscribe(reader, { filter: 'slow', subscriptionId: 1 });
      await subscribe(reader, { filter: 'fast', subscriptionId: 2 });
      const [slow, fast] = [await reader.delivery(), await reader.delivery()];
      slow.channel.receive!.pause();
      const stream = client.bidi();
      for (let i = 0; i < 50; i += 1) await produce(stream, 'slow', big(`s${i}`));
      await produce(stream, 'fast', batchOf(['in time']));
      expect(await receive(fast.channel, 1)).toEqual(['in time']);
      expect(stage.gateway.gauges().blockedDeliveries).toBe(1);
    });

    it('is held with no more than one read beyond its window, and gets everything when it goes on', async () => {
      const client = await open();
      const reader = await stage.client(window);
      await subscribe(reader, { filter: 'slow' });
      const { channel } = await reader.delivery();
      channel.receive!.pause();
      const stream = client.bidi();
      for (let i = 0; i < 100; i += 1) await produce(stream, 'slow', big(`s${i}`));
      await settle();
      const { subscriptions } = await client.request({ case: 'listSubscriptions', value: {} });
      const handedOut = Number(subscriptions[0]!.nextOffset) * BATCH;
      expect(handedOut).toBeLessThanOrEqual(window.streamWindowBytes + 128 * 1024 + BATCH);
      channel.receive!.resume();
      const texts = (await receive(channel, 100)).map((text) => text.replace(/\.+$/, ''));
      expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `s${i}`));
    });

    it('gets a GAP with the offsets that fell off the retained buffer', async () => {
      const client = await open({ settings: { retentionRecords: 10 } });
      const reader = await stage.client(window);
      await subscribe(reader, { filter: 'slow', paused: true });
      const { channel } = await reader.delivery();
      const stream = client.bidi();
      for (let i = 0; i < 25; i += 1) await produce(stream, 'slow', batchOf([`s${i}`]));
      await reader.request({ case: 'resume', value: { subscriptionId: 1 } });
      expect(decodeGap((await channel.expect(FRAME.GAP)).payload)).toEqual({ from: 0, to: 15, reason: 1 });
      expect((await receive(channel, 10))[0]).toBe('s15');
    });

    it('ends at the gap when it asked to', async () => {
      const client = await open({ settings: { retentionRecords: 10 } });
      await subscribe(client, { filter: 'slow', paused: true, onGap: GapPolicy.END });
      const { channel } = await client.delivery();
      const stream = client.bidi();
      for (let i = 0; i < 25; i += 1) await produce(stream, 'slow', batchOf([`s${i}`]));
      await client.request({ case: 'resume', value: { subscriptionId: 1 } });
      await channel.expect(FRAME.GAP);
      expect(decodeEnd((await channel.expect(FRAME.END)).payload).error).toBe('GAP');
      expect(await channel.ended).toBe('end');
    });
  });

  it('ends with the error of a batch that inflates to too much where keys are looked at', async () => {
    const client = await open();
    await subscribe(client, { filter: 'news/k', subscriptionId: 1 });
    await subscribe(client, { filter: 'news', subscriptionId: 2 });
    const [filtered, plain] = [await client.delivery(), await client.delivery()];
    await produce(client.bidi(), 'news', batchOf([`k:${'0'.repeat(17 * 1024 * 1024)}`], 'zstd'));
    expect(decodeEnd((await filtered.channel.expect(FRAME.END)).payload).error).toBe('BATCH_TOO_LARGE');
    await plain.channel.expect(FRAME.BATCH);
    expect(await stage.servesOthers()).toBe(true);
  });

  it('delivers to a thousand subscribers what one publishes', async () => {
    const client = await open();
    for (let id = 1; id <= 1000; id += 1) await subscribe(client, { filter: 'news', subscriptionId: id });
    await produce(client.bidi(), 'news', batchOf(['to all']));
    const texts: string[] = [];
    for (let id = 1; id <= 1000; id += 1) {
      const { channel } = await client.delivery();
      texts.push(...textsOf((await channel.expect(FRAME.BATCH)).payload));
    }
    expect(texts).toEqual(Array(1000).fill('to all'));
  });

  it('reads from earliest in order across many turns', async () => {
    const client = await open();
    const stream = client.bidi();
    for (let i = 0; i < 60; i += 1) await produce(stream, 'news', batchOf([`${i}`.padEnd(20_000, '.')]));
    await subscribe(client, { filter: 'news', start: EARLIEST });
    const texts = await receive((await client.delivery()).channel, 60);
    expect(texts.map((text) => Number.parseInt(text, 10))).toEqual(Array.from({ length: 60 }, (_, i) => i));
  });
});

function subscribeBody(
  value: Omit<Extract<Parameters<NativeClient['ask']>[0], { case: 'subscribe' }>['value'], '$typeName'>,
) {
  return { case: 'subscribe' as const, value: { subscriptionId: 1, ...value } };
}

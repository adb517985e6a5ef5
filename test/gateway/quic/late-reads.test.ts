import { afterEach, describe, expect, it } from 'vitest';
import { DeliveryMode } from '../../../src/gen/sluice/client/v1/subscription_pb.ts';
import { decodeDatagram, decodeEnd, encodeCredit } from '../../../src/wire/delivery.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient } from './native-client.ts';
import { batchOf, produce, receive, textsOf, until } from './native-client.ts';

const COUNT = 100;
const ALL = Array.from({ length: COUNT }, (_, i) => `${i}`.padEnd(5000, '.'));

describe('deliveries from a log whose reads take time', () => {
  let stage: GatewayStage;
  let client: NativeClient;
  afterEach(async () => stage[Symbol.asyncDispose]());

  async function open(streamWindowBytes = 64 * 1024): Promise<void> {
    stage = await GatewayStage.open({ lateReads: true, settings: { batchMaxBytes: 64 * 1024 } });
    client = await stage.client({ streamWindowBytes });
    const stream = client.bidi();
    for (const text of ALL) await produce(stream, 'news', batchOf([text]));
  }
  const subscribe = (filter: string, delivery: DeliveryMode) =>
    client.request({
      case: 'subscribe',
      value: { subscriptionId: 1, filter, delivery, start: { at: { case: 'earliest', value: true } } },
    });

  it('bring everything in order', async () => {
    await open();
    await subscribe('news', DeliveryMode.ORDERED);
    const { channel } = await client.delivery();
    expect(await receive(channel, COUNT)).toEqual(ALL);
  });

  it('go on with what is published while they are idle', async () => {
    await open();
    await subscribe('news', DeliveryMode.ORDERED);
    const { channel } = await client.delivery();
    await receive(channel, COUNT);
    const stream = client.bidi();
    for (const text of ['a', 'b', 'c']) {
      await produce(stream, 'news', batchOf([text]));
      expect(await receive(channel, 1)).toEqual([text]);
    }
  });

  it('bring every batch once on streams of their own, each telling where it begins', async () => {
    await open();
    client.control.write(encodeCredit({ subscription: 1, streams: 1 }));
    await subscribe('news', DeliveryMode.UNORDERED);
    await until(() => client.deliveries.length === 64);
    client.control.write(encodeCredit({ subscription: 1, streams: COUNT }));
    const seen: string[] = [];
    for (let i = 0; i < COUNT; i += 1) {
      const { channel, open: opened } = await client.delivery();
      expect(opened.firstOffset).toBe(BigInt(i));
      seen.push(...textsOf((await channel.expect(FRAME.BATCH)).payload));
    }
    expect(seen).toEqual(ALL);
  });

  it('bring everything in datagrams', async () => {
    await open();
    const stream = client.bidi();
    const texts = Array.from({ length: COUNT }, (_, i) => `${i}`.padEnd(50, '.'));
    await produce(stream, 'small', batchOf(texts, 'zstd'));
    for (const text of texts) await produce(stream, 'small', batchOf([text]));
    await subscribe('small', DeliveryMode.DATAGRAM);
    const seen = () => client.datagrams.flatMap((bytes) => textsOf(decodeDatagram(bytes).batch));
    await until(() => seen().length === 2 * COUNT);
    expect(seen()).toEqual([...texts, ...texts]);
  });

  it('bring every record to a raw subscription', async () => {
    await open(16 * 1024);
    const raw = await stage.connect({ streamWindowBytes: 16 * 1024 });
    raw.control.frame(FRAME.SUBSCRIBE, 'news', Buffer.from('earliest'));
    const channel = await raw.rawDelivery();
    const seen: string[] = [];
    for (let i = 0; i < COUNT; i += 1) seen.push((await channel.expect(FRAME.MESSAGE)).payload.toString());
    expect(seen).toEqual(ALL);
  });

  it('leave out what a key filter does not want', async () => {
    await open();
    const stream = client.bidi();
    for (let i = 0; i < 50; i += 1)
      await produce(stream, 'keyed', batchOf([`${i % 2 ? 'odd' : 'even'}:${i}`]));
    await subscribe('keyed/odd', DeliveryMode.ORDERED);
    const { channel } = await client.delivery();
    const odd = Array.from({ length: 25 }, (_, i) => `${i * 2 + 1}`);
    expect(await receive(channel, 25)).toEqual(odd);
  });

  it('end with END when they are unsubscribed while a read is under way', async () => {
    await open();
    await subscribe('news', DeliveryMode.ORDERED);
    const { channel } = await client.delivery();
    await client.request({ case: 'unsubscribe', value: { subscriptionId: 1 } });
    let frame = await channel.next();
    while (frame.type === FRAME.BATCH) frame = await channel.next();
    expect(decodeEnd(frame.payload).error).toBeUndefined();
    expect(stage.gateway.gauges().deliveryStreams).toBe(0);
  });
});

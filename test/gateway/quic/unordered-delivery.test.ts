import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeliveryMode } from '../../../src/gen/sluice/client/v1/subscription_pb.ts';
import { decodeEnd, decodeGap, encodeCredit } from '../../../src/wire/delivery.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient } from './native-client.ts';
import { batchOf, produce, settle, textsOf, until } from './native-client.ts';

describe('unordered delivery', () => {
  let stage: GatewayStage;
  let client: NativeClient;
  beforeEach(async () => {
    stage = await GatewayStage.open({ settings: { retentionRecords: 200 } });
    client = await stage.client();
  });
  afterEach(async () => stage[Symbol.asyncDispose]());

  const subscribe = (reader = client, paused = false) =>
    reader.request({
      case: 'subscribe',
      value: { subscriptionId: 1, filter: 'news', delivery: DeliveryMode.UNORDERED, paused },
    });
  const publish = async (count: number, bytes = 1): Promise<void> => {
    const stream = client.bidi();
    for (let i = 0; i < count; i += 1) await produce(stream, 'news', batchOf([`${i}`.padEnd(bytes, '.')]));
  };

  it('gives each batch a stream of its own', async () => {
    await subscribe();
    await publish(3);
    const seen: unknown[] = [];
    for (let i = 0; i < 3; i += 1) {
      const { channel, open } = await client.delivery();
      seen.push([
        open.firstOffset,
        textsOf((await channel.expect(FRAME.BATCH)).payload)[0],
        await channel.ended,
      ]);
    }
    expect(seen).toEqual([
      [0n, '0', 'end'],
      [1n, '1', 'end'],
      [2n, '2', 'end'],
    ]);
  });

  it('stops at 64 streams until the client grants more', async () => {
    await subscribe();
    await publish(100);
    await settle();
    const before = client.deliveries.length;
    client.control.write(encodeCredit({ subscription: 1, streams: 10 }));
    await settle();
    expect([before, client.deliveries.length]).toEqual([64, 74]);
  });

  it('ignores credit for a subscription that is not there', async () => {
    client.control.write(encodeCredit({ subscription: 9, streams: 10 }));
    client.control.frame(FRAME.PING);
    await client.control.expect(FRAME.PONG);
  });

  it('tells a gap on a stream of its own', async () => {
    await subscribe(client, true);
    await publish(250);
    await client.request({ case: 'resume', value: { subscriptionId: 1 } });
    const { channel } = await client.delivery();
    expect(decodeGap((await channel.expect(FRAME.GAP)).payload)).toEqual({ from: 0, to: 50, reason: 1 });
    expect(await channel.ended).toBe('end');
  });

  it('tells its end on a stream of its own', async () => {
    await subscribe();
    await client.request({ case: 'unsubscribe', value: { subscriptionId: 1 } });
    const { channel } = await client.delivery();
    expect(decodeEnd((await channel.expect(FRAME.END)).payload).error).toBeUndefined();
  });

  it('does not pile up batches that a client with much credit does not read', async () => {
    const reader = await stage.client({ streamWindowBytes: 8 * 1024 });
    reader.onDelivery = (stream) => stream.receive!.pause();
    await subscribe(reader);
    reader.control.write(encodeCredit({ subscription: 1, streams: 0xffff_ffff }));
    await publish(100, 64 * 1024);
    await settle();
    expect(reader.deliveries.length).toBeLessThanOrEqual(6);
    expect(await stage.servesOthers()).toBe(true);
    for (const { receive } of reader.deliveries) receive!.resume();
    reader.onDelivery = undefined;
    await until(() => reader.deliveries.length === 100);
  });

  it('tells how long streams that are still open, and missing credit, have held it up', async () => {
    const reader = await stage.client({ streamWindowBytes: 8 * 1024 });
    reader.onDelivery = (stream) => stream.receive!.pause();
    await subscribe(reader);
    const blockedMs = async (): Promise<bigint> => {
      const { subscriptions } = await client.request({ case: 'listSubscriptions', value: {} });
      return subscriptions[0]!.blockedMs;
    };
    await publish(1, 64 * 1024);
    await settle();
    stage.clock.advance(1000);
    expect(await blockedMs()).toBe(1000n);
    reader.deliveries[0]!.receive!.resume();
    reader.onDelivery = undefined;
    await until(() => reader.deliveries[0]!.waiting.length === 2);
    await publish(100);
    await settle();
    stage.clock.advance(500);
    expect([reader.deliveries.length, await blockedMs()]).toEqual([64, 1500n]);
  });

  it('keeps nothing for a client that is gone', async () => {
    const reader = await stage.client();
    await subscribe(reader);
    await publish(100);
    await settle();
    reader.connection.close(0, '');
    await settle();
    expect(stage.gateway.gauges()).toMatchObject({ subscriptions: 0, deliveryStreams: 0 });
  });
});

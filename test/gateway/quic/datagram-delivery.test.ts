import { afterEach, describe, expect, it } from 'vitest';
import { DeliveryMode } from '../../../src/gen/sluice/client/v1/subscription_pb.ts';
import { decodeDatagram, decodeEnd, decodeGap } from '../../../src/wire/delivery.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import { batchBaseOffset } from '../../../src/wire/record-batch.ts';
import { pattern } from '../../support/transport-streams.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient, OpenedDelivery } from './native-client.ts';
import { batchOf, produce, receive, settle, textsOf, until } from './native-client.ts';

describe('datagram delivery', () => {
  let stage: GatewayStage;
  let client: NativeClient;
  afterEach(async () => stage[Symbol.asyncDispose]());

  async function open(window?: number): Promise<OpenedDelivery> {
    stage = await GatewayStage.open();
    client = await stage.client(window === undefined ? {} : { streamWindowBytes: window });
    await client.request({
      case: 'subscribe',
      value: { subscriptionId: 3, filter: 'news', delivery: DeliveryMode.DATAGRAM },
    });
    return client.delivery();
  }
  /** The broker's end of the connection takes no datagrams while `refuse` is true. */
  function refuseDatagrams(): { refuse: boolean } {
    const end = stage.serverEnds[0]!;
    const state = { refuse: true };
    const send = end.sendDatagram.bind(end);
    end.sendDatagram = (bytes) => !state.refuse && send(bytes);
    return state;
  }
  const texts = (): string[] => client.datagrams.flatMap((bytes) => textsOf(decodeDatagram(bytes).batch));

  it('sends a batch as one datagram that names subscription, topic and partition', async () => {
    await open();
    await produce(client.bidi(), 'news', batchOf(['quick']));
    await settle();
    const { subscription, topic, partition, batch } = decodeDatagram(client.datagrams[0]!);
    expect([subscription, topic, partition, textsOf(batch)]).toEqual([3, 'news', 0, ['quick']]);
  });

  it('splits a batch that does not fit, with the same offsets', async () => {
    await open();
    const all = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(50, '.'));
    await produce(client.bidi(), 'news', batchOf(all, 'zstd'));
    await produce(client.bidi(), 'news', batchOf(all));
    await settle();
    expect(texts()).toEqual([...all, ...all]);
    let next = 0;
    for (const bytes of client.datagrams) {
      const { batch } = decodeDatagram(bytes);
      expect(batchBaseOffset(batch)).toBe(next);
      next += textsOf(batch).length;
    }
  });

  it('writes a record that is too large to the delivery stream', async () => {
    const { channel } = await open();
    await produce(client.bidi(), 'news', batchOf(['small', 'L'.repeat(5000), 'small too']));
    expect(await receive(channel, 1)).toEqual(['L'.repeat(5000)]);
    expect(texts()).toEqual(['small', 'small too']);
  });

  it('lets the newest win while nothing can be sent, and tells what it left out', async () => {
    const { channel } = await open();
    const state = refuseDatagrams();
    const stream = client.bidi();
    await produce(stream, 'news', batchOf(['0', '1']));
    await settle();
    stage.clock.advance(60);
    for (const text of ['2', '3', '4']) await produce(stream, 'news', batchOf([text]));
    await settle();
    state.refuse = false;
    stage.clock.advance(5);
    await settle();
    expect(texts()).toEqual(['4']);
    const gaps = [
      await channel.expect(FRAME.GAP),
      await channel.expect(FRAME.GAP),
      await channel.expect(FRAME.GAP),
    ];
    expect(gaps.map(({ payload }) => decodeGap(payload))).toEqual([
      { from: 0, to: 2, reason: 3 },
      { from: 2, to: 3, reason: 3 },
      { from: 3, to: 4, reason: 3 },
    ]);
  });

  it('waits a moment before it leaves anything out', async () => {
    await open();
    const state = refuseDatagrams();
    const stream = client.bidi();
    for (const text of ['0', '1', '2']) await produce(stream, 'news', batchOf([text]));
    await settle();
    state.refuse = false;
    stage.clock.advance(20);
    await settle();
    expect(texts()).toEqual(['0', '1', '2']);
  });

  it('merges gaps that adjoin while the delivery stream has no room', async () => {
    const { channel } = await open(4096);
    channel.receive!.pause();
    const stream = client.bidi();
    await produce(stream, 'news', batchOf(['L'.repeat(8000)]));
    await settle();
    const state = refuseDatagrams();
    await produce(stream, 'news', batchOf(['1']));
    await settle();
    stage.clock.advance(60);
    for (const text of ['2', '3']) await produce(stream, 'news', batchOf([text]));
    await produce(stream, 'news', batchOf(['M'.repeat(8000)]));
    await produce(stream, 'news', batchOf(['5']));
    await settle();
    state.refuse = false;
    stage.clock.advance(5);
    channel.receive!.resume();
    await channel.expect(FRAME.BATCH);
    const gaps = [decodeGap((await channel.expect(FRAME.GAP)).payload)];
    expect([gaps, texts()]).toEqual([[{ from: 1, to: 5, reason: 3 }], ['5']]);
  });

  it('uses the delivery stream where the transport has no datagrams', async () => {
    const { channel } = await open();
    Object.defineProperty(stage.serverEnds[0], 'maxDatagramBytes', { value: 0 });
    await produce(client.bidi(), 'news', batchOf(['by stream']));
    expect(await receive(channel, 1)).toEqual(['by stream']);
  });

  it('ends with END on the delivery stream', async () => {
    const { channel } = await open();
    await client.request({ case: 'unsubscribe', value: { subscriptionId: 3 } });
    expect(decodeEnd((await channel.expect(FRAME.END)).payload).error).toBeUndefined();
  });

  it('ends with the code of a batch whose records make no sense where it has to be split', async () => {
    const { channel } = await open();
    const noise = pattern(2000).toString('base64');
    await produce(client.bidi(), 'news', batchOf([noise, '0'.repeat(17 * 1024 * 1024)], 'zstd'));
    expect(decodeEnd((await channel.expect(FRAME.END)).payload).error).toBe('BATCH_TOO_LARGE');
    expect(await stage.servesOthers()).toBe(true);
  });

  it('tries nothing more for a client that is gone', async () => {
    await open();
    refuseDatagrams();
    const other = await stage.client();
    await produce(other.bidi(), 'news', batchOf(['first']));
    await settle();
    const timers = stage.clock.pendingTimers;
    client.connection.close(0, '');
    other.connection.close(0, '');
    await settle();
    expect(stage.clock.pendingTimers).toBe(timers - 1);
  });

  it('lets others have their turn between batches that take time to split', async () => {
    await open();
    const { clock } = stage;
    const end = stage.serverEnds[0]!;
    const send = end.sendDatagram.bind(end);
    end.sendDatagram = (bytes) => {
      clock.advance(1);
      return send(bytes);
    };
    const batch = batchOf(
      Array.from({ length: 100 }, () => 'x'.repeat(100)),
      'zstd',
    );
    await client.request({ case: 'pause', value: { subscriptionId: 3 } });
    for (let i = 0; i < 20; i += 1) await produce(client.bidi(), 'news', Buffer.from(batch));
    await client.request({ case: 'resume', value: { subscriptionId: 3 } });
    const sentAtFirst = texts().length;
    await until(() => texts().length === 2000);
    expect(sentAtFirst).toBeLessThan(1000);
  });
});

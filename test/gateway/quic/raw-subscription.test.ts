import { afterEach, describe, expect, it } from 'vitest';
import { parseStart } from '../../../src/gateway/quic/raw-subscribe.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import type { SendStream } from '../../../src/transport/transport.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import type { StageOptions } from './gateway-stage.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { FrameChannel, NativeClient } from './native-client.ts';
import { batchOf, produce, settle, until } from './native-client.ts';

describe('raw subscription', () => {
  let stage: GatewayStage;
  const open = async (options?: StageOptions): Promise<NativeClient> => {
    stage = await GatewayStage.open(options);
    return stage.connect();
  };
  afterEach(async () => stage[Symbol.asyncDispose]());

  async function messages(channel: FrameChannel, count: number): Promise<string[]> {
    const texts: string[] = [];
    for (let i = 0; i < count; i += 1) {
      const { topic, payload } = await channel.expect(FRAME.MESSAGE);
      texts.push(`${topic}=${payload.toString()}`);
    }
    return texts;
  }

  const publish = async (topic: string, batch: Buffer): Promise<void> => {
    const client = await stage.client();
    await produce(client.bidi(), topic, batch);
    client.connection.close(0, '');
  };

  /** A stream exists for the client only from its first byte on. */
  const subscribe = async (client: NativeClient, filter: string, streams = 1): Promise<void> => {
    client.control.frame(FRAME.SUBSCRIBE, filter);
    await until(() => stage.gateway.gauges().deliveryStreams === streams);
  };

  it('delivers to a client that never says HELLO what another one publishes', async () => {
    const client = await open();
    await subscribe(client, 'sensors');
    const other = await stage.connect();
    other.control.frame(FRAME.PING);
    const publisher = other.uni();
    publisher.frame(FRAME.PUBLISH, 'sensors/room1', Buffer.from('21'));
    publisher.frame(FRAME.PUBLISH, 'sensors', Buffer.from('no key'));
    expect(await messages(await client.rawDelivery(), 2)).toEqual(['sensors/room1=21', 'sensors=no key']);
  });

  it.each<[string, string, string[]]>([
    ['earliest', 'earliest', ['t=a', 't=b', 't=c']],
    ['an offset inside a batch', '1', ['t=b', 't=c']],
    ['a time', '2023-11-14T22:13:20Z', ['t=a', 't=b', 't=c']],
  ])('begins at %s', async (_what, start, expected) => {
    const client = await open();
    await publish('t', batchOf(['a', 'b', 'c'], 'gzip'));
    client.control.frame(FRAME.SUBSCRIBE, 't', Buffer.from(start));
    expect(await messages(await client.rawDelivery(), expected.length)).toEqual(expected);
  });

  it('opens a stream for each partition', async () => {
    const client = await open({ partitions: 3 });
    await subscribe(client, 't', 3);
    const publisher = await stage.client();
    for (const partition of [0, 1, 2]) await produce(publisher.bidi(), 't', batchOf(['x']), { partition });
    const streams = await Promise.all([client.rawDelivery(), client.rawDelivery(), client.rawDelivery()]);
    for (const channel of streams) expect(await messages(channel, 1)).toEqual(['t=x']);
  });

  it('cuts an address to 255 bytes, never inside a character', async () => {
    const client = await open();
    const encoder = new RecordBatchEncoder();
    encoder.append(Buffer.from('é'.repeat(200)), null, [], 1);
    await subscribe(client, 't');
    await publish('t', encoder.finish({ codec: 'none' }));
    const { topic, payload } = await (await client.rawDelivery()).expect(FRAME.MESSAGE);
    expect([topic, payload.length]).toEqual([`t/${'é'.repeat(126)}`, 0]);
  });

  it('ends its streams when it is unsubscribed', async () => {
    const client = await open();
    await subscribe(client, 't');
    client.control.frame(FRAME.UNSUBSCRIBE, 't');
    expect(await (await client.rawDelivery()).ended).toBe('end');
  });

  it.each<[string, string, string, string]>([
    ['a filter that is none', 'a//#/b/#', '', 'INVALID_FILTER'],
    ['a start that is none', 't', 'yesterday', 'INVALID_ARGUMENT'],
    ['an offset beyond 2^53 − 1', 't', '9007199254740992', 'OFFSET_OUT_OF_RANGE'],
    ['an offset above the log end', 't', '7', 'OFFSET_OUT_OF_RANGE'],
  ])('is refused for %s', async (_what, filter, start, code) => {
    const client = await open();
    await publish('t', batchOf(['there']));
    client.control.frame(FRAME.SUBSCRIBE, filter, Buffer.from(start));
    expect(await client.control.error()).toBe(code);
    expect(stage.gateway.gauges().subscriptions).toBe(0);
    expect(await stage.servesOthers()).toBe(true);
  });

  it('is refused when there is one with the same filter', async () => {
    const client = await open();
    await subscribe(client, 't');
    client.control.frame(FRAME.SUBSCRIBE, 't');
    expect(await client.control.error()).toBe('SUBSCRIPTION_EXISTS');
  });

  it('is told when there is nothing to unsubscribe', async () => {
    const client = await open();
    client.control.frame(FRAME.UNSUBSCRIBE, 't');
    expect(await client.control.error()).toBe('SUBSCRIPTION_NOT_FOUND');
  });

  it('gets its stream reset with GAP when it falls off the retained buffer', async () => {
    const client = await open({ settings: { retentionRecords: 3 } });
    const stalled = await stage.connect({ streamWindowBytes: 1024 });
    stalled.onDelivery = (stream) => stream.receive!.pause();
    await subscribe(stalled, 't');
    client.control.frame(FRAME.PING);
    const publisher = client.uni();
    for (let i = 0; i < 20; i += 1) publisher.frame(FRAME.PUBLISH, 't', Buffer.alloc(2000, i));
    const channel = await stalled.rawDelivery();
    await settle();
    channel.receive!.resume();
    expect(await channel.ended).toBe('reset GAP');
  });

  it.each([
    ['', 2 ** 20],
    [', again and again where the node holds too much of others', 0],
  ])('takes records apart only while the client reads%s', async (_how, maxHeldInflatedBytes) => {
    await open({ limits: { maxHeldInflatedBytes } });
    const stalled = await stage.connect({ streamWindowBytes: 16 * 1024 });
    stalled.onDelivery = (stream) => stream.receive!.pause();
    await settle();
    const end = stage.serverEnds[1]!;
    const openUni = end.openUni.bind(end);
    let send: SendStream | undefined;
    end.openUni = () => (send = openUni());
    await subscribe(stalled, 't');
    const texts = Array.from({ length: 5000 }, (_, i) => `record ${i}`.padEnd(200, '.'));
    await publish('t', batchOf(texts, 'zstd'));
    await publish('t', batchOf(texts.slice(0, 3000)));
    await settle();
    expect(send!.bufferedBytes).toBeLessThan(64 * 1024);
    const channel = await stalled.rawDelivery();
    channel.receive!.resume();
    expect(await messages(channel, 5000)).toEqual(texts.map((text) => `t=${text}`));
    expect((await messages(channel, 3000)).at(-1)).toBe(`t=${texts[2999]!}`);
  });

  it('takes a batch apart only in its turn, also where it does so again and again', async () => {
    await open({ limits: { maxHeldInflatedBytes: 0 } });
    const stalled = await stage.connect({ streamWindowBytes: 16 * 1024 });
    stalled.onDelivery = (stream) => stream.receive!.pause();
    await settle();
    const end = stage.serverEnds[1]!;
    const openUni = end.openUni.bind(end);
    const written = { inTurn: 0, outOfTurn: 0 };
    let isTold = false;
    end.openUni = () => {
      const send = openUni();
      const write = send.write.bind(send);
      send.write = (bytes) => {
        written[isTold ? 'outOfTurn' : 'inTurn'] += 1;
        return write(bytes);
      };
      let told = send.onWritable;
      Object.defineProperty(send, 'onWritable', {
        get: () => () => {
          isTold = true;
          told?.();
          isTold = false;
        },
        set: (callback: () => void) => (told = callback),
      });
      return send;
    };
    await subscribe(stalled, 't');
    const texts = Array.from({ length: 2000 }, (_, i) => `record ${i}`.padEnd(200, '.'));
    await publish('t', batchOf(texts, 'zstd'));
    const channel = await stalled.rawDelivery();
    channel.receive!.resume();
    expect(await messages(channel, 2000)).toEqual(texts.map((text) => `t=${text}`));
    expect(written.inTurn).toBeGreaterThan(5);
    expect(written.outOfTurn).toBe(0);
  });

  it('ends with the code of a batch that inflates to too much', async () => {
    const client = await open({ limits: { maxInflatedBytes: 1024 * 1024 } });
    await subscribe(client, 't');
    await publish('t', batchOf(['0'.repeat(2 * 1024 * 1024)], 'gzip'));
    expect(await (await client.rawDelivery()).ended).toBe('reset BATCH_TOO_LARGE');
    expect(await stage.servesOthers()).toBe(true);
  });
});

describe('start position of a raw subscription', () => {
  it('is read from text', () => {
    const read = (text: string): unknown => parseStart(Buffer.from(text));
    expect(read('')).toEqual({ at: 'latest' });
    expect(read('latest')).toEqual({ at: 'latest' });
    expect(read('2026-01-31T12:00:00.5+01:00')).toEqual({ at: 'timestamp', timestampMs: 1_769_857_200_500 });
    expect(() => read('2026-13-31T12:00:00Z')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => read('-1')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});

import { afterEach, describe, expect, it } from 'vitest';
import { HelloSchema, RequestSchema } from '../../../src/gen/sluice/client/v1/control_pb.ts';
import { errorCodeFromWire } from '../../../src/kernel/errors.ts';
import { encodeControl } from '../../../src/wire/control.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import type { StageOptions } from './gateway-stage.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient } from './native-client.ts';
import { batchOf, produce, produceFrame, settle, until } from './native-client.ts';

const GOODBYE_MS = 50;

describe('control stream', () => {
  let stage: GatewayStage;
  const open = async (options?: StageOptions): Promise<GatewayStage> => {
    stage = await GatewayStage.open(options);
    return stage;
  };
  afterEach(async () => stage[Symbol.asyncDispose]());

  /** What a client that wrote `frames` is told: the ERROR frame's code and the code of the close. */
  async function endOf(client: NativeClient): Promise<string[]> {
    const error = await client.control.error();
    stage.clock.advance(GOODBYE_MS);
    return [error, errorCodeFromWire((await client.closed).errorCode)];
  }

  it('answers HELLO with who everybody is and what is allowed', async () => {
    await open({ tokens: { alice: 'slt_a' } });
    const welcome = await (await stage.connect()).hello({ token: 'slt_a' });
    expect([welcome.version, welcome.clusterId, welcome.nodeId, welcome.principal]).toEqual([
      1,
      'c',
      'n',
      'alice',
    ]);
    expect(welcome.limits!.maxSubscriptions).toBe(1024);
  });

  it('answers PING with the same bytes, also before HELLO', async () => {
    await open();
    const client = await stage.connect();
    client.control.frame(FRAME.PING, '', Buffer.from('are you there'));
    expect((await client.control.expect(FRAME.PONG)).payload.toString()).toBe('are you there');
  });

  it.each<[string, string, (client: NativeClient) => void]>([
    ['a second HELLO', 'PROTOCOL_ERROR', (client) => client.sendHello()],
    ['a frame of the broker', 'PROTOCOL_ERROR', (client) => client.control.frame(FRAME.WELCOME)],
    ['PRODUCE', 'PROTOCOL_ERROR', (client) => client.control.write(produceFrame('t', batchOf(['x'])))],
    [
      'an unknown frame',
      'UNKNOWN_FRAME',
      (client) => client.control.write(Buffer.from('7f00000000 00'.replace(' ', ''), 'hex')),
    ],
    [
      'garbage instead of protobuf',
      'PROTOCOL_ERROR',
      (client) => client.control.frame(FRAME.REQUEST, '', Buffer.alloc(40, 0xff)),
    ],
    [
      'correlation id 0',
      'PROTOCOL_ERROR',
      (client) => client.control.write(encodeControl(FRAME.REQUEST, RequestSchema, {})),
    ],
    [
      'a PING of more than 64 bytes',
      'FRAME_TOO_LARGE',
      (client) => client.control.frame(FRAME.PING, '', Buffer.alloc(65)),
    ],
    [
      'a request of more than 1 MiB',
      'FRAME_TOO_LARGE',
      (client) => client.control.frame(FRAME.REQUEST, '', Buffer.alloc(1024 * 1024 + 1)),
    ],
    [
      'CREDIT of the wrong length',
      'PROTOCOL_ERROR',
      (client) => client.control.frame(FRAME.CREDIT, '', Buffer.alloc(3)),
    ],
  ])('ends the connection after %s with %s', async (_what, code, act) => {
    await open();
    const client = await stage.client();
    act(client);
    expect(await endOf(client)).toEqual([code, code]);
    expect(await stage.servesOthers()).toBe(true);
  });

  it('ends the connection when the stream ends inside a frame', async () => {
    await open();
    const client = await stage.client();
    client.control.write(Buffer.from([FRAME.REQUEST, 0, 0]));
    client.control.send!.end();
    expect(await endOf(client)).toEqual(['PROTOCOL_ERROR', 'PROTOCOL_ERROR']);
  });

  it('ends the connection when the client resets the stream', async () => {
    await open();
    const client = await stage.client();
    client.control.send!.reset(0);
    await settle();
    stage.clock.advance(GOODBYE_MS);
    expect(errorCodeFromWire((await client.closed).errorCode)).toBe('PROTOCOL_ERROR');
  });

  it('goes on after the client ended its half', async () => {
    await open();
    const client = await stage.client();
    await client.request({ case: 'subscribe', value: { subscriptionId: 1, filter: 'news' } });
    client.control.send!.end();
    const { channel } = await client.delivery();
    await produce((await stage.client()).bidi(), 'news', batchOf(['still here']));
    expect((await channel.next()).type).toBe(FRAME.BATCH);
  });

  it.each<[string, Parameters<NativeClient['sendHello']>[0], string]>([
    ['another version', { version: 2 }, 'VERSION_MISMATCH'],
    ['a wrong token', { token: 'slt_wrong' }, 'UNAUTHENTICATED'],
    ['no token where one is needed', {}, 'UNAUTHENTICATED'],
    ['a client id of more than 256 bytes', { clientId: 'é'.repeat(129) }, 'INVALID_ARGUMENT'],
  ])('refuses HELLO with %s', async (_what, fields, code) => {
    await open({ tokens: { alice: 'slt_a' } });
    const client = await stage.connect();
    client.sendHello(fields);
    expect(await endOf(client)).toEqual([code, code]);
  });

  it('refuses HELLO that is not the first frame', async () => {
    await open();
    const client = await stage.connect();
    client.control.frame(FRAME.PING);
    await client.control.expect(FRAME.PONG);
    client.control.write(encodeControl(FRAME.HELLO, HelloSchema, { version: 1 }));
    expect(await endOf(client)).toEqual(['PROTOCOL_ERROR', 'PROTOCOL_ERROR']);
  });

  it('refuses a request before HELLO', async () => {
    await open();
    const client = await stage.connect();
    client.ask({ case: 'listTopics', value: {} });
    expect(await endOf(client)).toEqual(['PROTOCOL_ERROR', 'PROTOCOL_ERROR']);
  });

  it('answers each operation with UNAUTHENTICATED while HELLO is missing and needed', async () => {
    await open({ tokens: { alice: 'slt_a' } });
    const client = await stage.connect();
    client.control.frame(FRAME.PING);
    await client.control.expect(FRAME.PONG);
    const produced = await produce(client.bidi(), 'news', batchOf(['x']));
    client.control.frame(FRAME.SUBSCRIBE, 'news');
    const raw = await client.control.error();
    expect([produced.error, raw, await client.refusal({ case: 'listTopics', value: {} })]).toEqual(
      Array(3).fill('UNAUTHENTICATED'),
    );
  });

  it('closes a connection that does not authenticate in time', async () => {
    await open({ tokens: { alice: 'slt_a' } });
    const client = await stage.connect();
    await settle();
    stage.clock.advance(10_000 + GOODBYE_MS);
    expect(errorCodeFromWire((await client.closed).errorCode)).toBe('UNAUTHENTICATED');
  });

  it('keeps an authenticated connection that says nothing', async () => {
    await open({ tokens: { alice: 'slt_a' } });
    const client = await stage.connect();
    await client.hello({ token: 'slt_a' });
    stage.clock.advance(60_000);
    expect((await client.request({ case: 'listTopics', value: {} })).topics).toEqual([]);
  });

  it('answers a request it does not know with UNSUPPORTED', async () => {
    await open();
    const client = await stage.client();
    client.control.write(encodeControl(FRAME.REQUEST, RequestSchema, { correlationId: 4 }));
    expect(await client.control.error()).toBe('UNSUPPORTED');
  });

  it('reads no more while a client does not read its answers', async () => {
    await open({ transportLimits: { streamWindowBytes: 64 * 1024 } });
    const client = await stage.connect({ streamWindowBytes: 64 * 1024 });
    client.control.receive!.pause();
    const ping = Buffer.concat(
      Array.from({ length: 1000 }, () => Buffer.from([FRAME.PING, 0, 0, 0, 0, 64, ...Buffer.alloc(64)])),
    );
    for (let i = 0; i < 100; i += 1) client.control.write(ping);
    await settle();
    expect(client.control.send!.bufferedBytes).toBeGreaterThan(6_000_000);
    expect(await stage.servesOthers()).toBe(true);
  });

  it('lets others in between a thousand requests that came together', async () => {
    const { broker, clock } = await open();
    const client = await stage.client();
    let answered = 0;
    broker.listTopics = () => {
      answered += 1;
      clock.advance(1);
      return Promise.resolve([]);
    };
    for (let i = 0; i < 1000; i += 1) client.ask({ case: 'listTopics', value: {} });
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBeLessThan(50);
    await until(() => client.control.waiting.length === 1000);
  });

  it('does what came together in order, however many of it wait', async () => {
    await open();
    const client = await stage.connect();
    for (let i = 0; i < 20; i += 1) client.control.frame(FRAME.SUBSCRIBE, `topic-${i}`);
    client.control.frame(FRAME.PUBLISH, 'topic-19', Buffer.from('after it'));
    await until(() => client.deliveries.length > 0 && client.deliveries.at(-1)!.waiting.length > 0);
    expect(client.deliveries.at(-1)!.waiting[0]!.payload.toString()).toBe('after it');
  });
});

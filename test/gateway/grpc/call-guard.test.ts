import { connect, constants } from 'node:http2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MessageService } from '../../../src/gen/sluice/messages/v1/messages_pb.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { encodeMessage } from '../../../src/transport/grpc/rpc-method.ts';
import { turns } from '../../support/turns.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { GrpcStage } from './grpc-stage.ts';
import { received } from './fake-queue.ts';

const { publish, publishStream, consume } = MessageService.method;
const request = { topic: 't', messages: [{ body: Buffer.from('a') }] };
const MiB = 1024 * 1024;

describe('callers', () => {
  let stage: GrpcStage;

  beforeEach(async () => {
    stage = await GrpcStage.open();
    stage.broker.tokens = { good: 'ann' };
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('show who they are with a bearer token', async () => {
    await stage.client().withToken('good').call(publish, request);
    expect(stage.broker.publishers).toMatchObject([{ name: 'ann', kind: 'token' }]);
    expect(stage.broker.publishers[0]!.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it.each([
    ['no token', undefined],
    ['a wrong token', 'Bearer bad'],
    ['another scheme', 'Basic good'],
    ['a token without scheme', 'good'],
  ])('with %s are refused', async (_name, authorization) => {
    const client = stage.client();
    if (authorization !== undefined) client.metadata.set('authorization', authorization);
    await expect(client.call(publish, request)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(stage.broker.batches).toEqual([]);
    expect(stage.securityEvents).toMatchObject([{ kind: 'authentication_failed' }]);
  });

  it('are logged once for each connection', async () => {
    const client = stage.client().withToken('good');
    await client.call(publish, request);
    await client.call(publish, request);
    expect(stage.securityEvents).toMatchObject([{ kind: 'authenticated', principal: { name: 'ann' } }]);
  });

  it('are refused before anything of their request is read', async () => {
    const { write, answer } = stage.client().withToken('bad').clientStream(publishStream);
    for (let count = 0; count < 10; count++) write({ topic: 't', message: { body: Buffer.alloc(MiB / 2) } });
    await expect(answer).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(stage.gateway.heldBytes).toBe(0);
  });
});

describe('a token that is revoked', () => {
  it('ends the calls that were made with it', async () => {
    const clock = new FakeClock();
    await using stage = await GrpcStage.open({ clock });
    stage.broker.tokens = { good: 'ann', other: 'bob' };
    stage.broker.onReceive = () => new Promise(() => undefined);
    const stream = stage.client().withToken('good').serverStream(consume, { topic: 't' });
    const other = stage.client().withToken('other').serverStream(consume, { topic: 't' });
    await until(() => stage.broker.receives.length === 2);
    stage.broker.revoked.add('ann');
    clock.advance(1_000);
    expect(await stream.ended).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(stage.gateway.callCount).toBe(1);
    other.raw.cancel();
    await until(() => stage.gateway.callCount === 0);
  });
});

describe('calls', () => {
  let stage: GrpcStage;

  beforeEach(async () => {
    stage = await GrpcStage.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('that clients cancel are over at once, and nothing waits for them', async () => {
    let signal: AbortSignal | undefined;
    stage.broker.onReceive = (_question, options) => {
      signal = options.signal;
      return new Promise(() => undefined);
    };
    const stream = stage.client().serverStream(consume, { topic: 't' });
    await until(() => signal !== undefined);
    stream.raw.cancel();
    await until(() => signal!.aborted);
    await until(() => stage.gateway.callCount === 0);
  });

  it('end when their deadline has passed, at the latest', async () => {
    stage.broker.hold = true;
    await expect(stage.client().call(publish, request, { deadline: Date.now() + 100 })).rejects.toMatchObject(
      { code: 'TIMEOUT' },
    );
    await until(() => stage.gateway.callCount === 0);
  });

  it('of a client that does not read wait for it, and lease nothing more', async () => {
    let offset = 0;
    stage.broker.onReceive = () => {
      offset += 10;
      return Promise.resolve(
        received(
          Array.from({ length: 10 }, () => 'x'.repeat(7_000)),
          { firstOffset: offset },
        ),
      );
    };
    const stream = stage.client().serverStream(consume, { topic: 't', credit: 10_000 });
    stream.raw.pause();
    let last = -1;
    while (last !== offset || offset === 0) {
      last = offset;
      await turns(300);
    }
    expect(offset).toBeLessThan(500);
    stream.raw.resume();
    await until(() => offset > last + 100);
    stream.raw.cancel();
    await until(() => stage.gateway.callCount === 0);
  });

  it('with messages that are too large are refused, and others go on', async () => {
    const message = { body: Buffer.alloc(MiB + 1) };
    await expect(stage.client().call(publish, { topic: 't', messages: [message] })).rejects.toMatchObject({
      code: 'OVERLOADED',
    });
    await stage.client().call(publish, request);
    expect(stage.broker.batches).toHaveLength(1);
  });

  it('with requests that are none are refused', async () => {
    const client = stage.client();
    const refusal = await new Promise<{ code: number; details: string } | null>((resolve) => {
      const asIs = (bytes: Buffer): Buffer => bytes;
      client.raw.makeUnaryRequest(
        '/sluice.messages.v1.MessageService/Publish',
        ...([asIs, asIs, Buffer.from('ffffff', 'hex')] as const),
        (error) => resolve(error),
      );
    });
    expect(refusal).toMatchObject({ code: 3 });
  });

  it('of all services that are too many are refused, until others have ended', async () => {
    await using small = await GrpcStage.open({ limits: { maxCalls: 2 } });
    small.broker.onReceive = () => new Promise(() => undefined);
    const client = small.client();
    const [first] = [client, client].map((one) => one.serverStream(consume, { topic: 't' }));
    await until(() => small.broker.receives.length === 2);
    await expect(client.call(publish, request)).rejects.toMatchObject({ code: 'OVERLOADED' });
    first!.raw.cancel();
    await until(() => small.gateway.callCount === 1);
    await client.call(publish, request);
  });

  it('take no more memory together than there is for them: the one that holds most ends', async () => {
    await using small = await GrpcStage.open({ limits: { maxHeldBytes: MiB } });
    small.broker.hold = true;
    const little = small.client().call(publish, { topic: 't', messages: [{ body: Buffer.alloc(1_000) }] });
    const { write, answer } = small.client().clientStream(publishStream);
    for (let count = 0; count < 8; count++) write({ topic: 't', message: { body: Buffer.alloc(MiB / 4) } });
    await expect(answer).rejects.toMatchObject({ code: 'OVERLOADED' });
    await until(() => small.broker.held.length > 0);
    small.broker.hold = false;
    for (const go of small.broker.held) go();
    expect((await little).results).toHaveLength(1);
    await until(() => small.gateway.heldBytes === 0);
  });
});

describe('answers that nobody takes', () => {
  it('are dropped with their calls when all together are too many', async () => {
    await using stage = await GrpcStage.open({ limits: { maxHeldBytes: 16 * MiB } });
    stage.broker.refuse = () => new SluiceError('INVALID_TOPIC', 'x'.repeat(200));
    const session = connect(`http://127.0.0.1:${stage.gateway.port}`, { settings: { initialWindowSize: 0 } });
    const messages = Array.from({ length: 10_000 }, () => ({}));
    const bytes = encodeMessage(publish.input, { topic: 't', messages });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(bytes.length, 1);
    const codes: number[] = [];
    for (let count = 0; count < 20; count++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/sluice.messages.v1.MessageService/Publish',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      stream.on('close', () => codes.push(stream.rstCode));
      stream.end(Buffer.concat([head, bytes]));
    }
    await until(() => codes.length > 0);
    expect(new Set(codes)).toEqual(new Set([constants.NGHTTP2_ENHANCE_YOUR_CALM]));
    expect(stage.gateway.heldBytes).toBeLessThanOrEqual(16 * MiB);
    session.destroy();
    await until(() => stage.gateway.heldBytes === 0 && stage.gateway.callCount === 0);
  });
});

describe('messages that never become complete', () => {
  it('are dropped with their calls when all together are too many', async () => {
    await using stage = await GrpcStage.open({ limits: { maxHeldBytes: MiB } });
    const session = connect(`http://127.0.0.1:${stage.gateway.port}`);
    const statuses: unknown[] = [];
    const begin = (bytes: number): void => {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/sluice.messages.v1.MessageService/Publish',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('response', (headers) => statuses.push(headers['sluice-error']));
      const head = Buffer.alloc(5);
      head.writeUInt32BE(MiB - 1, 1);
      stream.write(Buffer.concat([head, Buffer.alloc(bytes)]));
    };
    begin(600_000);
    await until(() => stage.gateway.heldBytes > 600_000);
    begin(700_000);
    await until(() => statuses.length > 0);
    expect(statuses).toEqual(['OVERLOADED']);
    expect(stage.gateway.callCount).toBe(1);
    expect(stage.gateway.heldBytes).toBeLessThan(MiB);
    session.destroy();
    await until(() => stage.gateway.heldBytes === 0);
  });
});

/** Lets turns pass until something holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turns(1);
}

import { Client, credentials } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { systemClock } from '../../../src/kernel/system-clock.ts';
import { GrpcChannel } from '../../../src/transport/grpc/grpc-channel.ts';
import { GrpcServer, answers, streams } from '../../../src/transport/grpc/grpc-server.ts';
import type { MessageStream } from '../../../src/transport/grpc/message-stream.ts';
import type { MessageBytes, MessageCodec, RpcMethod } from '../../../src/transport/grpc/rpc-method.ts';
import { NodeAuthority } from '../../support/node-certificates.ts';
import { turns } from '../../support/turns.ts';

const authority = await NodeAuthority.create();
const tls = await authority.tls('n');
const settings = {
  maxMessageBytes: 100_000,
  windowBytes: 1024 * 1024,
  keepAliveMs: 60_000,
  keepAliveTimeoutMs: 5_000,
};
const base = { tls, settings, clock: systemClock };

/** Text; `unreadable` is none. */
const text: MessageCodec<string> = {
  encode: (message) => Buffer.from(message),
  decode: (bytes) => {
    const message = bytes.toString();
    if (message === 'unreadable') throw new SluiceError('PROTOCOL_ERROR', 'not a text');
    return message;
  },
};
const ECHO: RpcMethod<string, string> = { path: '/test.Test/Echo', request: text, response: text };
const CHAT: RpcMethod<string, string> = { path: '/test.Test/Chat', request: text, response: text };

/** Text whose bytes can be asked for nothing but what {@link MessageBytes} has. @param refused takes what they were asked for beyond that */
function guarded(refused: string[]): MessageCodec<string> {
  const refuse = (what: string): never => {
    refused.push(what);
    throw new TypeError(`a message was asked for ${what}`);
  };
  const traps: ProxyHandler<MessageBytes> = {
    get: (bytes, key) => {
      if (key === 'length' || key === 'byteLength') return bytes[key];
      if (key === 'copy') return bytes.copy.bind(bytes);
      // Promises look for it in whatever they are resolved with.
      return key === 'then' ? undefined : refuse(String(key));
    },
    ...{ has: () => refuse('has'), ownKeys: () => refuse('ownKeys'), set: () => refuse('set') },
    getPrototypeOf: () => refuse('getPrototypeOf'),
    getOwnPropertyDescriptor: () => refuse('getOwnPropertyDescriptor'),
    defineProperty: () => refuse('defineProperty'),
  };
  return {
    encode: (message) => {
      const whole = Buffer.from(message);
      const { length, byteLength } = whole;
      const copy = (target: Buffer, start = 0): number => whole.copy(target, start);
      return new Proxy<MessageBytes>({ length, byteLength, copy }, traps);
    },
    decode: (bytes) => bytes.toString(),
  };
}

describe('a gRPC server', () => {
  let server: GrpcServer;
  let channel: GrpcChannel;
  let chats: MessageStream<string, string>[];
  let ended: (string | undefined)[];
  beforeEach(async () => {
    chats = [];
    ended = [];
    server = await GrpcServer.listen({ ...base, host: '127.0.0.1', port: 0, identify: () => 'somebody' }, [
      answers(ECHO, (who, request) => `${who}: ${request}`),
      streams(CHAT, (_, stream) => {
        chats.push(stream);
        stream.onMessage = (message) => stream.write(`re: ${message}`);
        stream.onEnd = (error) => ended.push(error?.code);
      }),
    ]);
    channel = new GrpcChannel({ ...base, address: `127.0.0.1:${server.port}`, check: () => 'n' });
  });
  afterEach(async () => {
    channel.close();
    await server.close(0);
  });

  it('takes the certificate of a caller apart once, and one that it refuses each time', async () => {
    let checks = 0;
    const counting = await GrpcServer.listen(
      {
        ...base,
        ...{ host: '127.0.0.1', port: 0 },
        identify: () => {
          checks += 1;
          if (checks <= 2) throw new SluiceError('CERTIFICATE_REJECTED', 'not yet');
          return 'somebody';
        },
      },
      [answers(ECHO, (who, request) => `${who}: ${request}`)],
    );
    const caller = new GrpcChannel({ ...base, address: `127.0.0.1:${counting.port}`, check: () => 'n' });
    for (let attempt = 1; attempt <= 2; attempt++) {
      await expect(caller.call(ECHO, 'a', 5000)).rejects.toMatchObject({ code: 'CERTIFICATE_REJECTED' });
    }
    for (const text of ['b', 'c', 'd']) expect(await caller.call(ECHO, text, 5000)).toBe(`somebody: ${text}`);
    expect(checks).toBe(3);
    caller.close();
    await counting.close(0);
  });

  /** What comes on a stream of this test's channel. */
  function open() {
    const got: string[] = [];
    const end = Promise.withResolvers<string | undefined>();
    const stream = channel.open(CHAT);
    stream.onMessage = (message) => void got.push(message);
    stream.onEnd = (error) => end.resolve(error?.code);
    return { stream, got, ended: end.promise };
  }

  it('and its caller ask messages for nothing but their length and a copy of them', async () => {
    const refused: string[] = [];
    const bytes = guarded(refused);
    const echo = { ...ECHO, request: bytes, response: bytes };
    const chat = { ...CHAT, request: bytes, response: bytes };
    const guarding = await GrpcServer.listen(
      { ...base, host: '127.0.0.1', port: 0, identify: () => 'somebody' },
      [
        answers(echo, (who, request) => `${who}: ${request}`),
        streams(chat, (_, stream) => (stream.onMessage = (message) => stream.write(`re: ${message}`))),
      ],
    );
    const caller = new GrpcChannel({ ...base, address: `127.0.0.1:${guarding.port}`, check: () => 'n' });
    const answer = await caller.call(echo, 'hello', 5_000).catch(String);
    const stream = caller.open(chat);
    const ended = Promise.withResolvers<unknown>();
    const got: string[] = [];
    stream.onMessage = (message) => got.push(message);
    stream.onEnd = (error) => ended.resolve(error?.message);
    for (const message of ['', 'a', 'x'.repeat(70_000)]) stream.write(message);
    stream.end();
    const end = await ended.promise;
    caller.close();
    await guarding.close(0);
    expect({ refused, answer, end }).toEqual({ refused: [], answer: 'somebody: hello', end: undefined });
    expect(got).toEqual(['re: ', 're: a', `re: ${'x'.repeat(70_000)}`]);
  });

  it('answers single calls', async () => {
    expect(await channel.call(ECHO, 'hello', 5_000)).toBe('somebody: hello');
  });

  it('refuses messages that it cannot read, and goes on', async () => {
    await expect(channel.call(ECHO, 'unreadable', 5_000)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' });
    const { stream, ended: end } = open();
    stream.write('unreadable');
    expect(await end).toBe('PROTOCOL_ERROR');
    expect(ended).toEqual(['PROTOCOL_ERROR']);
    expect(await channel.call(ECHO, 'hello', 5_000)).toBe('somebody: hello');
  });

  it('refuses messages that are too large, and goes on', async () => {
    const { stream, ended: end } = open();
    chats.forEach((chat) => chat.pause());
    stream.write('x'.repeat(100_001));
    expect(await end).toBe('OVERLOADED');
    expect(await channel.call(ECHO, 'hello', 5_000)).toBe('somebody: hello');
  });

  it('does not know methods that it has not got', async () => {
    const unknown = { ...ECHO, path: '/test.Test/Unknown' };
    await expect(channel.call(unknown, 'x', 5_000)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  it('and its caller end streams well once everything has come', async () => {
    const { stream, got, ended: end } = open();
    for (let n = 0; n < 100; n += 1) stream.write(String(n));
    stream.end();
    expect(await end).toBeUndefined();
    expect(got).toEqual(Array.from({ length: 100 }, (_, n) => `re: ${n}`));
    expect(ended).toEqual([undefined]);
  });

  it('ends a stream with an error that the caller gets', async () => {
    const { stream, got, ended: end } = open();
    stream.write('hello');
    while (got.length === 0) await turns(1);
    chats[0]!.end(new SluiceError('NOT_ENOUGH_REPLICAS', 'too few'));
    expect(await end).toBe('NOT_ENOUGH_REPLICAS');
    stream.write('nobody hears this');
  });

  it('is told when a caller gives up a stream', async () => {
    const { stream, got, ended: end } = open();
    stream.write('hello');
    while (got.length === 0) await turns(1);
    stream.end(new SluiceError('CANCELLED', 'enough'));
    expect(await end).toBe('CANCELLED');
    while (ended.length === 0) await turns(1);
    await turns(20);
    expect(ended).toHaveLength(1);
  });

  it('holds writers up while the reader does not read', async () => {
    const { stream, got } = open();
    stream.write('hello');
    while (got.length === 0) await turns(1);
    chats[0]!.pause();
    const message = 'x'.repeat(90_000);
    let written = 0;
    while (stream.write(message)) {
      written += message.length;
      if (written % 900_000 === 0) await turns(2);
    }
    expect(written).toBeLessThan(10_000_000);
    const writable = new Promise<void>((resolve) => (stream.onWritable = resolve));
    chats[0]!.resume();
    await writable;
    expect(stream.unsentBytes).toBeLessThanOrEqual(512 * 1024);
  });

  it('cannot listen where somebody does already', async () => {
    const options = { ...base, host: '127.0.0.1', port: server.port, identify: () => 'x' };
    const routes = [answers(ECHO, (_, request: string) => request)];
    await expect(GrpcServer.listen(options, routes)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
  });

  it('survives bytes that are no TLS, and callers without certificate', async () => {
    const plain = connect(server.port, '127.0.0.1');
    plain.on('error', () => undefined);
    plain.write('GET / HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => plain.on('close', resolve));
    const bare = connectTls({
      port: server.port,
      host: '127.0.0.1',
      ca: authority.certificatePem,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    bare.on('error', () => undefined);
    await new Promise((resolve) => bare.on('close', resolve));
    expect(await channel.call(ECHO, 'hello', 5_000)).toBe('somebody: hello');
  });

  it('tells its health', async () => {
    const { path, requestSerialize, responseDeserialize } = healthService['Check']!;
    const { identity, authoritiesPem } = tls;
    const secure = credentials.createSsl(
      Buffer.from(authoritiesPem),
      Buffer.from(identity.privateKeyPem),
      Buffer.from(identity.certificatePem),
      { checkServerIdentity: () => undefined },
    );
    const address = `127.0.0.1:${server.port}`;
    const client = new Client(address, secure, { 'grpc.ssl_target_name_override': 'n' });
    const answer = await new Promise((resolve, reject: (error: Error) => void) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { service: '' },
        (error, health) => {
          if (error) reject(error);
          else resolve(health);
        },
      );
    });
    client.close();
    expect(answer).toEqual({ status: 'SERVING' });
  });
});

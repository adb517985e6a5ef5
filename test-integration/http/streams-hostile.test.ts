import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { StreamLimits } from '../../src/gateway/http/streams/stream-limits.ts';
import { eventually } from '../support/eventually.ts';
import type { TestSocket } from './streams-stage.ts';
import { connected, StreamsStage } from './streams-stage.ts';

const MiB = 1024 * 1024;

/** The TCP connection below a client's socket. */
function wireOf({ ws }: TestSocket): Socket {
  return (ws as unknown as { readonly _socket: Socket })._socket;
}

describe('streams and clients that are slow, gone or hostile', () => {
  let stage: StreamsStage;
  const start = async (limits: Partial<StreamLimits> = {}): Promise<void> => {
    stage = await StreamsStage.open(limits);
    await stage.create('orders');
  };
  /** Whoever comes now is served as ever. */
  const checkAlive = async (): Promise<void> => {
    const socket = await stage.socket('orders').untilOpen();
    await stage.publish('orders', ['alive']);
    await socket.untilRecords(1);
    socket.ws.close();
  };
  /** A connection that has sent bytes of its own. */
  const raw = async (bytes: string | Buffer): Promise<Socket> => {
    const socket = connect(stage.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(bytes);
    return socket;
  };
  const upgrade = (path: string, ...headers: string[]): string =>
    [
      ...[`GET ${path} HTTP/1.1`, 'host: 127.0.0.1', 'connection: upgrade', 'upgrade: websocket'],
      ...['sec-websocket-version: 13', 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='],
      ...['authorization: Bearer good', ...headers, '', ''],
    ].join('\r\n');

  afterEach(() => stage[Symbol.asyncDispose]());

  it('holds little for a browser that does not read, lets others be, and goes on where it was', async () => {
    await start();
    const slow = await stage.socket('orders').untilOpen();
    const quick = await stage.socket('orders').untilOpen();
    wireOf(slow).pause();
    const value = 'x'.repeat(64 * 1024);
    const count = 1024;
    for (let index = 0; index < count; index += 8)
      await stage.publish(
        'orders',
        Array.from({ length: 8 }, (_, each) => ({ key: `${index + each}`, value })),
      );
    await quick.untilRecords(count);
    // What went to the slow one is in the buffers of the kernel, and no more than a few records here.
    expect(stage.streams.counters.bytes - count * value.length).toBeLessThan(24 * MiB);
    wireOf(slow).resume();
    await slow.untilRecords(count);
    expect(slow.records.map(({ key }) => Number(key))).toEqual(
      Array.from({ length: count }, (_, index) => index),
    );
    expect(slow.ofType('gap')).toEqual([]);
  });

  it('tells a browser that was too slow for the retention what it has missed', async () => {
    await start();
    const slow = await stage.socket('orders').untilOpen();
    wireOf(slow).pause();
    const value = 'x'.repeat(256 * 1024);
    for (let index = 0; index < 1400; index += 3)
      await stage.publish('orders', [{ value }, { value }, { value }]);
    wireOf(slow).resume();
    await stage.publish('orders', ['end']);
    await eventually('the end', () => slow.values.at(-1) === 'end', 60_000);
    const [gap] = slow.ofType('gap');
    const offsets = slow.records.map(({ offset }) => Number(offset));
    expect(offsets).not.toContain(Number(gap!['from']));
    expect(offsets).toContain(Number(gap!['to']));
  });

  it('closes with 1009 when a message is too large', async () => {
    await start({ maxMessageBytes: 1024 });
    const socket = await stage.socket('orders').untilOpen();
    socket.say({ reason: 'x'.repeat(2048) });
    expect(await socket.untilClosed()).toMatchObject({ code: 1009 });
    await checkAlive();
  });

  it('refuses a frame whose length is a lie without waiting for it', async () => {
    await start();
    const socket = await raw(upgrade('/v1/topics/orders/stream'));
    await once(socket, 'data');
    // 2^62 bytes are to come.
    socket.write(Buffer.from([0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]));
    await once(socket, 'close');
    await checkAlive();
  });

  it.each([
    ['no JSON', 'nonsense', 4050],
    ['a binary frame', Buffer.from('{}'), 4050],
  ])('closes with a code for %s', async (_what, message, code) => {
    await start();
    const socket = await stage.socket('orders').untilOpen();
    socket.ws.send(message);
    expect(await socket.untilClosed()).toMatchObject({ code });
    await checkAlive();
  });

  it.each([
    ['an unknown field', { pause: true }],
    ['a list', []],
    ['null', null],
    ['a credit of nothing', { credit: 0 }],
    ['a token that is none', { ack: [{}] }],
    ['an acknowledgement of what needs none', { ack: ['0.0.0'] }],
  ])('says what it does not understand and goes on: %s', async (_what, message) => {
    await start();
    const socket = await stage.socket('orders').untilOpen();
    socket.say(message);
    await eventually('an answer', () => socket.ofType('refused').length === 1);
    await stage.publish('orders', ['a']);
    await socket.untilRecords(1);
  });

  it.each([
    ['an unmasked frame', [0x81, 0x01, 0x61]],
    ['a compressed frame, which was not agreed upon', [0xc1, 0x81, 1, 2, 3, 4, 0x60]],
    ['text that is no UTF-8', [0x81, 0x81, 0, 0, 0, 0, 0xff]],
    ['an opcode that does not exist', [0x83, 0x80, 0, 0, 0, 0]],
    ['a ping in pieces', [0x09, 0x80, 0, 0, 0, 0]],
    ['a continuation of nothing', [0x80, 0x80, 0, 0, 0, 0]],
  ])('ends a socket that sends %s', async (_what, bytes) => {
    await start();
    const socket = await raw(upgrade('/v1/topics/orders/stream'));
    await once(socket, 'data');
    socket.resume();
    socket.write(Buffer.from(bytes));
    await once(socket, 'close');
    await eventually('it is gone', () => stage.streams.counters.sockets === 0);
    await checkAlive();
  });

  it('agrees to no compression', async () => {
    await start();
    const socket = await stage
      .socket('orders', '', { perMessageDeflate: true, headers: { authorization: 'Bearer good' } })
      .untilOpen();
    expect(socket.ws.extensions).toBe('');
  });

  it('closes a socket that answers no ping', async () => {
    await start({ pingMs: 500, silentMs: 2000, closeMs: 500 });
    const dead = await stage
      .socket('orders', '', { autoPong: false, headers: { authorization: 'Bearer good' } })
      .untilOpen();
    const live = await stage.socket('orders').untilOpen();
    expect(await dead.untilClosed()).toMatchObject({ code: 4003 });
    expect(live.closed).toBeUndefined();
  });

  it('lets go of a socket whose client takes nothing and says nothing', async () => {
    await start({ pingMs: 500, silentMs: 2000, closeMs: 500 });
    const half = await stage.socket('orders').untilOpen();
    wireOf(half).pause();
    const value = 'x'.repeat(512 * 1024);
    for (let index = 0; index < 64; index++) await stage.publish('orders', [value]);
    await eventually('it is gone', () => stage.streams.counters.sockets === 0);
    expect([...stage.streams.counters.ended]).toEqual([['TIMEOUT', 1]]);
  });

  it('lets go of an event stream whose client takes nothing', async () => {
    await start({ keepAliveMs: 500, silentMs: 2000, closeMs: 500 });
    const half = await raw(
      'GET /v1/topics/orders/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer good\r\n\r\n',
    );
    await once(half, 'data');
    half.pause();
    const value = 'x'.repeat(512 * 1024);
    for (let index = 0; index < 64; index++) await stage.publish('orders', [value]);
    await eventually('it is gone', () => stage.streams.counters.eventStreams === 0);
    half.destroy();
  });

  it('hears no more of a client that does not read its answers', async () => {
    await start({ maxBufferedBytes: 16 * 1024 });
    const flood = await stage.socket('orders').untilOpen();
    wireOf(flood).pause();
    // Each way the kernel takes some 10 MiB: first of answers that nobody reads, then of what nobody hears any more.
    const message = `{"credit":0${' '.repeat(200)}}`;
    for (let sent = 0; sent < 1_000_000 && flood.ws.bufferedAmount < 8 * MiB; sent++) {
      flood.ws.send(message);
      if (sent % 1000 === 0)
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
    }
    expect(flood.ws.bufferedAmount).toBeGreaterThan(MiB / 4);
    await checkAlive();
  });

  it('refuses streams beyond its bounds, and takes them when there is room', async () => {
    await start({ maxStreams: 3, maxStreamsPerHost: 2 });
    const first = await stage.socket('orders').untilOpen();
    const events = await stage.events('orders');
    const third = stage.socket('orders');
    await eventually('it is refused', () => third.refused !== undefined);
    expect([third.refused!.status, (await stage.events('orders')).response.status]).toEqual([429, 429]);
    first.ws.close();
    await eventually('there is room', () => stage.streams.counters.sockets === 0);
    await stage.socket('orders').untilOpen();
    events.close();
  });

  it('ends a stream of more partitions than it may have', async () => {
    await start({ maxPartitions: 4 });
    await stage.create('wide', 5);
    expect(await stage.socket('wide').untilClosed()).toMatchObject({ code: 4007 });
    await stage.socket('wide', 'partitions=0,4').untilOpen();
  });

  it('survives clients that go at any moment', async () => {
    await start();
    for (let index = 0; index < 40; index++) {
      const socket = stage.socket('orders', index % 3 === 0 ? 'group=g' : 'from=earliest');
      if (index % 2 === 0) await connected(socket);
      socket.ws.terminate();
    }
    const requests = [
      'GET /v1/topics/orders/stream HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
      upgrade('/v1/topics/%ff/stream'),
      upgrade('/v1/topics/orders/stream', 'sec-websocket-protocol: ,,'),
      upgrade('/v1/topics/orders/stream?from=%zz'),
      upgrade('http://[/v1/topics/orders/stream'),
      `${upgrade('/v1/topics/orders/stream')}\x81\x80`,
    ];
    const sockets = await Promise.all(requests.map(raw));
    for (const socket of sockets) socket.end();
    await eventually('all are gone', () => stage.streams.counters.sockets === 0);
    for (const socket of sockets) socket.destroy();
    await checkAlive();
  });

  it('ends a stream with a code where a batch inflates to too much', async () => {
    await start({ maxInflatedBytes: 64 * 1024 });
    await stage.publish('orders', [{ value: 'x'.repeat(256 * 1024) }], 0, { codec: 'gzip' });
    expect(await stage.socket('orders', 'from=earliest').untilClosed()).toMatchObject({ code: 4053 });
    await checkAlive();
  });
});

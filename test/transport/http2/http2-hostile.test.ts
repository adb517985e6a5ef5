import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BidiStream, Connection } from '../../../src/transport/transport.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { closeOf, echoStreams, pattern, roundTrip } from '../../support/transport-streams.ts';
import { http2Stage, rawPair } from './http2-stage.ts';
import {
  data,
  fields,
  frame,
  FRAME_TYPE,
  goaway,
  greeting,
  RawHttp2,
  request,
  reset,
  settings,
  windowUpdate,
} from './raw-http2.ts';

const stage = http2Stage();
beforeEach(() => stage.open());
afterEach(() => stage.close());

/** A stranger and a healthy client of the same listener. */
async function besideOthers(first?: Buffer): Promise<{ raw: RawHttp2; other: Connection }> {
  const listener = await stage.listen({}, echoStreams);
  const other = await stage.connect(listener);
  const raw = await RawHttp2.connect(listener.port, stage.credentials.authorityPem, first);
  raw.send(greeting());
  await raw.settled();
  return { raw, other };
}

const ping = frame(FRAME_TYPE.PING, 0, 0, Buffer.alloc(8));
/** The server's SETTINGS hold from here on. */
const acknowledgement = frame(FRAME_TYPE.SETTINGS, 1, 0);
const bidi = (streamId: number, id: number): Buffer =>
  request(streamId, '/sluice/1/bidi', { 'x-sluice-id': String(id) });

describe('http2 floods', () => {
  it.each([
    ['PING', () => ping],
    ['SETTINGS', () => settings([[4, 65_535]])],
    ['frames of streams that are over', () => data(1, Buffer.alloc(0), { endStream: true })],
    ['window updates of nothing', () => windowUpdate(1, 0)],
  ])('of %s end the session of the sender, and the others are served', async (_what, make) => {
    const { raw, other } = await besideOthers();
    await raw.flood(make);
    expect(await roundTrip(other, 'served')).toBe('served');
  });

  it.each([
    ['PING', () => ping],
    ['SETTINGS', () => settings([[4, 65_535]])],
  ])('of %s by a client that reads no answer end its session', async (_what, make) => {
    const { raw, other } = await besideOthers();
    raw.socket.pause();
    const pouring = raw.flood(make);
    raw.socket.once('error', () => raw.socket.resume());
    expect(await roundTrip(other, 'served')).toBe('served');
    raw.socket.resume();
    await pouring;
  });

  it('of requests that must be refused end the session of the sender', async () => {
    const { raw, other } = await besideOthers();
    let streamId = 1;
    await raw.flood(() => request((streamId += 2), '/nothing/here'));
    expect(await roundTrip(other, 'served')).toBe('served');
  });

  it('of requests that are reset at once, in the same packet, end the session of the sender', async () => {
    const { raw, other } = await besideOthers();
    let next = 0;
    await raw.flood(() => {
      next += 1;
      return Buffer.concat([bidi(1 + 2 * next, 4 * next), reset(1 + 2 * next)]);
    });
    expect(await roundTrip(other, 'served')).toBe('served');
  });

  it('of CONTINUATION end the session of the sender', async () => {
    const { raw, other } = await besideOthers();
    raw.send(frame(FRAME_TYPE.HEADERS, 0, 3, fields({ ':method': 'POST' })));
    await raw.flood(() => frame(FRAME_TYPE.CONTINUATION, 0, 3, fields({ 'x-filler': 'x'.repeat(100) })));
    expect(await roundTrip(other, 'served')).toBe('served');
  });
});

describe('http2 headers', () => {
  it.each([
    ['many fields', Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`x-${i}`, 'x']))],
    ['long fields', { 'x-long': 'x'.repeat(15_000), 'x-longer': 'x'.repeat(1_150) }],
  ])('with too %s end the stream, not the session', async (_what, headers) => {
    const { raw } = await besideOthers();
    raw.send(acknowledgement, request(3, '/sluice/1/bidi', { 'x-sluice-id': '0', ...headers }));
    await raw.next(({ type, streamId }) => type === FRAME_TYPE.RST_STREAM && streamId === 3);
    raw.send(bidi(5, 4), data(5, Buffer.from('hello')));
    const answer = await raw.next(({ type, streamId }) => type === FRAME_TYPE.DATA && streamId === 5);
    expect(answer.payload.toString()).toBe('hello');
  });

  it('of SETTINGS with more entries than there are end the session', async () => {
    const { raw, other } = await besideOthers();
    raw.send(settings(Array.from({ length: 17 }, () => [4, 65_535] as const)));
    await raw.closed;
    expect(await roundTrip(other, 'served')).toBe('served');
  });
});

describe('http2 windows', () => {
  it('that never open hold back no more than was written to them, and nobody else', async () => {
    const listener = await stage.listen({}, (connection) => {
      connection.onStream = (stream) => {
        const { send, receive } = stream as BidiStream;
        receive.onData = (chunk) => {
          if (send.bufferedBytes === 0) send.write(Buffer.from(chunk));
        };
      };
    });
    const other = await stage.connect(listener);
    const raw = await RawHttp2.connect(listener.port, stage.credentials.authorityPem, settings([[4, 0]]));
    raw.send(greeting());
    await raw.settled();
    for (let i = 0; i < 200; i += 1) raw.send(bidi(3 + 2 * i, 4 * i), data(3 + 2 * i, pattern(50)));
    await raw.settled();
    const stream = other.openBidi();
    const answer = new Promise((resolve) => {
      stream.receive.onData = (chunk) => resolve(chunk.toString());
    });
    stream.send.write(Buffer.from('served'));
    expect(await answer).toBe('served');
  });
});

describe('http2 session that ends in the middle', () => {
  it.each([
    ['the greeting is reset', () => [greeting(), reset(1)]],
    ['the client goes after the greeting', () => [greeting(), goaway()]],
    ['the greeting is broken off', () => [greeting().subarray(0, 20)]],
    ['a request and the session end together', () => [greeting(), bidi(3, 0), goaway(2)]],
    ['a request meets an error of the protocol', () => [greeting(), bidi(3, 0), windowUpdate(0, 0)]],
    ['a request is reset at once', () => [greeting(), bidi(3, 0), reset(3), data(3, Buffer.from('x'))]],
    ['two requests claim one number', () => [greeting(), bidi(3, 0), bidi(5, 0)]],
    ['a request wants no body', () => [greeting(), bidi(3, 0).fill(0x82, 9, 10)]],
  ])('harms nobody when %s', async (_what, make) => {
    const listener = await stage.listen({}, echoStreams);
    const other = await stage.connect(listener);
    const raw = await RawHttp2.connect(listener.port, stage.credentials.authorityPem);
    raw.send(...make());
    await roundTrip(other, 'between');
    raw.socket.destroy();
    expect(await roundTrip(other, 'served')).toBe('served');
  });
});

/** What the server's side does, at random, with a connection of a stranger. */
function behave(connection: Connection, random: SeededRandom): void {
  const touch = (stream: Partial<BidiStream>): void => {
    const acts: (() => void)[] = [
      () => stream.send?.write(pattern(random.below(100_000))),
      () => stream.send?.end(),
      () => stream.send?.reset(7),
      () => stream.receive?.stop(7),
      () => stream.receive?.pause(),
      () => stream.receive?.resume(),
      () => connection.openUni().write(Buffer.from('own')),
      () => connection.openBidi().send.end(),
    ];
    for (let i = random.below(4); i >= 0; i -= 1) random.pick(acts)();
  };
  connection.onStream = (stream) => {
    touch(stream as BidiStream);
    if (stream.receive) {
      stream.receive.onData = () => touch(stream as BidiStream);
      stream.receive.onEnd = () => touch(stream as BidiStream);
      stream.receive.onReset = () => touch(stream as BidiStream);
    }
    if (stream.send) stream.send.onStopped = () => touch(stream as BidiStream);
  };
}

/** Frames of a client that knows the protocol and keeps none of it. */
function mischief(random: SeededRandom): Buffer {
  const streamId = 1 + 2 * random.below(30);
  return random.pick([
    () => bidi(streamId, 4 * random.below(30)),
    () => request(streamId, '/sluice/1/uni', { 'x-sluice-id': String(2 + 4 * random.below(30)) }),
    () => request(streamId, '/sluice/1/parked'),
    () => request(streamId, '/sluice/1/parked', {}, { endStream: true }),
    () => request(streamId, random.pick(['/', '/sluice/1', 'x'])),
    () => reset(streamId, random.below(20)),
    () => reset(streamId, 0),
    () => data(streamId, pattern(random.below(2_000)), { endStream: random.chance(0.3) }),
    () => windowUpdate(random.pick([0, streamId]), random.pick([1, 65_535, 0x7fff_ffff])),
    () => settings([[4, random.pick([0, 1, 65_535])]]),
    () => ping,
    () => (random.chance(0.2) ? goaway(random.below(14)) : ping),
    () => (random.chance(0.1) ? frame(random.below(12), random.below(256), streamId, random.bytes(8)) : ping),
  ])();
}

describe('http2 strangers at random', () => {
  const seed = Number(process.env['SEED'] ?? 7);

  it(`end no process, and leave nothing behind (SEED=${seed})`, async () => {
    const random = new SeededRandom(seed);
    const ends: Promise<unknown>[] = [];
    // Node does not notice every reset of a socket that it is writing to: then the idle timeout does.
    const limits = stage.limits({ idleTimeoutMs: 1_000, keepAliveMs: 300 });
    const listener = await stage.listen({ limits }, (connection) => {
      ends.push(closeOf(connection));
      behave(connection, random);
    });
    for (let round = 0; round < 60; round += 1) {
      const raw = await RawHttp2.connect(listener.port, stage.credentials.authorityPem);
      raw.send(greeting());
      for (let step = random.below(12); step > 0; step -= 1) {
        raw.send(...Array.from({ length: random.between(1, 12) }, () => mischief(random)));
        await new Promise((resolve) => setImmediate(resolve));
      }
      raw.socket.destroy();
      await raw.closed;
    }
    await Promise.all(ends);
    await listener.close();
    expect(listener.connectionCount).toBe(0);
  });

  it('meet a server that goes on', async () => {
    const { raw, server } = await rawPair(stage);
    const over = closeOf(server);
    raw.socket.destroy();
    await over;
    expect(() => server.openUni()).toThrow(expect.objectContaining({ code: 'CLOSED' }) as Error);
  });
});

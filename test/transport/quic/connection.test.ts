import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../../src/kernel/errors.ts';
import type { BidiStream, CloseReason, Connection, Stream } from '../../../src/transport/transport.ts';
import { WINDOW_BYTES } from '../../support/transport-stage.ts';
import {
  closeOf,
  echoStreams,
  fingerprint,
  nextContent,
  nextStream,
  pattern,
  readAll,
  readSome,
  roundTrip,
  stopOf,
} from '../../support/transport-streams.ts';
import { relayedStage } from './quic-stage.ts';

const { stage, relayTo } = relayedStage();

/** A connection with a relay between its ends. */
async function relayed(changes: Parameters<typeof stage.pair>[0] = {}) {
  const accepted = Promise.withResolvers<Connection>();
  const listener = await stage.listen(changes.listen, (connection) => accepted.resolve(connection));
  const relay = await relayTo(listener);
  const client = await stage.connect({ port: relay.port }, changes.connect);
  return { client, server: await accepted.promise, relay, listener };
}

describe('a client whose address changes', () => {
  it('keeps its connection and its streams', async () => {
    const { client, server, relay } = await relayed();
    echoStreams(server);
    const stream = client.openBidi();
    stream.send.write(Buffer.from('before'));
    await readSome(stream.receive);
    await relay.rebind();
    stream.send.write(Buffer.from('after'));
    expect((await readSome(stream.receive)).toString()).toBe('after');
  });

  it('is known by its new address', async () => {
    const { client, server, relay } = await relayed();
    echoStreams(server);
    await roundTrip(client, 'before');
    await relay.rebind();
    const outer = `127.0.0.1:${relay.outerPort}`;
    // It counts once the client has answered a challenge there, which takes a few packets.
    for (let i = 0; i < 100 && server.remoteAddress !== outer; i += 1) await roundTrip(client, 'after');
    expect(server.remoteAddress).toBe(outer);
  });

  it('goes on with a transfer in both directions, many times', async () => {
    const { client, server, relay } = await relayed();
    echoStreams(server);
    const bytes = pattern(2 * 1024 * 1024);
    for (let i = 0; i < 8; i += 1) {
      const stream = client.openBidi();
      const echoed = readAll(stream.receive);
      stream.send.write(bytes);
      stream.send.end();
      await relay.rebind();
      expect(fingerprint(await echoed)).toBe(fingerprint(bytes));
    }
  });
});

describe('a lossy path', () => {
  it('delivers every byte', async () => {
    const { client, server, relay } = await relayed();
    let count = 0;
    relay.drop = () => (count += 1) % 10 === 0;
    const content = nextContent(server);
    const bytes = pattern(1024 * 1024);
    const send = client.openUni();
    send.write(bytes);
    send.end();
    expect(fingerprint(await content)).toBe(fingerprint(bytes));
  });

  it('tells a peer again that missed the close', async () => {
    const { client, server, relay } = await relayed();
    await roundTripOf(client, server);
    relay.drop = (direction) => direction === 'to-client';
    const told = closeOf(client);
    const gone = closeOf(server);
    server.close(ERRORS.DRAINING.wire, 'going');
    await gone;
    relay.drop = () => false;
    client.openUni().write(Buffer.from('anybody there?'));
    expect(await told).toEqual({ errorCode: ERRORS.DRAINING.wire, reason: 'going', by: 'peer' });
  });
});

async function roundTripOf(client: Connection, server: Connection): Promise<void> {
  echoStreams(server);
  await roundTrip(client, 'x');
}

describe('a peer that may send only so much', () => {
  it('is sent away when it sends more, whatever streams it opens and in whatever order', async () => {
    const { client, server } = await stage.pair();
    server.arrivalLimitBytes = 20_000;
    const closed = new Promise<CloseReason>((resolve) => {
      server.onClose = resolve;
    });
    for (let n = 0; n < 100; n++) client.openUni().write(Buffer.alloc(1000));
    expect((await closed).errorCode).toBe(ERRORS.OVERLOADED.wire);
  });
});

describe('silence', () => {
  it('ends a connection after the idle timeout', async () => {
    const limits = stage.limits({ idleTimeoutMs: 300, keepAliveMs: 0 });
    const { client, server, relay } = await relayed({ listen: { limits }, connect: { limits } });
    relay.drop = () => true;
    const reasons = await Promise.all([closeOf(client), closeOf(server)]);
    expect(reasons.map(({ errorCode, by }) => [errorCode, by])).toEqual([
      [ERRORS.TIMEOUT.wire, 'transport'],
      [ERRORS.TIMEOUT.wire, 'transport'],
    ]);
  });

  it('does not end a connection with keep-alive', async () => {
    const quiet = stage.limits({ idleTimeoutMs: 300, keepAliveMs: 0 });
    const alive = stage.limits({ idleTimeoutMs: 300, keepAliveMs: 100 });
    const one = await relayed({ listen: { limits: quiet }, connect: { limits: quiet } });
    const other = await relayed({ listen: { limits: quiet }, connect: { limits: alive } });
    await closeOf(one.client);
    await roundTripOf(other.client, other.server);
    expect(await roundTrip(other.client, 'alive')).toBe('alive');
  });

  it('of a server during the handshake ends with TIMEOUT', async () => {
    const listener = await stage.listen();
    const relay = await relayTo(listener);
    relay.drop = () => true;
    const attempt = stage.connect(
      { port: relay.port },
      { limits: stage.limits({ handshakeTimeoutMs: 200 }) },
    );
    await expect(attempt).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('of a client during the handshake frees its place', async () => {
    // The server gives up first, so that the place is free when the client reports.
    const limits = stage.limits({ handshakeTimeoutMs: 400 });
    const listener = await stage.listen(
      { limits: stage.limits({ handshakeTimeoutMs: 100, maxConnections: 1 }) },
      echoStreams,
    );
    const relay = await relayTo(listener);
    // Retry and token pass, the handshake does not.
    let fromServer = 0;
    relay.drop = (direction) => direction === 'to-client' && (fromServer += 1) > 1;
    const attempt = stage.connect({ port: relay.port }, { limits });
    await expect(attempt).rejects.toMatchObject({ code: 'TIMEOUT' });
    const next = await stage.connect(listener);
    expect(await roundTrip(next, 'free')).toBe('free');
  });

  it('where nothing listens is told at once, with the address', async () => {
    const listener = await stage.listen();
    await listener.close();
    await expect(stage.connect(listener)).rejects.toThrow(`nothing listens at 127.0.0.1:${listener.port}`);
  });
});

describe('flow control', () => {
  it('lets stalled streams block no other, however much the connection carried before', async () => {
    const limits = stage.limits({ connectionWindowBytes: 256 * 1024 });
    const { client, server } = await stage.pair({ listen: { limits }, connect: { limits } });
    const stalled: Stream[] = [];
    server.onStream = (stream) => {
      if (stalled.length < 8) {
        stream.receive!.pause();
        stalled.push(stream);
      } else void readAll(stream.receive!).then(() => (stream as BidiStream).send.end());
    };
    for (let i = 0; i < 8; i += 1) client.openBidi().send.write(pattern(2 * WINDOW_BYTES));
    const stream = client.openBidi();
    stream.send.write(pattern(8 * 1024 * 1024));
    stream.send.end();
    expect((await readAll(stream.receive)).byteLength).toBe(0);
  });

  it('gives back the credit of streams that are stopped while they are full', async () => {
    const limits = stage.limits({ connectionWindowBytes: 256 * 1024 });
    const { client, server } = await stage.pair({ listen: { limits }, connect: { limits } });
    for (let i = 0; i < 30; i += 1) {
      const incoming = nextStream(server, (stream) => stream.receive!.pause());
      const send = client.openUni();
      const stopped = stopOf(send);
      send.write(pattern(4 * WINDOW_BYTES));
      (await incoming).receive!.stop(1);
      await stopped;
    }
    echoStreams(server);
    expect(await roundTrip(client, 'free')).toBe('free');
  });

  it('serves urgent streams first', async () => {
    const { client, server } = await stage.pair();
    const order: number[] = [];
    const done = new Promise<void>((resolve) => {
      server.onStream = (stream) => {
        stream.receive!.onEnd = () => {
          order.push(stream.id);
          if (order.length === 3) resolve();
        };
      };
    });
    const streams = [200, 127, 3].map((urgency) => {
      const send = client.openUni();
      send.setPriority(urgency, false);
      return send;
    });
    for (const send of streams) {
      send.write(pattern(WINDOW_BYTES / 2));
      send.end();
    }
    await done;
    expect(order).toEqual([streams[2]!.id, streams[1]!.id, streams[0]!.id]);
  });
});

describe('streams', () => {
  it('that come before anybody looks are kept', async () => {
    const { client, server } = await stage.pair();
    const early = server.openUni();
    early.write(Buffer.from('early'));
    early.end();
    await roundTripOf(client, server);
    expect((await nextContent(client)).toString()).toBe('early');
  });

  it('that wait idle among many learn that they were stopped', async () => {
    const { client, server } = await stage.pair();
    const arrived: Stream[] = [];
    const all = new Promise<void>((resolve) => {
      server.onStream = (stream) => {
        arrived.push(stream);
        if (arrived.length === 500) resolve();
      };
    });
    const senders = Array.from({ length: 500 }, () => client.openUni());
    for (const send of senders) send.write(Buffer.from('x'));
    await all;
    const codes = Promise.all(senders.map((send) => stopOf(send)));
    for (const stream of arrived) stream.receive!.stop(9);
    expect((await codes).length).toBe(500);
  });

  it('carry thousands of small writes of one tick in order', async () => {
    const { client, server } = await stage.pair();
    const content = nextContent(server);
    const parts = Array.from({ length: 5_000 }, (_, i) => Buffer.from(`${i},`.padEnd(1 + (i % 40), '.')));
    const send = client.openUni();
    for (const [i, part] of parts.entries()) send.write(i % 500 === 0 ? pattern(20_000 + i) : part);
    send.end();
    const expected = Buffer.concat(parts.map((part, i) => (i % 500 === 0 ? pattern(20_000 + i) : part)));
    expect(fingerprint(await content)).toBe(fingerprint(expected));
  });

  it('are forgotten when they have ended', async () => {
    const limits = stage.limits({ maxStreams: 16 });
    const { client } = await stage.pair({ listen: { limits }, connect: { limits } }, echoStreams);
    for (let i = 0; i < 200; i += 1) expect(await roundTrip(client, `${i}`)).toBe(`${i}`);
  });

  it('that are stopped by the thousand end the connection rather than leave it without streams', async () => {
    const limits = stage.limits({ maxStreams: 64 });
    const { client, server } = await stage.pair({ listen: { limits }, connect: { limits } });
    server.onStream = (stream) => stream.receive!.stop(1);
    const reason = closeOf(client);
    for (let i = 0; i < 64; i += 1) client.openUni().write(Buffer.from('x'));
    expect((await reason).errorCode).toBe(ERRORS.UNAVAILABLE.wire);
  });
});

describe('addresses', () => {
  it('of IPv6 work', async () => {
    const listener = await stage.listen({ host: '::1' }, echoStreams);
    const client = await stage.connect(listener, { host: '::1' });
    expect([await roundTrip(client, 'six'), client.remoteAddress]).toEqual(['six', `[::1]:${listener.port}`]);
  });

  it('of IPv4 reach a listener on every address of IPv6', async () => {
    const listener = await stage.listen({ host: '::' }, echoStreams);
    const client = await stage.connect(listener, { host: '127.0.0.1' });
    expect(await roundTrip(client, 'mapped')).toBe('mapped');
  });

  it('may be names', async () => {
    const listener = await stage.listen({}, echoStreams);
    const client = await stage.connect(listener, { host: 'localhost' });
    expect(await roundTrip(client, 'named')).toBe('named');
  });

  it('that do not resolve fail to connect', async () => {
    const attempt = stage.connect({ port: 1 }, { host: 'nowhere.invalid' });
    await expect(attempt).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ERRORS } from '../../src/kernel/errors.ts';
import type { Stream } from '../../src/transport/transport.ts';
import { describeCertificates } from './transport-contract-certificates.ts';
import { itWhen } from './it-when.ts';
import type { ContractSubject } from './transport-stage.ts';
import { TransportStage, WINDOW_BYTES } from './transport-stage.ts';
import {
  closeOf,
  echoStreams,
  fingerprint,
  nextContent,
  nextStream,
  pattern,
  readAll,
  resetOf,
  roundTrip,
  stopOf,
  writableAgain,
} from './transport-streams.ts';

const CODE = ERRORS.OVERLOADED.wire;

/** Runs the tests that every transport must pass. */
export function describeTransport(name: string, subject: ContractSubject): void {
  describe(`${name}: transport contract`, () => {
    const stage = new TransportStage(subject);
    beforeEach(() => stage.open());
    afterEach(() => stage.close());
    describeStreams(stage);
    describeFlowControl(stage);
    describeEndings(stage);
    describeConnections(stage);
    describeCertificates(stage);
    describeDatagrams(stage);
  });
}

function describeStreams(stage: TransportStage): void {
  it('carries bytes both ways on a stream the client opens', async () => {
    const { client } = await stage.pair({}, echoStreams);
    expect(await roundTrip(client, 'hello')).toBe('hello');
  });

  it('carries bytes both ways on a stream the server opens', async () => {
    const { client, server } = await stage.pair();
    echoStreams(client);
    expect(await roundTrip(server, 'hello')).toBe('hello');
  });

  it.each(['client', 'server'] as const)(
    'carries a unidirectional stream that the %s opens',
    async (opener) => {
      const pair = await stage.pair();
      const content = nextContent(opener === 'client' ? pair.server : pair.client);
      const send = pair[opener].openUni();
      send.write(Buffer.from('one way'));
      send.end();
      expect((await content).toString()).toBe('one way');
    },
  );

  it('gives a unidirectional stream only one half', async () => {
    const { client, server } = await stage.pair();
    const incoming = nextStream(server);
    client.openUni().write(Buffer.from('x'));
    const stream = await incoming;
    expect([stream.send, stream.receive === undefined]).toEqual([undefined, false]);
  });

  it('numbers a stream the same on both ends', async () => {
    const { client, server } = await stage.pair();
    client.openBidi().send.write(Buffer.from('first'));
    const incoming = new Promise<Stream>((resolve) => {
      server.onStream = (stream) => {
        if (stream.id === second.id) resolve(stream);
      };
    });
    const second = client.openBidi();
    second.send.write(Buffer.from('second'));
    expect((await incoming).id).toBe(second.id);
  });

  it('keeps two thousand streams apart', async () => {
    const { client } = await stage.pair({}, echoStreams);
    const texts = Array.from({ length: 2_000 }, (_, index) => `stream ${index}`);
    expect(await Promise.all(texts.map((text) => roundTrip(client, text)))).toEqual(texts);
  });

  it.each(['client', 'server'] as const)('carries eight megabytes unchanged from the %s', async (opener) => {
    const pair = await stage.pair();
    const content = nextContent(opener === 'client' ? pair.server : pair.client);
    const bytes = pattern(8 * 1024 * 1024);
    const send = pair[opener].openUni();
    for (let at = 0; at < bytes.byteLength; at += 100_000) send.write(bytes.subarray(at, at + 100_000));
    send.end();
    expect(fingerprint(await content)).toBe(fingerprint(bytes));
  });

  it('never calls back from inside a call', async () => {
    const { client } = await stage.pair({}, echoStreams);
    const stream = client.openBidi();
    let inside = false;
    const calledInside: string[] = [];
    const note = (what: string) => () => {
      if (inside) calledInside.push(what);
    };
    stream.receive.onData = note('onData');
    stream.send.onWritable = note('onWritable');
    const ended = new Promise<void>((resolve) => {
      stream.receive.onEnd = resolve;
    });
    inside = true;
    stream.receive.pause();
    stream.send.write(pattern(4 * WINDOW_BYTES));
    stream.receive.resume();
    stream.send.end();
    inside = false;
    await ended;
    expect(calledInside).toEqual([]);
  });
}

function describeFlowControl(stage: TransportStage): void {
  it('stops the sender of a stream that nobody reads, and goes on when it is read', async () => {
    const { client, server } = await stage.pair();
    const incoming = nextStream(server, (stream) => stream.receive?.pause());
    const send = client.openUni();
    const bytes = pattern(8 * WINDOW_BYTES);
    expect(send.write(bytes)).toBe(false);
    const receive = (await incoming).receive!;
    const content = readAll(receive);
    const drained = writableAgain(send);
    send.onWritable = ((before) => () => {
      before?.();
      send.end();
    })(send.onWritable);
    receive.resume();
    await drained;
    expect(fingerprint(await content)).toBe(fingerprint(bytes));
  });

  it('hands nothing to a paused reader and keeps the bytes with the sender', async () => {
    const { client, server } = await stage.pair();
    let received = 0;
    const incoming = nextStream(server, (stream) => {
      stream.receive?.pause();
      stream.receive!.onData = (chunk) => (received += chunk.byteLength);
    });
    const send = client.openUni();
    send.write(pattern(8 * WINDOW_BYTES));
    await incoming;
    echoStreams(server);
    await roundTrip(client, 'later');
    expect({ received, writable: send.writable, held: send.bufferedBytes > 0 }).toEqual({
      received: 0,
      writable: false,
      held: true,
    });
  });

  it('lets no stalled stream hold up another one, in either direction', async () => {
    const { client, server } = await stage.pair();
    const stalled: Stream[] = [];
    const stall = (stream: Stream): void => {
      stream.receive?.pause();
      stalled.push(stream);
    };
    const all = new Promise<void>((resolve) => {
      const each = (stream: Stream): void => {
        stall(stream);
        if (stalled.length === 100) resolve();
      };
      client.onStream = each;
      server.onStream = each;
    });
    for (let i = 0; i < 50; i += 1) {
      client.openUni().write(pattern(4 * WINDOW_BYTES));
      server.openUni().write(pattern(4 * WINDOW_BYTES));
    }
    await all;
    echoStreams(server);
    echoStreams(client);
    expect([await roundTrip(client, 'free'), await roundTrip(server, 'free')]).toEqual(['free', 'free']);
  });

  it('counts as blocked only a stream that waits for its reader', async () => {
    const { client, server } = await stage.pair();
    const incoming = nextStream(server, (stream) => stream.receive?.pause());
    const send = client.openUni();
    expect(send.blockedMs).toBe(0);
    send.write(pattern(4 * WINDOW_BYTES));
    const receive = (await incoming).receive!;
    const drained = writableAgain(send);
    receive.resume();
    await drained;
    const blockedMs = send.blockedMs;
    await Promise.resolve();
    expect([blockedMs >= 0, send.blockedMs - blockedMs]).toEqual([true, 0]);
  });

  it('makes streams beyond the peer’s limit wait until others have ended', async () => {
    const { client } = await stage.pair({ listen: { limits: stage.limits({ maxStreams: 4 }) } }, echoStreams);
    const open = Array.from({ length: 4 }, () => client.openBidi());
    for (const stream of open) stream.send.write(Buffer.from('x'));
    const late = client.openBidi();
    expect(late.send.writable).toBe(false);
    const answer = readAll(late.receive);
    late.send.write(Buffer.from('late'));
    late.send.end();
    for (const stream of open) stream.send.end();
    expect((await answer).toString()).toBe('late');
  });

  it('lets hundreds of streams the server opens wait their turn', async () => {
    const { client, server } = await stage.pair({ connect: { limits: stage.limits({ maxStreams: 8 }) } });
    let ended = 0;
    const all = new Promise<void>((resolve) => {
      client.onStream = (stream) => {
        stream.receive!.onEnd = () => {
          ended += 1;
          if (ended === 300) resolve();
        };
      };
    });
    for (let i = 0; i < 300; i += 1) {
      const send = server.openUni();
      send.write(Buffer.from('x'));
      send.end();
    }
    await all;
    expect(ended).toBe(300);
  });
}

function describeEndings(stage: TransportStage): void {
  it('shows an ended stream without bytes to the peer', async () => {
    const { client, server } = await stage.pair();
    const content = nextContent(server);
    client.openUni().end();
    expect((await content).byteLength).toBe(0);
  });

  it('goes on in one direction after the other has ended', async () => {
    const { client, server } = await stage.pair();
    server.onStream = (other) => {
      other.receive!.onEnd = () => {
        other.send!.write(Buffer.from('answer'));
        other.send!.end();
      };
    };
    const stream = client.openBidi();
    const answer = readAll(stream.receive);
    stream.send.write(Buffer.from('question'));
    stream.send.end();
    expect((await answer).toString()).toBe('answer');
  });

  it('ends the answering direction first and still reads', async () => {
    const { client, server } = await stage.pair();
    const content = new Promise<Buffer>((resolve) => {
      server.onStream = (other) => {
        other.send?.end();
        resolve(readAll(other.receive!));
      };
    });
    const stream = client.openBidi();
    const answerEnded = readAll(stream.receive);
    stream.send.write(Buffer.from('a'));
    await answerEnded;
    stream.send.write(Buffer.from('b'));
    stream.send.end();
    expect((await content).toString()).toBe('ab');
  });

  it.each(['client', 'server'] as const)('carries the code of a reset by the %s', async (opener) => {
    const pair = await stage.pair();
    const incoming = nextStream(opener === 'client' ? pair.server : pair.client);
    const send = pair[opener].openUni();
    send.write(Buffer.from('x'));
    const code = resetOf((await incoming).receive!);
    send.reset(CODE);
    expect(await code).toBe(CODE);
  });

  it.each(['client', 'server'] as const)(
    'tells the %s that its bytes are not wanted, with the code',
    async (opener) => {
      const pair = await stage.pair();
      const incoming = nextStream(opener === 'client' ? pair.server : pair.client);
      const send = pair[opener].openUni();
      const code = stopOf(send);
      send.write(Buffer.from('x'));
      (await incoming).receive!.stop(CODE);
      expect(await code).toBe(CODE);
    },
  );

  it('frees a sender that is blocked when the reader stops', async () => {
    const { client, server } = await stage.pair();
    const incoming = nextStream(server, (stream) => stream.receive?.pause());
    const send = client.openUni();
    const code = stopOf(send);
    send.write(pattern(4 * WINDOW_BYTES));
    (await incoming).receive!.stop(CODE);
    await code;
    expect([send.bufferedBytes, send.writable]).toEqual([0, false]);
  });

  it('calls nothing more on a half that was stopped', async () => {
    const { client, server } = await stage.pair();
    const calls: string[] = [];
    const incoming = nextStream(server, (stream) => {
      stream.receive!.onData = () => {
        calls.push('data');
        stream.receive!.stop(CODE);
      };
      stream.receive!.onEnd = () => calls.push('end');
      stream.receive!.onReset = () => calls.push('reset');
    });
    const send = client.openUni();
    const code = stopOf(send);
    send.write(pattern(WINDOW_BYTES));
    await incoming;
    await code;
    send.write(Buffer.from('more'));
    send.end();
    echoStreams(server);
    await roundTrip(client, 'later');
    expect(calls).toEqual(['data']);
  });

  it('keeps the connection when streams are reset and stopped', async () => {
    const { client, server } = await stage.pair();
    for (let i = 0; i < 20; i += 1) {
      const incoming = nextStream(server);
      const stream = client.openBidi();
      stream.send.write(Buffer.from('x'));
      const other = await incoming;
      const told = i % 2 === 0 ? resetOf(other.receive!) : stopOf(other.send!);
      if (i % 2 === 0) stream.send.reset(CODE);
      else stream.receive.stop(CODE);
      await told;
    }
    echoStreams(server);
    expect(await roundTrip(client, 'alive')).toBe('alive');
  });
}

function describeConnections(stage: TransportStage): void {
  it('names its side, scheme and peer', async () => {
    const { client, server, listener } = await stage.pair();
    expect([client.side, server.side, client.scheme, client.remoteAddress]).toEqual([
      'client',
      'server',
      stage.transport.scheme,
      `127.0.0.1:${listener.port}`,
    ]);
  });

  it.each(['client', 'server'] as const)('carries code and reason when the %s closes', async (closer) => {
    const pair = await stage.pair();
    const other = closer === 'client' ? pair.server : pair.client;
    const reasons = Promise.all([closeOf(pair[closer]), closeOf(other)]);
    pair[closer].close(CODE, 'enough');
    expect(await reasons).toEqual([
      { errorCode: CODE, reason: 'enough', by: 'local' },
      { errorCode: CODE, reason: 'enough', by: 'peer' },
    ]);
  });

  it('carries code 0 for a close without error', async () => {
    const { client, server } = await stage.pair();
    const reason = closeOf(server);
    client.close(0, '');
    expect((await reason).errorCode).toBe(0);
  });

  it('tells every stream of both ends before the connection', async () => {
    const { client, server } = await stage.pair();
    const told: string[] = [];
    const incoming = nextStream(server, (stream) => {
      stream.send!.onStopped = () => told.push('stopped');
      stream.receive!.onReset = () => told.push('reset');
    });
    const stream = client.openBidi();
    stream.send.write(Buffer.from('x'));
    await incoming;
    const local: string[] = [];
    stream.send.onStopped = () => local.push('stopped');
    stream.receive.onReset = () => local.push('reset');
    const closed = Promise.all([
      closeOf(client).then(() => local.push('closed')),
      closeOf(server).then(() => told.push('closed')),
    ]);
    client.close(CODE, 'over');
    await closed;
    expect([local.slice(0, 2).sort(), local[2], told.slice(0, 2).sort(), told[2]]).toEqual([
      ['reset', 'stopped'],
      'closed',
      ['reset', 'stopped'],
      'closed',
    ]);
  });

  it('opens no stream on a closed connection', async () => {
    const { client } = await stage.pair();
    client.close(0, '');
    expect(() => client.openBidi()).toThrow(expect.objectContaining({ code: 'CLOSED' }) as Error);
  });

  it('refuses to connect where nobody listens', async () => {
    const listener = await stage.listen();
    await listener.close();
    const failure: unknown = await stage.connect(listener).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'CONNECT_FAILED' });
    expect(timesIn((failure as Error).message, `${listener.port}`)).toBe(1);
  });

  it('refuses an address that is taken', async () => {
    const listener = await stage.listen();
    await expect(stage.listen({ port: listener.port })).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
  });

  itWhen(stage.subject.verifies)('does not take an address of another machine for one in use', async () => {
    await expect(stage.listen({ host: '192.0.2.1' })).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('gives up connecting when it is cancelled', async () => {
    const listener = await stage.listen();
    const attempt = stage.connect(listener, { signal: AbortSignal.abort() });
    await expect(attempt).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('closes its connections with CLOSED when the listener closes', async () => {
    const { client, listener } = await stage.pair();
    const reason = closeOf(client);
    await listener.close();
    expect([(await reason).errorCode, listener.connectionCount]).toEqual([ERRORS.CLOSED.wire, 0]);
  });

  it('keeps existing connections and takes no new ones while the listener is paused', async () => {
    const { client, listener } = await stage.pair({}, echoStreams);
    listener.pause();
    await expect(
      stage.connect(listener, { limits: stage.limits({ handshakeTimeoutMs: 500 }) }),
    ).rejects.toMatchObject({
      retryable: true,
    });
    expect(await roundTrip(client, 'still here')).toBe('still here');
  });

  it('refuses more connections than it keeps', async () => {
    const { listener } = await stage.pair({ listen: { limits: stage.limits({ maxConnections: 1 }) } });
    const second = stage.connect(listener, { limits: stage.limits({ handshakeTimeoutMs: 500 }) });
    await expect(second).rejects.toMatchObject({ retryable: true });
    expect(listener.connectionCount).toBe(1);
  });

  it('closes with INTERNAL a connection whose callback throws', async () => {
    const { client, server } = await stage.pair();
    server.onStream = () => {
      throw new Error('bug in a callback');
    };
    const reason = closeOf(client);
    client.openUni().write(Buffer.from('x'));
    expect((await reason).errorCode).toBe(ERRORS.INTERNAL.wire);
  });

  it('counts the bytes it carried', async () => {
    const { client } = await stage.pair({}, echoStreams);
    await roundTrip(client, 'x'.repeat(1_000));
    const { sentBytes, receivedBytes } = client.stats();
    expect([sentBytes >= 1_000, receivedBytes >= 1_000]).toEqual([true, true]);
  });
}

function describeDatagrams(stage: TransportStage): void {
  const { datagrams } = stage.subject;

  itWhen(datagrams)('carries a datagram', async () => {
    const { client, server } = await stage.pair();
    const arrived = new Promise<string>((resolve) => {
      server.onDatagram = (bytes) => resolve(bytes.toString());
    });
    expect(client.sendDatagram(Buffer.from('ping'))).toBe(true);
    expect(await arrived).toBe('ping');
  });

  itWhen(datagrams)('does not take a datagram that is too large', async () => {
    const { client } = await stage.pair();
    expect(client.sendDatagram(Buffer.alloc(client.maxDatagramBytes + 1))).toBe(false);
  });

  itWhen(!datagrams)('takes no datagrams', async () => {
    const { client } = await stage.pair();
    expect([client.maxDatagramBytes, client.sendDatagram(Buffer.from('x'))]).toEqual([0, false]);
  });

  it('takes no datagram after the close', async () => {
    const { client } = await stage.pair();
    client.close(0, '');
    expect(client.sendDatagram(Buffer.from('x'))).toBe(false);
  });
}

function timesIn(text: string, part: string): number {
  return text.split(part).length - 1;
}

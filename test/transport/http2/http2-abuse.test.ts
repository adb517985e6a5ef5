import type { ClientHttp2Session } from 'node:http2';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ERRORS } from '../../../src/kernel/errors.ts';
import type { Clock } from '../../../src/kernel/clock.ts';
import { systemClock } from '../../../src/kernel/system-clock.ts';
import { createHttp2Transport } from '../../../src/transport/http2/http2-transport.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import type { CloseReason, Connection, Listener, TransportLimits } from '../../../src/transport/transport.ts';
import { makeAuthority } from '../../support/certificates.ts';
import type { ContractCredentials } from '../../support/transport-stage.ts';
import { tlsCredentials } from '../../support/transport-stage.ts';
import { closeOf, echoStreams, roundTrip } from '../../support/transport-streams.ts';

/** Time that passes fifty times as fast. */
const fastClock: Clock = {
  now: () => systemClock.now(),
  monotonicMs: () => systemClock.monotonicMs() * 50,
  setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / 50, callback),
};

describe('http2 transport against strangers', () => {
  let credentials: ContractCredentials;
  let listener: Listener;
  let connections: Connection[];
  let closed: Promise<CloseReason>[];
  const transport = createHttp2Transport({ clock: fastClock });
  const listen = (changes: Partial<TransportLimits> = {}): Promise<Listener> =>
    transport.listen(
      {
        host: '127.0.0.1',
        port: 0,
        identity: credentials.server,
        clientAuthoritiesPem: credentials.authorityPem,
        requireClientCertificate: false,
        limits: { ...DEFAULT_LIMITS, maxStreams: 100, ...changes },
      },
      (connection) => {
        connections.push(connection);
        closed.push(closeOf(connection));
        echoStreams(connection);
      },
    );
  const connect = (changes: Partial<TransportLimits> = {}): Promise<Connection> =>
    createHttp2Transport({ clock: systemClock }).connect({
      host: '127.0.0.1',
      port: listener.port,
      serverName: undefined,
      authoritiesPem: credentials.authorityPem,
      identity: undefined,
      limits: { ...DEFAULT_LIMITS, ...changes },
      signal: undefined,
    });
  /** A session of HTTP/2 that knows nothing of Sluice. */
  const session = (): ClientHttp2Session => {
    const opened = connectHttp2(`https://127.0.0.1:${listener.port}`, { ca: credentials.authorityPem });
    opened.on('error', () => undefined);
    return opened;
  };
  const ended = (emitter: { once(event: 'close', listener: () => void): unknown }): Promise<void> =>
    new Promise((resolve) => emitter.once('close', resolve));
  const greet = (opened: ClientHttp2Session) =>
    new Promise((resolve) => {
      const request = opened.request({
        ':method': 'POST',
        ':path': '/sluice/1',
        'x-sluice-max-streams': '10',
      });
      request.on('error', () => undefined);
      request.once('response', resolve);
    });

  beforeAll(async () => {
    credentials = await tlsCredentials();
  });
  beforeEach(async () => {
    connections = [];
    closed = [];
    listener = await listen();
  });
  afterEach(() => listener.close());

  it('hangs up on bytes that are no TLS', async () => {
    const socket = connectTcp(listener.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.resume();
    await ended(socket);
    expect(connections).toEqual([]);
  });

  it('hangs up on a TLS client that does not speak HTTP/2', async () => {
    const socket = connectTls({ port: listener.port, host: '127.0.0.1', ca: credentials.authorityPem });
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    socket.resume();
    await ended(socket);
    expect(connections).toEqual([]);
  });

  it('hangs up on a client that begins with something else than the greeting', async () => {
    const opened = session();
    opened.request({ ':path': '/' }).on('error', () => undefined);
    await ended(opened);
    expect(connections).toEqual([]);
  });

  it('hangs up on a client that never greets', async () => {
    await ended(session());
    expect(connections).toEqual([]);
  });

  it('lets nobody pass with a certificate of an unknown authority, although none is required', async () => {
    const identity = await (await makeAuthority('stranger')).issue({ commonName: 'eve', client: true });
    const { certificatePem: cert, privateKeyPem: key } = identity;
    const opened = connectHttp2(`https://127.0.0.1:${listener.port}`, {
      ca: credentials.authorityPem,
      cert,
      key,
    });
    opened.on('error', () => undefined);
    opened.request({ ':path': '/sluice/1', 'x-sluice-max-streams': '1' }).on('error', () => undefined);
    await ended(opened);
    expect(connections).toEqual([]);
  });

  it('ends the session of a client that opens and resets streams without end, and serves the others', async () => {
    const other = await connect();
    const opened = session();
    await greet(opened);
    const over = ended(opened);
    const flood = (): void => {
      if (opened.destroyed) return;
      const requests = Array.from({ length: 200 }, () =>
        opened.request({ ':method': 'POST', ':path': '/sluice/1/parked' }),
      );
      for (const request of requests) request.on('error', () => undefined);
      // Not in the same turn, or nothing of them would be sent at all.
      setImmediate(() => {
        for (const request of requests) request.close(8);
        setImmediate(flood);
      });
    };
    flood();
    await over;
    expect(await roundTrip(other, 'served')).toBe('served');
    other.close(0, '');
  });

  it('resets a stream whose number is not the client’s to give', async () => {
    const opened = session();
    await greet(opened);
    const request = opened.request({ ':method': 'POST', ':path': '/sluice/1/bidi', 'x-sluice-id': '1' });
    request.on('error', () => undefined);
    await ended(request);
    expect(request.rstCode).toBe(0x1_0000 + ERRORS.PROTOCOL_ERROR.wire);
    opened.destroy();
  });

  it('refuses parked requests beyond what it keeps', async () => {
    const opened = session();
    await greet(opened);
    const requests = Array.from({ length: 65 }, () =>
      opened.request({ ':method': 'POST', ':path': '/sluice/1/parked' }),
    );
    for (const request of requests) request.on('error', () => undefined);
    const last = requests.at(-1)!;
    await ended(last);
    expect(last.rstCode).toBe(7);
    opened.destroy();
  });

  it('gives up a connection on which nothing is heard', async () => {
    await listener.close();
    listener = await listen({ keepAliveMs: 0, idleTimeoutMs: 1_000 });
    await connect({ keepAliveMs: 0 });
    expect(await closed[0]).toMatchObject({ errorCode: ERRORS.TIMEOUT.wire, by: 'transport' });
  });
});

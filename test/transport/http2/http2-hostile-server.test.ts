import type { Http2SecureServer, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CloseReason, Connection } from '../../../src/transport/transport.ts';
import { closeOf } from '../../support/transport-streams.ts';
import { http2Stage } from './http2-stage.ts';

const stage = http2Stage();
const KEPT_STREAMS = 16;

/** A server that greets as it should; the rest is up to the test. */
class HostileServer {
  session!: ServerHttp2Session;
  socket!: TLSSocket;
  readonly parked: ServerHttp2Stream[] = [];
  readonly streams: ServerHttp2Stream[] = [];
  readonly #server: Http2SecureServer;

  constructor(cert: string, key: string) {
    this.#server = createSecureServer({ cert, key });
    this.#server.prependListener('secureConnection', (socket: TLSSocket) => (this.socket = socket));
    this.#server.on('session', (session) => {
      this.session = session;
      session.on('error', () => undefined);
    });
    this.#server.on('stream', (http, headers) => {
      http.on('error', () => undefined);
      http.resume();
      if (headers[':path'] === '/sluice/1') http.respond({ ':status': 200, 'x-sluice-max-streams': '100' });
      else if (headers[':path'] === '/sluice/1/parked') this.parked.push(http);
      else this.streams.push(http);
    });
  }

  async connect(): Promise<Connection> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const client = await stage.connect(this.#server.address() as AddressInfo);
    while (this.parked.length < KEPT_STREAMS) await new Promise((resolve) => setImmediate(resolve));
    return client;
  }

  close(): void {
    if (!this.session.destroyed) this.session.destroy();
    this.#server.close();
  }
}

/** Opens and writes streams in every turn until the connection is closed. @returns what was thrown, other than CLOSED */
async function useUntilClosed(client: Connection): Promise<{ reason: CloseReason; faults: unknown[] }> {
  const faults: unknown[] = [];
  let over = false;
  const open = (): void => {
    if (over) return;
    try {
      const stream = client.openBidi();
      stream.send.onStopped = open; // also while the streams of a session that is gone are told one by one
      stream.send.write(Buffer.from('x'));
      client.openUni().end();
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'CLOSED') faults.push(error);
    }
  };
  const use = (): void => {
    open();
    if (!over) setImmediate(use);
  };
  const closed = closeOf(client);
  use();
  const reason = await closed;
  over = true;
  return { reason, faults };
}

describe('http2 client of a hostile server', () => {
  let server: HostileServer;
  beforeEach(async () => {
    await stage.open();
    const { certificatePem, privateKeyPem } = stage.credentials.server;
    server = new HostileServer(certificatePem, privateKeyPem);
  });
  afterEach(async () => {
    server.close();
    await stage.close();
  });

  it.each([
    ['says GOAWAY and goes on', () => server.session.goaway(0)],
    ['says GOAWAY with an error', () => server.session.goaway(2)],
    ['destroys its session', () => server.session.destroy()],
    ['closes its session', () => server.session.close()],
    ['hangs up', () => server.socket.destroy()],
  ])('is told that it is over, and throws nothing, when the server %s', async (_what, act) => {
    const client = await server.connect();
    const using = useUntilClosed(client);
    await new Promise((resolve) => setImmediate(resolve));
    act();
    const { reason, faults } = await using;
    expect([faults, reason.by === 'local']).toEqual([[], false]);
  });

  it('takes no stream with a number that is not the server’s, or that is taken', async () => {
    const client = await server.connect();
    const ids: number[] = [];
    client.onStream = (stream) => ids.push(stream.id);
    const answer = (id: string, kind = 'uni'): Promise<unknown> => {
      const http = server.parked.shift()!;
      const closed = new Promise((resolve) => http.once('close', () => resolve(http.rstCode > 0xffff)));
      http.respond({ ':status': 200, 'x-sluice-id': id, 'x-sluice-stream': kind });
      return closed;
    };
    const kept = answer('3');
    const refused = await Promise.all([
      answer('3'),
      answer('0'),
      answer('7', 'bidi'),
      answer('x'),
      answer('-1'),
    ]);
    server.session.destroy();
    await kept;
    expect([ids, refused]).toEqual([[3], Array(5).fill(true)]);
  });

  it('goes on when the server resets every parked request', async () => {
    const client = await server.connect();
    for (const http of server.parked.splice(0)) http.close(8);
    const stream = client.openBidi();
    const stopped = new Promise((resolve) => {
      stream.send.onStopped = resolve;
    });
    stream.send.write(Buffer.from('x'));
    while (server.streams.length === 0) await new Promise((resolve) => setImmediate(resolve));
    server.streams[0]!.close(0x1_0007);
    expect(await stopped).toBe(7);
  });
});

import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect as connectHttp2 } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import { isIP } from 'node:net';
import type { Clock } from '../../kernel/clock.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import type { ConnectOptions } from '../transport.ts';
import type { ConnectionParts } from './http2-connection.ts';
import { Http2Connection } from './http2-connection.ts';
import type { Http2DuplexStream } from './http2-stream.ts';
import type { StreamKind } from './http2-wire.ts';
import {
  ID_HEADER,
  KIND_HEADER,
  MAX_STREAMS_HEADER,
  PARKED_REQUESTS,
  parseNumber,
  PATHS,
  toResetCode,
} from './http2-wire.ts';

/** The client's end of a connection. It keeps requests parked for streams that the server opens. */
export class Http2ClientConnection extends Http2Connection {
  #parked = 0;
  #taken = 0;

  constructor(parts: ConnectionParts) {
    super(parts);
    this.#topUp();
  }

  protected acquire(stream: Http2DuplexStream, kind: StreamKind): void {
    const headers = { ':method': 'POST', ':path': PATHS[kind], [ID_HEADER]: String(stream.id) };
    stream.grant(() => this.#session.request(headers, { waitForTrailers: true }));
  }

  protected peerStreamEnded(): void {
    this.#taken -= 1;
    this.#topUp();
  }

  get #session(): ClientHttp2Session {
    return this.session as ClientHttp2Session;
  }

  /** Never more requests than streams that the server may open still. */
  #topUp(): void {
    const room = 2 * this.limits.maxStreams - this.#taken;
    while (!this.closed && !this.#session.destroyed && this.#parked < Math.min(PARKED_REQUESTS, room))
      this.#park();
  }

  #park(): void {
    const http = this.#session.request(
      { ':method': 'POST', ':path': PATHS.parked },
      { waitForTrailers: true },
    );
    this.#parked += 1;
    http.on('error', () => undefined);
    http.once('response', (headers) => {
      this.#parked -= 1;
      this.#take(http, headers);
      this.#topUp();
    });
  }

  #take(http: ClientHttp2Stream, headers: Readonly<Record<string, unknown>>): void {
    const id = parseNumber(headers[ID_HEADER], Number.MAX_SAFE_INTEGER);
    const kind: StreamKind = headers[KIND_HEADER] === 'bidi' ? 'bidi' : 'uni';
    if (this.closed || !this.isPeerId(id, kind)) {
      http.close(toResetCode(ERRORS.PROTOCOL_ERROR.wire));
      return;
    }
    if (this.adopt(http, id, kind)) this.#taken += 1;
  }
}

/** @throws CONNECT_FAILED, CERTIFICATE_REJECTED, TIMEOUT, CANCELLED */
export async function connectClient(options: ConnectOptions, clock: Clock): Promise<Http2ClientConnection> {
  if (options.signal?.aborted === true) throw new SluiceError('CANCELLED', 'connecting was given up');
  const socket = openSocket(options);
  const session = openSession(socket, options);
  const { promise, resolve, reject } = Promise.withResolvers<Http2ClientConnection>();
  const address = `${options.host}:${options.port}`;
  const fail = (error: SluiceError): void => {
    reject(error);
    socket.destroy();
  };
  const cancel = (): void => fail(new SluiceError('CANCELLED', 'connecting was given up'));
  const deadline = clock.setTimer(options.limits.handshakeTimeoutMs, () =>
    fail(
      new SluiceError(
        'TIMEOUT',
        `${address}/tcp did not answer within ${options.limits.handshakeTimeoutMs} ms`,
      ),
    ),
  );
  options.signal?.addEventListener('abort', cancel, { once: true });
  session.on('error', (error: Error) => fail(connectError(error, address)));
  socket.on('error', (error: Error) => fail(connectError(error, address)));
  socket.once('close', () => reject(new SluiceError('CONNECT_FAILED', `${address}/tcp hung up`)));
  session.once('connect', () => {
    session.setLocalWindowSize(options.limits.connectionWindowBytes);
    greetServer(session, options, (peerMaxStreams) => {
      if (peerMaxStreams === undefined)
        fail(new SluiceError('CONNECT_FAILED', `${address}/tcp does not speak Sluice`));
      else
        resolve(
          new Http2ClientConnection({
            side: 'client',
            session,
            socket,
            clock,
            limits: options.limits,
            peerMaxStreams,
          }),
        );
    });
  });
  try {
    return await promise;
  } finally {
    deadline.cancel();
    options.signal?.removeEventListener('abort', cancel);
  }
}

function openSocket(options: ConnectOptions): TLSSocket {
  const name = options.serverName ?? options.host;
  try {
    const socket = connectTls({
      host: options.host,
      port: options.port,
      ca: options.authoritiesPem,
      ...(options.identity && { cert: options.identity.certificatePem, key: options.identity.privateKeyPem }),
      ...(isIP(name) === 0 && { servername: name }),
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
    });
    socket.setNoDelay(true);
    return socket;
  } catch (error) {
    throw new SluiceError('CERTIFICATE_REJECTED', 'certificate or key of the client cannot be used', {
      cause: error,
    });
  }
}

function openSession(socket: TLSSocket, { limits }: ConnectOptions): ClientHttp2Session {
  return connectHttp2('https://sluice', {
    createConnection: () => socket,
    // The server opens no streams in HTTP/2's sense: it answers parked requests.
    settings: { enablePush: false, initialWindowSize: limits.streamWindowBytes, maxHeaderListSize: 16_384 },
    maxReservedRemoteStreams: 0,
    maxSessionMemory: SESSION_MEMORY_MB,
  });
}

/** Bound on what one session queues, megabytes: far above what windows let wait, so that no healthy stream is refused. */
const SESSION_MEMORY_MB = 1024;

function greetServer(
  session: ClientHttp2Session,
  { limits }: ConnectOptions,
  onGreeted: (peerMaxStreams: number | undefined) => void,
): void {
  const headers = {
    ':method': 'POST',
    ':path': PATHS.greeting,
    [MAX_STREAMS_HEADER]: String(limits.maxStreams),
  };
  // Never ended: while a stream is open HTTP/2 goes on reading after GOAWAY, so that this end sees the peer hang up.
  const http = session.request(headers);
  http.on('error', () => undefined); // the session's end says why
  http.once('response', (response) => {
    http.resume();
    const greeted = response[':status'] === 200;
    onGreeted(greeted ? parseNumber(response[MAX_STREAMS_HEADER], 1_000_000) : undefined);
  });
}

/** Errors of OpenSSL and Node that say that one end did not accept the other's certificate. */
const CERTIFICATE_ERROR = /CERT|SIGNATURE|ISSUER|SELF_SIGNED|HOSTNAME|UNKNOWN_CA/;

function connectError(error: Error, address: string): SluiceError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (CERTIFICATE_ERROR.test(code)) {
    const text = `the certificate was not accepted when connecting to ${address}/tcp: ${error.message}`;
    return new SluiceError('CERTIFICATE_REJECTED', text, { cause: error });
  }
  return new SluiceError('CONNECT_FAILED', `${address}/tcp cannot be reached: ${error.message}`, {
    cause: error,
  });
}

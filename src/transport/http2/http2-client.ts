import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect as connectHttp2 } from 'node:http2';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import { isIP } from 'node:net';
import type { Clock } from '../../kernel/clock.ts';
import { ERRORS, errorCodeFromWire, SluiceError } from '../../kernel/errors.ts';
import { checkIdentity } from '../tls-identity.ts';
import type { ConnectOptions } from '../transport.ts';
import type { ConnectionParts } from './http2-connection.ts';
import { Http2Connection } from './http2-connection.ts';
import type { Http2DuplexStream } from './http2-stream.ts';
import type { StreamKind } from './http2-wire.ts';
import { unlessGone } from './unless-gone.ts';
import { localSettings, SESSION_LIMITS, sessionMemoryMb } from './http2-limits.ts';
import {
  decodeGoaway,
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
    stream.grant(() => unlessGone(() => this.#session.request(headers, { waitForTrailers: true })));
  }

  protected localStreamEnded(): void {
    // Its request ended with it.
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
    while (!this.closed && this.#parked < Math.min(PARKED_REQUESTS, room)) if (!this.#park()) return;
  }

  /** @returns false when the session takes no more requests */
  #park(): boolean {
    const headers = { ':method': 'POST', ':path': PATHS.parked };
    const http = unlessGone(() => this.#session.request(headers, { waitForTrailers: true }));
    if (!http) return false;
    this.#parked += 1;
    http.on('error', () => undefined);
    http.once('response', (response) => {
      this.#parked -= 1;
      this.#take(http, response);
      this.#topUp();
    });
    return true;
  }

  #take(http: ClientHttp2Stream, headers: Readonly<Record<string, unknown>>): void {
    const id = parseNumber(headers[ID_HEADER], Number.MAX_SAFE_INTEGER);
    const kind: StreamKind = headers[KIND_HEADER] === 'bidi' ? 'bidi' : 'uni';
    if (this.closed || !this.isPeerId(id, kind) || this.hasStream(id)) {
      http.close(toResetCode(ERRORS.PROTOCOL_ERROR.wire));
      return;
    }
    this.#taken += 1;
    this.adopt(http, id, kind);
  }
}

/** @throws CONNECT_FAILED, CERTIFICATE_REJECTED, VERSION_MISMATCH, TIMEOUT, CANCELLED, INVALID_CONFIG */
export async function connectClient(options: ConnectOptions, clock: Clock): Promise<Http2ClientConnection> {
  if (options.signal?.aborted === true) throw new SluiceError('CANCELLED', 'connecting was given up');
  if (options.identity !== undefined) checkIdentity(options.identity);
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
  const broken = (error: Error): void => fail(connectError(error, address, isRejected(socket)));
  session.on('error', broken);
  socket.on('error', broken);
  const turnedAway = (_code: number, _last: number, data?: Uint8Array): void =>
    fail(refusalError(data, address));
  session.once('goaway', turnedAway);
  socket.once('secureConnect', () => {
    if (socket.alpnProtocol !== 'h2')
      fail(new SluiceError('VERSION_MISMATCH', `${address}/tcp does not speak HTTP/2`));
  });
  socket.once('close', () => reject(new SluiceError('CONNECT_FAILED', `${address}/tcp hung up`)));
  session.once('connect', () => {
    unlessGone(() => session.setLocalWindowSize(options.limits.connectionWindowBytes));
    greetServer(session, options, (peerMaxStreams) => {
      session.off('goaway', turnedAway);
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
    settings: localSettings(limits),
    maxReservedRemoteStreams: 0,
    maxSessionMemory: sessionMemoryMb(limits),
    ...SESSION_LIMITS,
  });
}

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
  const http = unlessGone(() => session.request(headers));
  if (!http) return; // the socket's end is told
  http.on('error', () => undefined); // the session's end says why
  http.once('response', (response) => {
    http.resume();
    const greeted = response[':status'] === 200;
    onGreeted(greeted ? parseNumber(response[MAX_STREAMS_HEADER], 1_000_000) : undefined);
  });
}

/** What a server that turns a client away says instead of the greeting. */
function refusalError(data: Uint8Array | undefined, address: string): SluiceError {
  const { errorCode, reason } = decodeGoaway(data);
  const code =
    errorCodeFromWire(errorCode) === 'CERTIFICATE_REJECTED' ? 'CERTIFICATE_REJECTED' : 'CONNECT_FAILED';
  return new SluiceError(code, `${address}/tcp refused the connection: ${reason}`);
}

/** Errors of OpenSSL and Node that say that one end did not accept the other's certificate. */
const CERTIFICATE_ERROR = /CERT|SIGNATURE|ISSUER|SELF_SIGNED|HOSTNAME|UNKNOWN_CA/;
/** Those of an issuer that is not trusted: Node's texts for them advise flags of its own. */
const UNTRUSTED = /^UNABLE_TO_GET_ISSUER_CERT|^UNABLE_TO_VERIFY_LEAF_SIGNATURE$|SELF_SIGNED_CERT/;

/** Whether this end did not accept the server's certificate. */
function isRejected({ authorizationError }: TLSSocket): boolean {
  return (authorizationError as unknown) !== null && (authorizationError as unknown) !== undefined;
}

/** What a certificate is for and what it was to be for; Node's text loses the names where it carries none of that kind. */
function otherName(error: Error): string {
  const { host, cert } = error as { host?: string; cert?: PeerCertificate };
  if (host === undefined || cert === undefined) return error.message;
  // A certificate without names has no such field, whatever the type says.
  const names = (cert as Partial<PeerCertificate>).subjectaltname ?? 'no name';
  return `the server's certificate is for ${names}, not for ${host}`;
}

function connectError(error: Error, address: string, rejected: boolean): SluiceError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (rejected || CERTIFICATE_ERROR.test(code)) {
    const why = UNTRUSTED.test(code) ? 'an authority that is not trusted has issued it' : otherName(error);
    const text = `the certificate was not accepted when connecting to ${address}/tcp: ${why}`;
    return new SluiceError('CERTIFICATE_REJECTED', text, { cause: error });
  }
  if (code.includes('APPLICATION_PROTOCOL') || code.includes('PROTOCOL_VERSION'))
    return new SluiceError('VERSION_MISMATCH', `${address}/tcp does not speak HTTP/2 over TLS 1.3`, {
      cause: error,
    });
  return new SluiceError('CONNECT_FAILED', unreachableText(code, error.message, address), { cause: error });
}

function unreachableText(code: string, message: string, address: string): string {
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens at ${address} (TCP)`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name in ${address} cannot be resolved (${code})`;
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return `${address}/tcp does not speak TLS`;
    default:
      return `${address}/tcp cannot be reached: ${message}`;
  }
}

import type { OutgoingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { ERRORS } from '../../kernel/errors.ts';
import { RateLimit } from '../../kernel/rate-limit.ts';
import type { TransportLimits } from '../transport.ts';
import type { ConnectionParts } from './http2-connection.ts';
import { Http2Connection, LINGER_MS } from './http2-connection.ts';
import { CONTROL_FRAME_BURST, CONTROL_FRAMES_PER_SECOND } from './http2-limits.ts';
import type { Http2DuplexStream } from './http2-stream.ts';
import type { StreamKind } from './http2-wire.ts';
import { unlessGone } from './unless-gone.ts';
import {
  encodeGoaway,
  ID_HEADER,
  KIND_HEADER,
  MAX_PARKED_REQUESTS,
  MAX_STREAMS_HEADER,
  parseNumber,
  PATHS,
  toResetCode,
} from './http2-wire.ts';

type Headers = Readonly<Record<string, unknown>>;

/**
 * Requests that this end refuses in a burst, and per second after that, before the connection is ended. Each costs a stream
 * that the peer had not to reset itself, so Node's limit on resets does not count it. A client of ours provokes none.
 *
 * @see CVE-2025-8671
 */
const REFUSAL_BURST = 512;
const REFUSALS_PER_SECOND = 64;

/** The server's end of a connection. Streams that it opens go out on requests that the client has parked. */
export class Http2ServerConnection extends Http2Connection {
  readonly #parked = new Set<ServerHttp2Stream>();
  readonly #waiting = new Map<Http2DuplexStream, StreamKind>();
  readonly #refusals: RateLimit;

  constructor(parts: ConnectionParts) {
    super(parts);
    this.#refusals = new RateLimit(parts.clock, REFUSALS_PER_SECOND, REFUSAL_BURST);
  }

  /** A request after the greeting. */
  onRequest(http: ServerHttp2Stream, headers: Headers): void {
    http.on('error', () => undefined);
    const path = headers[':method'] === 'POST' ? headers[':path'] : undefined;
    if (this.closed) http.close(constants.NGHTTP2_REFUSED_STREAM);
    else if (path === PATHS.bidi) this.#accept(http, headers, 'bidi');
    else if (path === PATHS.uni) this.#accept(http, headers, 'uni');
    else if (path === PATHS.parked) this.#park(http);
    else this.#refuse(http, toResetCode(ERRORS.PROTOCOL_ERROR.wire));
  }

  protected acquire(stream: Http2DuplexStream, kind: StreamKind): void {
    stream.grant(() => this.#answerParked(stream, kind));
  }

  protected localStreamEnded(stream: Http2DuplexStream): void {
    this.#waiting.delete(stream);
  }

  protected peerStreamEnded(): void {
    // The client counts its own streams.
  }

  #accept(http: ServerHttp2Stream, headers: Headers, kind: StreamKind): void {
    const id = parseNumber(headers[ID_HEADER], Number.MAX_SAFE_INTEGER);
    if (!this.isPeerId(id, kind) || this.hasStream(id)) {
      this.#refuse(http, toResetCode(ERRORS.PROTOCOL_ERROR.wire));
    } else if (this.peerStreamCount(kind) >= 2 * this.limits.maxStreams) {
      // Twice, because the client may know of an end before this side does.
      this.#refuse(http, toResetCode(ERRORS.TOO_MANY_STREAMS.wire));
    } else if (respond(http, { ':status': 200 })) {
      this.adopt(http, id, kind);
    }
  }

  #park(http: ServerHttp2Stream): void {
    if (isGone(http)) return;
    if (this.#parked.size >= MAX_PARKED_REQUESTS) {
      this.#refuse(http, constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    this.#parked.add(http);
    http.once('close', () => this.#parked.delete(http));
    for (const [stream, kind] of this.#waiting) {
      this.#waiting.delete(stream);
      this.acquire(stream, kind);
      return;
    }
  }

  /** Tells the client of a stream, on a request it has parked. Without one the stream waits for the next. */
  #answerParked(stream: Http2DuplexStream, kind: StreamKind): ServerHttp2Stream | undefined {
    const headers = { ':status': 200, [ID_HEADER]: String(stream.id), [KIND_HEADER]: kind };
    for (const http of this.#parked) {
      this.#parked.delete(http);
      // A request may be over before its 'close' is told: that of the whole session, or because the client gave it up.
      if (respond(http, headers)) return http;
    }
    this.#waiting.set(stream, kind);
    return undefined;
  }

  #refuse(http: ServerHttp2Stream, resetCode: number): void {
    http.close(resetCode);
    if (!this.#refusals.take())
      this.close(ERRORS.OVERLOADED.wire, 'too many requests that had to be refused');
  }
}

/** Sends the headers of a response. @returns false when the peer, or the end of the session, has ended the stream already */
function respond(http: ServerHttp2Stream, headers: OutgoingHttpHeaders): boolean {
  if (isGone(http)) return false;
  unlessGone(() => http.respond(headers, { waitForTrailers: true }));
  return !isGone(http);
}

function isGone(http: ServerHttp2Stream): boolean {
  return http.destroyed || http.closed;
}

/** What is known before the greeting. */
export interface Greeting {
  readonly session: ServerHttp2Session;
  readonly socket: TLSSocket;
  readonly clock: Clock;
  readonly limits: TransportLimits;
}

/**
 * Waits for the greeting of a new session, and hands out the connection. A session that does not greet within
 * `handshakeTimeoutMs`, or begins with something else, is ended.
 */
export function greet(parts: Greeting, onConnection: (connection: Http2ServerConnection) => void): void {
  const { session, socket, clock, limits } = parts;
  let connection: Http2ServerConnection | undefined;
  const deadline = clock.setTimer(limits.handshakeTimeoutMs, () => socket.destroy());
  const controlFrames = new RateLimit(clock, CONTROL_FRAMES_PER_SECOND, CONTROL_FRAME_BURST);
  const countFrame = (): void => {
    if (!controlFrames.take()) socket.destroy();
  };
  session.on('ping', countFrame);
  session.on('remoteSettings', countFrame);
  session.on('error', () => socket.destroy());
  socket.on('error', () => undefined); // 'close' follows
  socket.once('close', () => deadline.cancel());
  session.on('stream', (http: ServerHttp2Stream, headers: Headers) => {
    if (connection) {
      connection.onRequest(http, headers);
      return;
    }
    http.on('error', () => undefined);
    const peerMaxStreams = parseNumber(headers[MAX_STREAMS_HEADER], 1_000_000);
    const greeted = headers[':path'] === PATHS.greeting && peerMaxStreams !== undefined;
    if (!greeted || socket.destroyed || session.destroyed || isGone(http)) {
      socket.destroy();
      return;
    }
    deadline.cancel();
    unlessGone(() => http.respond({ ':status': 200, [MAX_STREAMS_HEADER]: String(limits.maxStreams) }));
    http.resume();
    unlessGone(() => session.setLocalWindowSize(limits.connectionWindowBytes));
    connection = new Http2ServerConnection({
      side: 'server',
      session,
      socket,
      clock,
      limits,
      peerMaxStreams,
    });
    onConnection(connection);
  });
}

/** Tells a new client that it is not let in, and why, and hangs up when it has, or does not, after {@link LINGER_MS}. */
export function turnAway(session: ServerHttp2Session, socket: TLSSocket, clock: Clock, reason: string): void {
  const hangUp = clock.setTimer(LINGER_MS, () => socket.destroy());
  socket.on('error', () => undefined); // 'close' follows
  socket.once('close', () => hangUp.cancel());
  session.on('error', () => socket.destroy());
  session.on('goaway', () => socket.destroy());
  session.on('stream', (http: ServerHttp2Stream) => {
    http.on('error', () => undefined);
    http.close(constants.NGHTTP2_REFUSED_STREAM);
  });
  const word = encodeGoaway(ERRORS.CERTIFICATE_REJECTED.wire, reason);
  unlessGone(() => session.goaway(constants.NGHTTP2_NO_ERROR, 0, word));
}

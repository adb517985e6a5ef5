import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { ERRORS } from '../../kernel/errors.ts';
import type { TransportLimits } from '../transport.ts';
import { Http2Connection } from './http2-connection.ts';
import type { Http2DuplexStream } from './http2-stream.ts';
import type { StreamKind } from './http2-wire.ts';
import {
  ID_HEADER,
  KIND_HEADER,
  MAX_PARKED_REQUESTS,
  MAX_STREAMS_HEADER,
  parseNumber,
  PATHS,
  toResetCode,
} from './http2-wire.ts';

type Headers = Readonly<Record<string, unknown>>;

/** The server's end of a connection. Streams that it opens go out on requests that the client has parked. */
export class Http2ServerConnection extends Http2Connection {
  readonly #parked: ServerHttp2Stream[] = [];
  readonly #waiting: { readonly stream: Http2DuplexStream; readonly kind: StreamKind }[] = [];

  /** A request after the greeting. */
  onRequest(http: ServerHttp2Stream, headers: Headers): void {
    http.on('error', () => undefined);
    if (this.closed) http.close(constants.NGHTTP2_REFUSED_STREAM);
    else if (headers[':path'] === PATHS.bidi) this.#accept(http, headers, 'bidi');
    else if (headers[':path'] === PATHS.uni) this.#accept(http, headers, 'uni');
    else if (headers[':path'] === PATHS.parked) this.#park(http);
    else http.close(toResetCode(ERRORS.PROTOCOL_ERROR.wire));
  }

  protected acquire(stream: Http2DuplexStream, kind: StreamKind): void {
    let http = this.#parked.shift();
    // When Node ends a session by itself, parked requests are over before their 'close' is told.
    while (http && (http.destroyed || http.closed)) http = this.#parked.shift();
    if (http) this.#use(http, stream, kind);
    else this.#waiting.push({ stream, kind });
  }

  protected peerStreamEnded(): void {
    // The client counts its own streams.
  }

  #accept(http: ServerHttp2Stream, headers: Headers, kind: StreamKind): void {
    const id = parseNumber(headers[ID_HEADER], Number.MAX_SAFE_INTEGER);
    if (!this.isPeerId(id, kind)) {
      http.close(toResetCode(ERRORS.PROTOCOL_ERROR.wire));
    } else if (this.peerStreamCount(kind) >= 2 * this.limits.maxStreams) {
      // Twice, because the client may know of an end before this side does.
      http.close(toResetCode(ERRORS.TOO_MANY_STREAMS.wire));
    } else {
      http.respond({ ':status': 200 }, { waitForTrailers: true });
      this.adopt(http, id, kind);
    }
  }

  #park(http: ServerHttp2Stream): void {
    const next = this.#waiting.shift();
    if (next) {
      this.#use(http, next.stream, next.kind);
      return;
    }
    if (this.#parked.length >= MAX_PARKED_REQUESTS) {
      http.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    this.#parked.push(http);
    http.once('close', () => {
      const at = this.#parked.indexOf(http);
      if (at >= 0) this.#parked.splice(at, 1);
    });
  }

  #use(http: ServerHttp2Stream, stream: Http2DuplexStream, kind: StreamKind): void {
    stream.grant(() => {
      const headers = { ':status': 200, [ID_HEADER]: String(stream.id), [KIND_HEADER]: kind };
      http.respond(headers, { waitForTrailers: true });
      return http;
    });
  }
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
    if (headers[':path'] !== PATHS.greeting || peerMaxStreams === undefined) {
      socket.destroy();
      return;
    }
    deadline.cancel();
    http.respond({ ':status': 200, [MAX_STREAMS_HEADER]: String(limits.maxStreams) });
    http.resume();
    session.setLocalWindowSize(limits.connectionWindowBytes);
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

import type { Http2Session, Http2Stream } from 'node:http2';
import { constants } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import { StreamSlots } from '../stream-slots.ts';
import type {
  BidiStream,
  CloseReason,
  Connection,
  ConnectionStats,
  SendStream,
  Stream,
  TransportLimits,
} from '../transport.ts';
import { BrokenWatch, isBroken } from './broken-watch.ts';
import type { StreamHost } from './http2-stream.ts';
import { Http2DuplexStream } from './http2-stream.ts';
import type { StreamKind } from './http2-wire.ts';
import { decodeGoaway, encodeGoaway } from './http2-wire.ts';
import { Liveness } from './liveness.ts';
import { unlessGone } from './unless-gone.ts';

/** How long the peer may take to hang up after it was told; milliseconds. */
export const LINGER_MS = 1_000;

/** What a connection is made of. */
export interface ConnectionParts {
  readonly side: 'client' | 'server';
  readonly session: Http2Session;
  readonly socket: TLSSocket;
  readonly clock: Clock;
  readonly limits: TransportLimits;
  /** Streams of each kind that the peer accepts at once. */
  readonly peerMaxStreams: number;
}

/** What both ends of a connection over HTTP/2 have in common. How streams are opened is up to the side. */
export abstract class Http2Connection implements Connection {
  readonly scheme = 'tls';
  readonly side: 'client' | 'server';
  readonly remoteAddress: string;
  readonly peerCertificate: Uint8Array | undefined;
  readonly maxDatagramBytes = 0;
  arrivalLimitBytes = Infinity;
  onStream: ((stream: Stream) => void) | undefined;
  onDatagram: ((bytes: Buffer) => void) | undefined;
  onClose: ((reason: CloseReason) => void) | undefined;
  isAwaited: (() => boolean) | undefined;
  onSilent: (() => void) | undefined;

  /** Resolves when the socket is gone too. */
  readonly ended: Promise<void>;
  protected readonly session: Http2Session;
  protected readonly limits: TransportLimits;
  protected readonly host: StreamHost;
  protected closed = false;

  readonly #clock: Clock;
  readonly #socket: TLSSocket;
  readonly #slots: Record<StreamKind, StreamSlots<Http2DuplexStream>>;
  readonly #peerStreams: Record<StreamKind, number> = { bidi: 0, uni: 0 };
  readonly #streams = new Map<number, Http2DuplexStream>();
  readonly #liveness: Liveness;
  readonly #brokenWatch: BrokenWatch;
  #linger: Timer | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;

  constructor(parts: ConnectionParts) {
    const { session, socket, clock, limits } = parts;
    this.side = parts.side;
    this.session = session;
    this.limits = limits;
    this.#clock = clock;
    this.remoteAddress = addressOf(socket);
    this.peerCertificate = socket.getPeerX509Certificate()?.raw;
    this.#slots = { bidi: new StreamSlots(parts.peerMaxStreams), uni: new StreamSlots(parts.peerMaxStreams) };
    this.host = {
      clock,
      call: (callback) => this.#call(callback),
      countSent: (bytes) => {
        this.#sentBytes += bytes;
        this.#liveness.sent();
      },
      countReceived: (bytes) => (this.#receivedBytes += bytes),
      broken: () => this.#hangUpLater(),
      forget: (stream) => this.#forget(stream),
    };
    this.#liveness = new Liveness({
      ...{ session, socket, clock, limits },
      isAwaited: () => this.isAwaited,
      onSilent: () => this.#call(() => this.onSilent?.()),
      onDead: () => {
        const reason = `nothing was heard for ${limits.idleTimeoutMs} ms`;
        this.#gone({ errorCode: ERRORS.TIMEOUT.wire, reason, by: 'transport' });
        socket.destroy();
      },
    });
    this.#brokenWatch = new BrokenWatch({
      ...{ socket, clock, isBroken: () => isBroken(socket) },
      onBroken: () => socket.destroy(),
    });
    this.#socket = socket;
    this.ended = new Promise((resolve) => whenClosed(socket, resolve));
    this.#watchSession();
  }

  /** Gives the connection to its owner. */
  handOut(onConnection: (connection: Connection) => void): void {
    this.#call(() => onConnection(this));
  }

  openBidi(): BidiStream {
    const { id, send, receive } = this.#openLocal('bidi');
    return { id, send: send!, receive: receive! };
  }

  openUni(): SendStream {
    return this.#openLocal('uni').send!;
  }

  sendDatagram(): boolean {
    return false;
  }

  stats(): ConnectionStats {
    const { rttMs } = this.#liveness;
    return {
      ...(rttMs === undefined ? {} : { rttMs }),
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes,
    };
  }

  close(errorCode: number, reason: string): void {
    if (this.closed) return;
    this.closed = true;
    this.#stopWatching();
    unlessGone(() => this.session.goaway(constants.NGHTTP2_NO_ERROR, 0, encodeGoaway(errorCode, reason)));
    this.#hangUpLater(); // the peer hangs up when it has read that; the timer is for one that does not
    queueMicrotask(() => this.#tell({ errorCode, reason, by: 'local' }));
  }

  /** Opens the HTTP/2 stream for a stream of this end, now or when the peer lets it. */
  protected abstract acquire(stream: Http2DuplexStream, kind: StreamKind): void;

  /** A stream of the peer, on an HTTP/2 stream that carries its number. */
  protected adopt(http: Http2Stream, id: number, kind: StreamKind): void {
    const stream = new Http2DuplexStream(id, this.host, { sends: kind === 'bidi', receives: true });
    this.#streams.set(id, stream);
    this.#peerStreams[kind] += 1;
    stream.attach(http);
    stream.grant(() => http);
    this.#call(() => this.onStream?.(stream));
  }

  /** Whether `id` is a number that the peer may give to a stream of this kind. Numbers are QUIC's. @see RFC 9000 section 2.1 */
  protected isPeerId(id: number | undefined, kind: StreamKind): id is number {
    return id !== undefined && id % 4 === lowBits(kind, this.side === 'server' ? 'client' : 'server');
  }

  /** Whether a stream with this number is open now. */
  protected hasStream(id: number): boolean {
    return this.#streams.has(id);
  }

  /** Streams open now that the peer opened. */
  protected peerStreamCount(kind: StreamKind): number {
    return this.#peerStreams[kind];
  }

  #openLocal(kind: StreamKind): Http2DuplexStream {
    if (this.closed) throw new SluiceError('CLOSED', 'the connection is closed: open streams on a new one');
    const slots = this.#slots[kind];
    const id = slots.next() * 4 + lowBits(kind, this.side);
    const stream = new Http2DuplexStream(id, this.host, { sends: true, receives: kind === 'bidi' });
    this.#streams.set(id, stream);
    stream.send!.wait();
    slots.take(stream, () => this.acquire(stream, kind));
    return stream;
  }

  #forget(stream: Http2DuplexStream): void {
    if (!this.#streams.delete(stream.id) || this.closed) return;
    const kind = stream.id % 4 < 2 ? 'bidi' : 'uni';
    if (stream.id % 2 === (this.side === 'client' ? 0 : 1)) {
      this.localStreamEnded(stream);
      this.#slots[kind].release(stream);
    } else {
      this.#peerStreams[kind] -= 1;
      this.peerStreamEnded();
    }
  }

  /** A stream of the peer is over. */
  protected abstract peerStreamEnded(): void;

  /** A stream of this end is over. */
  protected abstract localStreamEnded(stream: Http2DuplexStream): void;

  #watchSession(): void {
    const { session } = this;
    let failure = 'the connection broke';
    const note = (error: Error): void => {
      failure = error.message;
      this.#hangUpLater();
    };
    session.on('error', note);
    this.#socket.on('error', note);
    session.on('goaway', (_code: number, _last: number, data?: Uint8Array) => {
      this.#gone({ ...decodeGoaway(data), by: 'peer' });
      session.destroy();
      this.#hangUpLater();
    });
    whenClosed(this.#socket, () => {
      this.#linger?.cancel();
      this.#gone({ errorCode: ERRORS.UNAVAILABLE.wire, reason: failure, by: 'transport' });
      session.destroy();
    });
  }

  #hangUpLater(): void {
    this.#linger ??= this.#clock.setTimer(LINGER_MS, () => this.#socket.destroy());
  }

  #gone(reason: CloseReason): void {
    if (this.closed) return;
    this.closed = true;
    this.#stopWatching();
    this.#tell(reason);
  }

  #stopWatching(): void {
    this.#liveness.stop();
    this.#brokenWatch.stop();
  }

  #tell(reason: CloseReason): void {
    const streamCode = reason.errorCode === 0 ? ERRORS.CLOSED.wire : reason.errorCode;
    for (const stream of this.#streams.values()) stream.gone(streamCode);
    this.#streams.clear();
    this.#call(() => this.onClose?.(reason));
  }

  #call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.close(ERRORS.INTERNAL.wire, error instanceof Error ? error.message : String(error));
    }
  }
}

function lowBits(kind: StreamKind, opener: 'client' | 'server'): number {
  return (kind === 'uni' ? 2 : 0) + (opener === 'server' ? 1 : 0);
}

/** Node goes on handing out what arrived on a socket that is closed already. */
function whenClosed(socket: TLSSocket, callback: () => void): void {
  if (socket.closed) queueMicrotask(callback);
  else socket.once('close', callback);
}

function addressOf(socket: TLSSocket): string {
  const { remoteAddress = 'unknown', remotePort = 0 } = socket;
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

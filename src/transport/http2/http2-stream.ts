import type { Http2Stream } from 'node:http2';
import type { Clock } from '../../kernel/clock.ts';
import type { ReceiveStream, SendStream } from '../transport.ts';
import { fromResetCode, toResetCode } from './http2-wire.ts';
import { unlessGone } from './unless-gone.ts';

/** Waiting shorter than this is the way to the socket, not a full window; milliseconds. */
const BLOCKED_FROM_MS = 2;

/** What a stream needs from its connection. */
export interface StreamHost {
  readonly clock: Clock;
  /** Calls back to the owner; an exception closes the connection with INTERNAL. */
  call(callback: () => void): void;
  countSent(bytes: number): void;
  countReceived(bytes: number): void;
  /** The session took a stream that it could not send: it is of no more use. Streams are told when its end is. */
  broken(): void;
  /** The stream is over. Called once. */
  forget(stream: Http2DuplexStream): void;
}

/** Which halves this end has, and who completes the half that carries nothing. */
export interface StreamShape {
  readonly sends: boolean;
  readonly receives: boolean;
}

/**
 * One stream of the native protocol on one HTTP/2 stream.
 *
 * RST_STREAM always ends both directions, so on a bidirectional stream `reset` and `stop` of one half end the other one too.
 * The direction that a unidirectional stream does not use stays open and empty until the used one is complete.
 */
export class Http2DuplexStream {
  readonly id: number;
  readonly send: Http2SendStream | undefined;
  readonly receive: Http2ReceiveStream | undefined;
  readonly #host: StreamHost;
  #open: (() => Http2Stream | undefined) | undefined;
  #http: Http2Stream | undefined;
  #over = false;

  constructor(id: number, host: StreamHost, shape: StreamShape) {
    this.id = id;
    this.#host = host;
    this.send = shape.sends ? new Http2SendStream(id, host, this) : undefined;
    this.receive = shape.receives ? new Http2ReceiveStream(id, host, this) : undefined;
  }

  /**
   * The HTTP/2 stream may be opened, which happens with the first byte.
   * @param open undefined when it cannot be had now after all: the stream waits until it is granted again
   */
  grant(open: () => Http2Stream | undefined): void {
    if (this.#over) return;
    this.#open = open;
    this.send?.granted();
  }

  /** The HTTP/2 stream, opened now if it was not yet; undefined while it must wait. */
  http(): Http2Stream | undefined {
    if (this.#http || !this.#open || this.#over) return this.#http;
    const open = this.#open;
    this.#open = undefined;
    const http = open();
    if (http) this.attach(http);
    else this.send?.ungranted();
    return http;
  }

  /** Ties this stream to its HTTP/2 stream. */
  attach(http: Http2Stream): void {
    this.#http = http;
    http.on('error', () => undefined); // 'close' follows, with the code
    // The end of a direction goes out only here and not when a stream is closed with a code: `close` ends the writable half
    // first, and the peer would take that for a complete end.
    http.once('wantTrailers', () => {
      unlessGone(() => http.sendTrailers({}));
    });
    http.once('close', () => {
      if (http.id === undefined) this.#host.broken();
      else this.#closed(http.rstCode);
    });
    if (this.receive) this.receive.attach(http);
    else http.resume();
    http.once('end', () => {
      // The peer has ended the direction this end does not read: nothing to tell.
      if (!this.send) http.end();
    });
  }

  /** Ends both directions with a code: what `half` asked for; the other half is told. */
  fail(half: 'send' | 'receive', errorCode: number): void {
    if (this.#over) return;
    const other = half === 'send' ? this.receive : this.send;
    queueMicrotask(() => other?.gone(errorCode));
    if (this.#http) this.#http.close(toResetCode(errorCode));
    else this.#finish();
  }

  /** The connection is gone: both halves are told. */
  gone(errorCode: number): void {
    this.#over = true;
    this.send?.gone(errorCode);
    this.receive?.gone(errorCode);
  }

  #closed(resetCode: number | undefined): void {
    if (this.#over) return;
    const code = fromResetCode(resetCode ?? 0);
    this.send?.gone(code);
    this.receive?.gone(code);
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.forget(this);
  }
}

/** The half that this end writes. */
export class Http2SendStream implements SendStream {
  readonly id: number;
  onWritable: (() => void) | undefined;
  onStopped: ((errorCode: number) => void) | undefined;
  bufferedBytes = 0;
  readonly #host: StreamHost;
  readonly #stream: Http2DuplexStream;
  /** Written before the HTTP/2 stream could be opened. */
  #early: Uint8Array[] = [];
  #granted = false;
  #ending = false;
  #done = false;
  #corked = false;
  #owesWritable = false;
  #blockedTotalMs = 0;
  #blockedSinceMs: number | undefined;

  constructor(id: number, host: StreamHost, stream: Http2DuplexStream) {
    this.id = id;
    this.#host = host;
    this.#stream = stream;
  }

  get writable(): boolean {
    return this.#granted && !this.#ending && !this.#done && this.bufferedBytes === 0;
  }

  get blockedMs(): number {
    return this.#blockedTotalMs + this.#blockedNowMs();
  }

  /** The stream has its place among the streams of the connection. */
  granted(): void {
    if (this.#granted || this.#done) return;
    this.#granted = true;
    for (const bytes of this.#early.splice(0)) this.#put(bytes);
    if (this.#ending) this.#stream.http()?.end();
    else if (this.bufferedBytes === 0) this.#drained();
  }

  /** The stream was opened beyond what the peer allows. */
  wait(): void {
    this.#markBlocked();
  }

  /** It lost its place before anything of it was sent. */
  ungranted(): void {
    this.#granted = false;
    this.#markBlocked();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#ending || this.#done) return false;
    if (bytes.byteLength === 0) return this.writable;
    this.bufferedBytes += bytes.byteLength;
    this.#markBlocked();
    if (this.#granted) this.#put(bytes);
    else this.#early.push(bytes);
    return false;
  }

  end(): void {
    if (this.#ending || this.#done) return;
    this.#ending = true;
    if (this.#granted) this.#stream.http()?.end();
  }

  reset(errorCode: number): void {
    if (this.#done) return;
    this.#finish();
    this.#stream.fail('send', errorCode);
  }

  setPriority(): void {
    // HTTP/2's priorities are deprecated (RFC 9113 section 5.3) and Node has none: streams take turns.
  }

  /** The peer wants no more, or the connection is gone. After a complete end there is nothing to tell. */
  gone(errorCode: number): void {
    if (this.#done) return;
    const complete = this.#ending && this.bufferedBytes === 0;
    this.#finish();
    if (!complete) this.#host.call(() => this.onStopped?.(errorCode));
  }

  /** Writes of one turn are corked together, so that they share frames and a system call. */
  #put(bytes: Uint8Array): void {
    const http = this.#stream.http();
    if (!http) {
      this.#early.push(bytes);
      return;
    }
    if (!this.#corked) {
      this.#corked = true;
      http.cork();
      queueMicrotask(() => {
        this.#corked = false;
        http.uncork();
      });
    }
    http.write(bytes, (error) => {
      if (this.#done || error) return;
      this.bufferedBytes -= bytes.byteLength;
      this.#host.countSent(bytes.byteLength);
      if (this.bufferedBytes === 0) this.#drained();
    });
  }

  #drained(): void {
    this.#blockedTotalMs += this.#blockedNowMs();
    this.#blockedSinceMs = undefined;
    if (!this.#owesWritable) return;
    this.#owesWritable = false;
    queueMicrotask(() => {
      if (this.writable) this.#host.call(() => this.onWritable?.());
    });
  }

  #markBlocked(): void {
    this.#owesWritable = true;
    this.#blockedSinceMs ??= this.#host.clock.monotonicMs();
  }

  #blockedNowMs(): number {
    if (this.#blockedSinceMs === undefined) return 0;
    const waitedMs = this.#host.clock.monotonicMs() - this.#blockedSinceMs;
    return waitedMs < BLOCKED_FROM_MS ? 0 : waitedMs;
  }

  #finish(): void {
    this.#blockedTotalMs += this.#blockedNowMs();
    this.#blockedSinceMs = undefined;
    this.#done = true;
    this.#early = [];
    this.bufferedBytes = 0;
  }
}

/** The half that this end reads. Node gives window back to the peer only for what was handed on. */
export class Http2ReceiveStream implements ReceiveStream {
  readonly id: number;
  onData: ((chunk: Buffer) => void) | undefined;
  onEnd: (() => void) | undefined;
  onReset: ((errorCode: number) => void) | undefined;
  readonly #host: StreamHost;
  readonly #stream: Http2DuplexStream;
  #http: Http2Stream | undefined;
  #paused = false;
  #done = false;

  constructor(id: number, host: StreamHost, stream: Http2DuplexStream) {
    this.id = id;
    this.#host = host;
    this.#stream = stream;
  }

  attach(http: Http2Stream): void {
    this.#http = http;
    http.on('data', (chunk: Buffer) => {
      if (this.#done) return;
      this.#host.countReceived(chunk.byteLength);
      this.#host.call(() => this.onData?.(chunk));
    });
    http.once('end', () => {
      if (this.#done || http.rstCode !== 0) return;
      this.#done = true;
      this.#host.call(() => this.onEnd?.());
    });
    if (this.#paused) http.pause();
  }

  pause(): void {
    this.#paused = true;
    this.#http?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#http?.resume();
  }

  stop(errorCode: number): void {
    if (this.#done) return;
    this.#done = true;
    this.#stream.fail('receive', errorCode);
  }

  /** The peer gave up, or the connection is gone. */
  gone(errorCode: number): void {
    if (this.#done) return;
    this.#done = true;
    this.#host.call(() => this.onReset?.(errorCode));
  }
}

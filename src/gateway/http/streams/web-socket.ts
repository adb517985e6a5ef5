import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import type { Timer } from '../../../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../../../kernel/errors.ts';
import type { ClientMessage } from './client-message.ts';
import { parseClientMessage } from './client-message.ts';
import type { Refused, StreamContext } from './feed.ts';
import type { ClientOutlet } from './live-stream.ts';
import { ProgressWatch } from './progress-watch.ts';

/** Close codes from here on are this and the wire number of docs/errors.md. */
const CLOSE_CODES = 4000;
/** Bytes of a close frame's reason, at most. */
const REASON_MAX_BYTES = 123;

/** Whom a socket hands over what its client says. */
export interface SocketListener {
  /** Never rejects. */
  said(message: ClientMessage): Promise<readonly Refused[]>;
  failed(error: SluiceError): void;
  gone(): void;
}

/**
 * A WebSocket as an outlet: a text frame for each record.
 *
 * Its client is not heard while it does not read, so that what it is answered is bounded too.
 */
export class SocketOutlet implements ClientOutlet {
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #context: StreamContext;
  readonly #listener: SocketListener;
  readonly #progress: ProgressWatch;
  #onRoom: (() => void) | undefined;
  #unanswered = 0;
  #isCorked = false;
  #heardMs: number;
  #pingedMs: number;
  #closing: Timer | undefined;

  constructor(ws: WebSocket, socket: Socket, context: StreamContext, listener: SocketListener) {
    this.#ws = ws;
    this.#socket = socket;
    this.#context = context;
    this.#listener = listener;
    this.#progress = new ProgressWatch(socket);
    this.#heardMs = this.#pingedMs = context.clock.monotonicMs();
    // Nothing is heard before the stream is open.
    ws.pause();
    ws.on('message', (data, isBinary) => this.#hear(data, isBinary));
    ws.on('pong', () => this.#noteHeard());
    ws.on('ping', () => this.#noteHeard());
    ws.on('close', () => this.#gone());
    // Frames that make no sense, and broken connections: the socket closes itself, with the right code.
    ws.on('error', () => undefined);
    socket.on('drain', () => this.#drained());
  }

  get writable(): boolean {
    return this.#onRoom !== undefined && this.#hasRoom;
  }

  get drained(): boolean {
    return this.#ws.bufferedAmount === 0;
  }

  begin(hello: Readonly<Record<string, unknown>>, onRoom: () => void): void {
    this.#onRoom = onRoom;
    this.notice('open', hello);
    this.#ws.resume();
  }

  record(json: string): number {
    this.#cork();
    this.#ws.send(json);
    this.#context.counters.bytes += json.length;
    return json.length;
  }

  notice(type: string, fields: Readonly<Record<string, unknown>>): void {
    this.#ws.send(JSON.stringify({ type, ...fields }));
  }

  tick(): boolean {
    const { clock, limits } = this.#context;
    const nowMs = clock.monotonicMs();
    if (this.#progress.check()) this.#heardMs = nowMs;
    if (nowMs - this.#heardMs >= limits.silentMs) return false;
    if (nowMs - this.#pingedMs >= limits.pingMs && this.#ws.readyState === this.#ws.OPEN) {
      this.#pingedMs = nowMs;
      this.#ws.ping();
    }
    return true;
  }

  finish(error: SluiceError): void {
    if (this.#closing) return;
    this.#onRoom = undefined;
    closeSocket(this.#ws, error);
    this.#closing = this.#context.clock.setTimer(this.#context.limits.closeMs, () => this.#ws.terminate());
  }

  get #hasRoom(): boolean {
    const { OPEN, readyState, bufferedAmount } = this.#ws;
    return readyState === OPEN && bufferedAmount < this.#context.limits.maxBufferedBytes;
  }

  #noteHeard(): void {
    this.#heardMs = this.#context.clock.monotonicMs();
  }

  #hear(data: RawData, isBinary: boolean): void {
    this.#noteHeard();
    // It is ending: what comes now is too late.
    if (!this.#onRoom) return;
    let message: ClientMessage;
    try {
      if (isBinary) throw new SluiceError('PROTOCOL_ERROR', 'a message is a text frame');
      message = parseClientMessage((data as Buffer).toString());
    } catch (error) {
      this.#misunderstood(asSluiceError(error));
      return;
    }
    this.#unanswered += 1;
    this.#restOrGoOn();
    void this.#listener.said(message).then((refused) => {
      this.#unanswered -= 1;
      this.#answer(message.id, refused);
      this.#restOrGoOn();
    });
  }

  #misunderstood(error: SluiceError): void {
    if (error.code === 'PROTOCOL_ERROR') this.#listener.failed(error);
    else this.#answer(undefined, [{ of: null, code: error.code, message: error.message }]);
    this.#restOrGoOn();
  }

  #answer(id: string | number | undefined, refused: readonly Refused[]): void {
    if (!this.#onRoom || this.#ws.readyState !== this.#ws.OPEN) return;
    if (refused.length > 0) this.notice('refused', { id, refused });
    else if (id !== undefined) this.notice('done', { id });
  }

  /** Hears the client only while there is room for answers. */
  #restOrGoOn(): void {
    if (!this.#onRoom) return;
    if (this.#hasRoom && this.#unanswered < this.#context.limits.maxUnanswered) this.#ws.resume();
    else this.#ws.pause();
  }

  #drained(): void {
    this.#restOrGoOn();
    this.#onRoom?.();
  }

  /** Frames of one turn go out together. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      this.#socket.uncork();
    });
  }

  #gone(): void {
    this.#onRoom = undefined;
    this.#closing?.cancel();
    this.#listener.gone();
  }
}

/** Tells a client why its socket ends, and closes it. */
export function closeSocket(ws: WebSocket, { code, message, wire }: SluiceError): void {
  if (ws.readyState === ws.OPEN) ws.send(JSON.stringify({ type: 'end', code, message }));
  ws.close(CLOSE_CODES + wire, shortened(`${code}: ${message}`));
  // What answers a close is heard again.
  ws.resume();
}

function shortened(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= REASON_MAX_BYTES) return reason;
  // A character that is cut in two is left out.
  return bytes
    .subarray(0, REASON_MAX_BYTES)
    .toString()
    .replace(/\uFFFD+$/, '');
}

import type { ServerResponse } from 'node:http';
import type { OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { SluiceError } from '../../../kernel/errors.ts';
import type { StreamContext } from './feed.ts';
import type { ClientOutlet } from './live-stream.ts';
import { ProgressWatch } from './progress-watch.ts';

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  // Proxies that gather answers would hold events back.
  'x-accel-buffering': 'no',
  connection: 'close',
};
/** When a browser connects again, milliseconds. */
const RETRY_MS = 1_000;
const TCP_KEEP_ALIVE_MS = 30_000;

/**
 * An event stream as an outlet: an event for each record, whose id says where to go on after it.
 *
 *     id: 0:42,1:17
 *     data: {"topic":"orders","partition":0,"offset":41,…}
 *
 * @see WHATWG HTML, server-sent events
 */
export class EventOutlet implements ClientOutlet {
  readonly #response: ServerResponse;
  readonly #context: StreamContext;
  readonly #headers: OutgoingHttpHeaders;
  #progress: ProgressWatch | undefined;
  #onRoom: (() => void) | undefined;
  #takenMs: number;
  #wroteMs: number;
  #lastId = '';
  #isFinished = false;

  /** @param headers that go with the answer besides its own */
  constructor(response: ServerResponse, context: StreamContext, headers: OutgoingHttpHeaders) {
    this.#response = response;
    this.#context = context;
    this.#headers = headers;
    this.#takenMs = this.#wroteMs = context.clock.monotonicMs();
  }

  get writable(): boolean {
    return (
      this.#onRoom !== undefined && this.#response.writableLength < this.#context.limits.maxBufferedBytes
    );
  }

  get drained(): boolean {
    return this.#response.writableLength === 0;
  }

  begin(hello: Readonly<Record<string, unknown>>, onRoom: () => void, id: () => string): void {
    const response = this.#response;
    this.#onRoom = onRoom;
    response.writeHead(200, { ...this.#headers, ...HEADERS });
    const socket = response.socket as Socket;
    socket.setNoDelay(true);
    // Silence is judged here.
    socket.setTimeout(0);
    // There are no answers to pings: the kernel finds out about a client that is no more.
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#progress = new ProgressWatch(socket);
    response.on('drain', () => this.#onRoom?.());
    response.write(`retry: ${RETRY_MS}\n`);
    this.notice('open', hello, id);
  }

  record(json: string, id: () => string): number {
    this.#lastId = id();
    const text = `${idLine(this.#lastId)}data: ${json}\n\n`;
    this.#write(text);
    this.#context.counters.bytes += text.length;
    return text.length;
  }

  notice(type: string, fields: Readonly<Record<string, unknown>>, id: () => string = () => ''): void {
    const position = id();
    if (position !== '') this.#lastId = position;
    this.#write(`event: ${type}\n${idLine(position)}data: ${JSON.stringify(fields)}\n\n`);
  }

  tick(position: () => string | undefined): boolean {
    if (!this.#progress) return true;
    const { clock, limits } = this.#context;
    const nowMs = clock.monotonicMs();
    if (this.#progress.check() || this.drained) this.#takenMs = nowMs;
    if (nowMs - this.#takenMs >= limits.silentMs) return false;
    if (this.drained && nowMs - this.#wroteMs >= limits.keepAliveMs) this.#keepAlive(position() ?? '');
    return true;
  }

  finish({ code, message }: SluiceError): void {
    if (this.#isFinished || !this.#onRoom) return;
    this.#isFinished = true;
    this.#onRoom = undefined;
    this.#response.end(`event: end\ndata: ${JSON.stringify({ code, message })}\n\n`);
    const timer = this.#context.clock.setTimer(this.#context.limits.closeMs, () => this.#response.destroy());
    this.#response.on('close', () => timer.cancel());
  }

  /** The place moves on also past records that this client does not want. */
  #keepAlive(position: string): void {
    const hasMoved = position !== this.#lastId;
    this.#lastId = position;
    this.#write(hasMoved ? `:\n${idLine(position)}\n` : ':\n\n');
  }

  #write(text: string): void {
    this.#wroteMs = this.#context.clock.monotonicMs();
    this.#response.write(text);
  }
}

function idLine(id: string): string {
  return id === '' ? '' : `id: ${id}\n`;
}

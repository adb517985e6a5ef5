import type { Clock } from '../../kernel/clock.ts';
import type { ReceiveStream, SendStream } from '../transport.ts';

/** What one direction of a stream needs from the pair of connections it belongs to. */
export interface PipeHost {
  readonly clock: Clock;
  /** Largest piece handed to one `onData` call, in bytes. */
  readonly maxChunkBytes: number;
  /** Runs `task` later, after the tasks scheduled before it; never from inside this call. */
  schedule(task: () => void): void;
  /** Calls back into the writing end's owner; an exception closes that end with INTERNAL. */
  callSender(callback: () => void): void;
  /** Calls back into the reading end's owner; an exception closes that end with INTERNAL. */
  callReceiver(callback: () => void): void;
  /** The reading end's connection was closed: nothing more is handed to its owner. */
  receiverClosed(): boolean;
  /** The reading end learns of the stream, once, before anything else is told to it. */
  announce(): void;
  /** The direction is over for both ends, and the connection goes on; called once. */
  finished(): void;
  /** Bytes left the writing end / reached the reading end. */
  countSent(bytes: number): void;
  countReceived(bytes: number): void;
}

/** The writing end of one direction of a stream in memory. */
export class MemorySendStream implements SendStream {
  readonly id: number;
  onWritable: (() => void) | undefined;
  onStopped: ((errorCode: number) => void) | undefined;
  bufferedBytes = 0;

  readonly #host: PipeHost;
  readonly #receive: MemoryReceiveStream;
  readonly #buffered: Uint8Array[] = [];
  #creditBytes: number;
  #granted = false;
  #ending = false;
  #done = false;
  #owesWritable = false;
  #blockedTotalMs = 0;
  #blockedSinceMs: number | undefined;

  constructor(id: number, windowBytes: number, host: PipeHost, receive: MemoryReceiveStream) {
    this.id = id;
    this.#creditBytes = windowBytes;
    this.#host = host;
    this.#receive = receive;
    receive.attach(this);
  }

  get writable(): boolean {
    return this.#granted && !this.#ending && !this.#done && this.bufferedBytes === 0;
  }

  get blockedMs(): number {
    if (this.#blockedSinceMs === undefined) return this.#blockedTotalMs;
    return this.#blockedTotalMs + this.#host.clock.monotonicMs() - this.#blockedSinceMs;
  }

  /** The peer allows one more stream: this one may send. */
  grant(): void {
    if (this.#granted) return;
    this.#granted = true;
    this.#pump();
  }

  /** The stream was opened beyond what the peer allows: it waits for {@link grant}. */
  wait(): void {
    this.#markBlocked();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#ending || this.#done) return false;
    if (bytes.byteLength > 0) {
      this.#buffered.push(bytes);
      this.bufferedBytes += bytes.byteLength;
      this.#pump();
      if (this.bufferedBytes > 0) this.#markBlocked();
    }
    return this.writable;
  }

  end(): void {
    if (this.#ending || this.#done) return;
    this.#ending = true;
    this.#pump();
  }

  reset(errorCode: number): void {
    if (this.#done) return;
    this.#finish();
    this.#host.schedule(() => {
      this.#receive.resetByPeer(errorCode);
      this.#host.finished();
    });
  }

  setPriority(): void {
    // Every stream of a connection in memory goes out at once: there is nothing to order.
  }

  /** The reader consumed bytes: as many more may be sent. */
  credit(bytes: number): void {
    this.#creditBytes += bytes;
    if (!this.#done) this.#pump();
  }

  /** The reader got everything up to the end. */
  delivered(): void {
    this.#finish();
    this.#host.finished();
  }

  /** The reader wants no more. */
  stopped(errorCode: number): void {
    if (this.#done) return;
    this.#host.finished();
    this.connectionGone(errorCode);
  }

  /** Nothing can be sent any more. */
  connectionGone(errorCode: number): void {
    if (this.#done) return;
    this.#finish();
    this.#host.callSender(() => this.onStopped?.(errorCode));
  }

  #markBlocked(): void {
    this.#owesWritable = true;
    this.#blockedSinceMs ??= this.#host.clock.monotonicMs();
  }

  #unblocked(): void {
    if (this.#blockedSinceMs === undefined) return;
    this.#blockedTotalMs += this.#host.clock.monotonicMs() - this.#blockedSinceMs;
    this.#blockedSinceMs = undefined;
  }

  #finish(): void {
    this.#done = true;
    this.#buffered.length = 0;
    this.bufferedBytes = 0;
    this.#unblocked();
  }

  #pump(): void {
    if (!this.#granted) return;
    while (this.#creditBytes > 0 && this.#buffered.length > 0) this.#sendHead(this.#buffered[0]!);
    if (this.bufferedBytes > 0) return;
    if (this.#ending) this.#receive.endAfterArrived();
    this.#unblocked();
    if (!this.#owesWritable) return;
    this.#owesWritable = false;
    this.#host.schedule(() => {
      if (this.writable) this.#host.callSender(() => this.onWritable?.());
    });
  }

  #sendHead(head: Uint8Array): void {
    const bytes = Math.min(head.byteLength, this.#creditBytes);
    if (bytes === head.byteLength) this.#buffered.shift();
    else this.#buffered[0] = head.subarray(bytes);
    this.#creditBytes -= bytes;
    this.bufferedBytes -= bytes;
    this.#host.countSent(bytes);
    this.#receive.arrive(head.subarray(0, bytes));
  }
}

/**
 * The reading end of one direction of a stream in memory.
 *
 * Every chunk handed to `onData` is a copy that is overwritten after the call, so that an owner who keeps what it was only
 * lent is found by its tests.
 */
export class MemoryReceiveStream implements ReceiveStream {
  readonly id: number;
  onData: ((chunk: Buffer) => void) | undefined;
  onEnd: (() => void) | undefined;
  onReset: ((errorCode: number) => void) | undefined;

  readonly #host: PipeHost;
  #send: MemorySendStream | undefined;
  #arrived: Uint8Array[] = [];
  #deliveryScheduled = false;
  #paused = false;
  #endArrived = false;
  #done = false;

  constructor(id: number, host: PipeHost) {
    this.id = id;
    this.#host = host;
  }

  /** Ties this end to the end that writes. */
  attach(send: MemorySendStream): void {
    this.#send = send;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#scheduleDelivery();
  }

  stop(errorCode: number): void {
    if (this.#done) return;
    this.#finish();
    this.#host.schedule(() => this.#send?.stopped(errorCode));
  }

  /** Bytes are on their way to this end. The sender's window keeps their sum bounded. */
  arrive(bytes: Uint8Array): void {
    if (this.#done) return;
    this.#arrived.push(bytes);
    this.#scheduleDelivery();
  }

  /** Nothing comes after what has arrived. */
  endAfterArrived(): void {
    if (this.#endArrived) return;
    this.#endArrived = true;
    this.#scheduleDelivery();
  }

  /** The writer gave up. */
  resetByPeer(errorCode: number): void {
    if (this.#done || this.#host.receiverClosed()) return;
    this.#host.announce();
    this.connectionGone(errorCode);
  }

  /** Nothing can come any more. */
  connectionGone(errorCode: number): void {
    if (this.#done) return;
    this.#finish();
    this.#host.callReceiver(() => this.onReset?.(errorCode));
  }

  #finish(): void {
    this.#done = true;
    this.#arrived = [];
  }

  #scheduleDelivery(): void {
    if (this.#deliveryScheduled || this.#done) return;
    this.#deliveryScheduled = true;
    this.#host.schedule(() => {
      this.#deliveryScheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#done || this.#host.receiverClosed()) return;
    this.#host.announce();
    while (this.#readable() && this.#arrived.length > 0) this.#handOver(this.#takeChunk());
    if (!this.#endArrived || !this.#readable()) return;
    this.#done = true;
    this.#send?.delivered();
    this.#host.callReceiver(() => this.onEnd?.());
  }

  /** Asked again after each callback, because the owner may pause, stop or close in it. */
  #readable(): boolean {
    return !this.#done && !this.#paused && !this.#host.receiverClosed();
  }

  #takeChunk(): Buffer {
    const all = this.#arrived.length === 1 ? this.#arrived[0]! : Buffer.concat(this.#arrived);
    const chunk = Buffer.from(all.subarray(0, this.#host.maxChunkBytes));
    const rest = all.subarray(chunk.byteLength);
    this.#arrived = rest.byteLength > 0 ? [rest] : [];
    return chunk;
  }

  #handOver(chunk: Buffer): void {
    const bytes = chunk.byteLength;
    this.#host.countReceived(bytes);
    this.#host.callReceiver(() => this.onData?.(chunk));
    chunk.fill(0xdb);
    this.#send?.credit(bytes);
  }
}

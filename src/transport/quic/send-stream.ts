import type { Clock } from '../../kernel/clock.ts';
import type { SendStream } from '../transport.ts';
import { quiche } from './native.ts';
import type { NativeConnection } from './native.ts';
import { isStreamLimit, peerErrorCode } from './stream-error.ts';

/** Chunks below this size are copied together, larger ones are handed to quiche as they are. */
const COALESCE_BYTES = 16 * 1024;
/** So much may be queued in one tick before a writer is asked to wait for the turn. */
const HIGH_WATER_BYTES = 64 * 1024;
const DEFAULT_URGENCY = 127;
const NOTHING = Buffer.alloc(0);

/** What a sending half needs of its connection. */
export interface SendOwner {
  readonly clock: Clock;
  readonly native: NativeConnection | undefined;
  /** The half has bytes or an end to hand over. */
  scheduleWrite(half: QuicSendStream): void;
  /** Something was left in quiche for the next packet. */
  scheduleTurn(): void;
  /** Puts into packets what is buffered in quiche, so that a reset does not meet unsent bytes. */
  flushPackets(): void;
  /** quiche knows the stream from now on. */
  senderExists(half: QuicSendStream): void;
  sendFinished(half: QuicSendStream): void;
}

/** Where a half is in the eyes of the queue of senders. */
export type SendState = 'idle' | 'fresh' | 'blocked' | 'waiting';

/** The half of a QUIC stream that this end writes. */
export class QuicSendStream implements SendStream {
  readonly id: number;
  onWritable: (() => void) | undefined;
  onStopped: ((errorCode: number) => void) | undefined;
  /** Kept by the queue of senders. */
  state: SendState = 'idle';
  /** Kept by the queue of senders: the urgency it was filed under when it was blocked, which may have changed since. */
  filedUrgency = DEFAULT_URGENCY;
  urgency = DEFAULT_URGENCY;
  readonly #owner: SendOwner;
  readonly #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that quiche has taken. */
  #headBytes = 0;
  #bufferedBytes = 0;
  #incremental = true;
  #priorityPending = false;
  #exists: boolean;
  #ended = false;
  #finished = false;
  #told = true;
  #blockedSinceMs: number | undefined;
  #blockedMs = 0;

  /** @param exists whether quiche knows the stream already, because the peer opened it */
  constructor(id: number, owner: SendOwner, exists: boolean) {
    this.id = id;
    this.#owner = owner;
    this.#exists = exists;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get writable(): boolean {
    return !this.#finished && !this.#ended && this.#told && this.state !== 'waiting';
  }

  get blockedMs(): number {
    const since = this.#blockedSinceMs;
    return since === undefined ? this.#blockedMs : this.#blockedMs + this.#owner.clock.monotonicMs() - since;
  }

  /** Whether quiche knows the stream: something was sent on it, or the peer opened it. */
  get exists(): boolean {
    return this.#exists;
  }

  get finished(): boolean {
    return this.#finished;
  }

  /** Whether there is something to hand over. */
  get pending(): boolean {
    return !this.#finished && (this.#bufferedBytes > 0 || this.#ended);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#finished || this.#ended || this.#owner.native === undefined) return false;
    if (bytes.byteLength > 0) {
      this.#chunks.push(bytes);
      this.#bufferedBytes += bytes.byteLength;
      if (this.#bufferedBytes >= HIGH_WATER_BYTES) this.#told = false;
      this.#owner.scheduleWrite(this);
    }
    return this.writable;
  }

  end(): void {
    if (this.#finished || this.#ended) return;
    this.#ended = true;
    this.#owner.scheduleWrite(this);
  }

  reset(errorCode: number): void {
    if (this.#finished) return;
    const { native } = this.#owner;
    this.#finish();
    if (native === undefined) return;
    try {
      if (this.#exists) this.#owner.flushPackets();
      // A stream the peer never heard of must still take its number: an empty write makes it exist.
      else if (native.streamSend(this.id, NOTHING, false) !== null) this.#nowExists(native);
      native.streamShutdown(this.id, quiche.Shutdown.Write, errorCode);
      this.#owner.scheduleTurn();
    } catch {
      // The peer stopped it first, or it may not exist yet: in both cases there is nothing to reset.
    }
  }

  setPriority(urgency: number, incremental: boolean): void {
    this.urgency = Math.min(255, Math.max(0, Math.trunc(urgency)));
    this.#incremental = incremental;
    this.#priorityPending = true;
    if (this.#exists && !this.#finished && this.#owner.native !== undefined)
      this.#applyPriority(this.#owner.native);
  }

  /**
   * Hands bytes to quiche until it takes no more. Sets nothing but this half; the caller sorts it by what is left.
   * @param maxBytes most to hand over
   * @returns bytes taken
   */
  flush(native: NativeConnection, maxBytes: number, scratch: Buffer): number {
    let taken = 0;
    try {
      while (this.pending && taken < maxBytes) {
        const chunk = this.#gather(maxBytes - taken, scratch);
        const last = this.#ended && chunk.byteLength === this.#bufferedBytes;
        const accepted = native.streamSend(this.id, chunk, last);
        if (accepted === null) return this.#stalled(taken);
        if (!this.#exists) this.#nowExists(native);
        taken += accepted;
        this.#consume(accepted);
        if (accepted < chunk.byteLength) return this.#stalled(taken);
        if (last) this.#finish();
      }
    } catch (error) {
      if (isStreamLimit(error)) this.state = 'waiting';
      else this.fail(peerErrorCode(error) ?? 0);
      return taken;
    }
    if (this.#bufferedBytes === 0) this.#flowing();
    return taken;
  }

  /** Tells the writer, once per time it was asked to wait, that everything is taken over. */
  tellWritable(): void {
    if (this.#told || this.#bufferedBytes > 0 || this.#finished) return;
    this.#told = true;
    if (!this.#ended) this.onWritable?.();
  }

  /** Finds out whether the peer has stopped the stream, which quiche tells only on a call. */
  checkStopped(native: NativeConnection): void {
    if (this.#finished || !this.#exists) return;
    try {
      native.streamCapacity(this.id);
    } catch (error) {
      this.fail(peerErrorCode(error) ?? 0);
    }
  }

  /** The peer stopped the stream or the connection is gone. */
  fail(errorCode: number): void {
    if (this.#finished) return;
    this.#finish();
    this.onStopped?.(errorCode);
  }

  #finish(): void {
    this.#flowing();
    this.#finished = true;
    this.#chunks.length = 0;
    this.#bufferedBytes = 0;
    this.#owner.sendFinished(this);
  }

  #stalled(taken: number): number {
    this.#told = false;
    this.#blockedSinceMs ??= this.#owner.clock.monotonicMs();
    this.state = 'blocked';
    return taken;
  }

  #flowing(): void {
    if (this.#blockedSinceMs === undefined) return;
    this.#blockedMs = this.blockedMs;
    this.#blockedSinceMs = undefined;
  }

  /** The next bytes to hand over: a view of a large chunk, or small ones copied together. */
  #gather(maxBytes: number, scratch: Buffer): Uint8Array {
    const head = this.#chunks[0];
    if (head === undefined) return NOTHING;
    const left = head.byteLength - this.#headBytes;
    if (left >= COALESCE_BYTES || this.#chunks.length === 1) {
      return head.subarray(this.#headBytes, this.#headBytes + Math.min(left, maxBytes));
    }
    const limit = Math.min(maxBytes, scratch.byteLength);
    let length = 0;
    let offset = this.#headBytes;
    for (const chunk of this.#chunks) {
      const size = chunk.byteLength - offset;
      if (length > 0 && size >= COALESCE_BYTES) break;
      const part = Math.min(size, limit - length);
      scratch.set(offset === 0 && part === size ? chunk : chunk.subarray(offset, offset + part), length);
      length += part;
      offset = 0;
      if (length === limit) break;
    }
    return scratch.subarray(0, length);
  }

  #consume(bytes: number): void {
    this.#bufferedBytes -= bytes;
    let left = bytes + this.#headBytes;
    let whole = 0;
    while (whole < this.#chunks.length && this.#chunks[whole]!.byteLength <= left) {
      left -= this.#chunks[whole]!.byteLength;
      whole += 1;
    }
    if (whole === this.#chunks.length) this.#chunks.length = 0;
    else if (whole > 0) this.#chunks.splice(0, whole);
    this.#headBytes = left;
  }

  #nowExists(native: NativeConnection): void {
    this.#exists = true;
    this.#owner.senderExists(this);
    if (this.#priorityPending) this.#applyPriority(native);
  }

  #applyPriority(native: NativeConnection): void {
    this.#priorityPending = false;
    try {
      native.streamPriority(this.id, this.urgency, this.#incremental);
    } catch {
      // Stopped in the meantime: order does not matter any more.
    }
  }
}

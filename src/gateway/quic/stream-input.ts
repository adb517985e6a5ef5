import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { ReceiveStream } from '../../transport/transport.ts';
import { FrameReader } from '../../wire/frame-reader.ts';
import type { GatewayContext } from './gateway-context.ts';

/** Bytes of unfinished frames on one connection. */
export interface PartialBytes {
  partialBytes: number;
}

/** What the owner of a stream does with it. */
export interface StreamInputOwner {
  /** Takes a frame; `payload` is the callee's own. What it throws ends the stream. */
  onFrame(type: number, topic: string, payload: Buffer): void;
  /** All frames of what arrived together have been handed over. */
  onTurnEnd(): void;
  /** The client ended the stream between two frames. */
  onEnd(): void;
  /** The client reset the stream, or the connection is gone. */
  onReset(code: number): void;
  /** The bytes make no sense, or are too many; nothing more is read. */
  onFailure(error: SluiceError): void;
  /** True while the client must not send more: it does not read its answers, or too many wait for their outcome. */
  readonly congested: boolean;
}

/**
 * Reads frames from the half of a stream that a client writes, within the bounds of its connection.
 */
export class StreamInput {
  readonly #context: GatewayContext;
  readonly #connection: PartialBytes;
  readonly #receive: ReceiveStream;
  readonly #owner: StreamInputOwner;
  readonly #reader: FrameReader;
  #partialBytes = 0;
  #paused = false;
  #over = false;

  constructor(
    context: GatewayContext,
    connection: PartialBytes,
    receive: ReceiveStream,
    owner: StreamInputOwner,
  ) {
    this.#context = context;
    this.#connection = connection;
    this.#receive = receive;
    this.#owner = owner;
    this.#reader = new FrameReader(context.limits, (type, topic, payload) =>
      owner.onFrame(type, topic, payload),
    );
    receive.onData = (chunk) => this.#onData(chunk);
    receive.onEnd = () => this.#onEnd();
    receive.onReset = (code) => this.#onReset(code);
  }

  /** Nothing comes any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Reads on if it had stopped because of `congested` and that is over. */
  recheck(): void {
    if (!this.#paused || this.#over || this.#owner.congested) return;
    this.#paused = false;
    this.#receive.resume();
  }

  /** Reads nothing more and tells the client so. Idempotent. */
  stop(code: number): void {
    this.#close();
    this.#receive.stop(code);
  }

  #onData(chunk: Buffer): void {
    if (this.#over) return;
    this.#context.counters.streamBytesIn += chunk.length;
    try {
      this.#reader.push(chunk);
      this.#account(this.#reader.pendingBytes);
      this.#checkPartial();
    } catch (error) {
      this.#fail(error);
    }
    this.#owner.onTurnEnd();
    this.#pauseIfCongested();
  }

  #pauseIfCongested(): void {
    if (this.#over || this.#paused || !this.#owner.congested) return;
    this.#paused = true;
    this.#receive.pause();
  }

  #onEnd(): void {
    if (this.#over) return;
    try {
      this.#reader.end();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#close();
    this.#owner.onEnd();
  }

  #onReset(code: number): void {
    if (this.#over) return;
    this.#close();
    this.#owner.onReset(code);
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#close();
    this.#owner.onFailure(asSluiceError(error));
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#account(0);
    this.#reader.stop();
  }

  #account(partialBytes: number): void {
    if (this.#over && partialBytes > 0) return;
    const change = partialBytes - this.#partialBytes;
    this.#partialBytes = partialBytes;
    this.#connection.partialBytes += change;
    this.#context.counters.partialBytes += change;
  }

  #checkPartial(): void {
    const { maxPartialBytes, maxPartialBytesTotal } = this.#context.limits;
    if (this.#partialBytes === 0) return;
    if (
      this.#connection.partialBytes <= maxPartialBytes &&
      this.#context.counters.partialBytes <= maxPartialBytesTotal
    ) {
      return;
    }
    throw new SluiceError(
      'OVERLOADED',
      'too many bytes of unfinished frames: send fewer large frames at once',
    );
  }
}

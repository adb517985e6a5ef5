import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { ReceiveStream } from '../../transport/transport.ts';
import { FrameReader } from '../../wire/frame-reader.ts';
import type { GatewayContext } from './gateway-context.ts';
import type { PartialBytes } from './partial-bytes.ts';
import type { Pump, TurnAccount } from '../turn-account.ts';

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

/** How long frames that arrived together are acted upon before others get their turn; a frame that has begun is finished. */
const TURN_MS = 2;

/**
 * Reads frames from the half of a stream that a client writes, within the bounds of its connection.
 *
 *     chunk ─> frames ─> owner ─ until it is congested, or 2 ms are over ─> rest: held, stream paused ─> next turn ─> frames …
 *
 * So no frame comes before its owner can take it, and a chunk of ten thousand cheap frames holds nobody up.
 */
export class StreamInput implements Pump {
  scheduled = false;
  readonly #context: GatewayContext;
  readonly #connection: PartialBytes;
  readonly #receive: ReceiveStream;
  readonly #owner: StreamInputOwner;
  readonly #reader: FrameReader;
  #partialBytes = 0;
  /** What has arrived and is not read yet; the stream is paused then. */
  #rest: Buffer | undefined;
  #turnEndsMs = 0;
  #paused = false;
  #endCame = false;
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
    this.#reader = new FrameReader(context.limits, (type, topic, payload) => {
      owner.onFrame(type, topic, payload);
      if (owner.congested || context.clock.monotonicMs() >= this.#turnEndsMs) this.#reader.pause();
    });
    receive.onData = (chunk) => this.#onData(chunk);
    receive.onEnd = () => this.#onEnd();
    receive.onReset = (code) => this.#onReset(code);
  }

  get account(): TurnAccount {
    return this.#connection.account;
  }

  /** Nothing comes any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Whether something has arrived that was not acted upon yet. */
  get holding(): boolean {
    return this.#rest !== undefined;
  }

  /** Reads on if it had stopped because of `congested` and that is over. */
  recheck(): void {
    if (!this.#paused || this.#over || this.#owner.congested) return;
    if (this.#rest) this.#context.scheduler.wake(this);
    else this.#resume();
  }

  /** Reads nothing more and tells the client so. Idempotent. */
  stop(code: number): void {
    this.#close();
    this.#receive.stop(code);
  }

  /** Its turn to go on with what it holds. */
  pump(): boolean {
    const rest = this.#rest;
    if (this.#over || !rest || this.#owner.congested) return false;
    this.#rest = undefined;
    this.#read(rest, false);
    return false;
  }

  #onData(chunk: Buffer): void {
    if (this.#over) return;
    this.#context.counters.streamBytesIn += chunk.length;
    if (this.#rest) this.#rest = Buffer.concat([this.#rest, chunk]);
    else this.#readAtOnce(chunk);
  }

  /** Unless the connection holds others up: then it has to wait for its turn. */
  #readAtOnce(chunk: Buffer): void {
    const { clock } = this.#context;
    const startedMs = clock.monotonicMs();
    if (this.account.holdsUp(startedMs)) {
      this.#hold(Buffer.from(chunk));
      return;
    }
    this.#read(chunk, true);
    const nowMs = clock.monotonicMs();
    this.account.charge(nowMs - startedMs, nowMs);
  }

  #hold(chunk: Buffer): void {
    this.#rest = chunk;
    try {
      this.#account(this.#reader.pendingBytes + chunk.length);
      this.#checkPartial();
    } catch (error) {
      this.#fail(error);
    }
    this.#pauseOrGoOn();
  }

  /** @param lent `chunk` is the transport's and only valid now */
  #read(chunk: Buffer, lent: boolean): void {
    this.#turnEndsMs = this.#context.clock.monotonicMs() + TURN_MS;
    try {
      const taken = this.#reader.push(chunk);
      if (taken < chunk.length && !this.#over) {
        const rest = chunk.subarray(taken);
        this.#rest = lent ? Buffer.from(rest) : rest;
      }
      this.#account(this.#reader.pendingBytes + (this.#rest?.length ?? 0));
      this.#checkPartial();
    } catch (error) {
      this.#fail(error);
    }
    this.#owner.onTurnEnd();
    this.#pauseOrGoOn();
  }

  #pauseOrGoOn(): void {
    if (this.#over) return;
    const { congested } = this.#owner;
    if (congested || this.#rest) {
      this.#pause();
      if (!congested) this.#context.scheduler.wake(this);
    } else {
      this.#resume();
    }
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#receive.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#endCame) this.#onEnd();
    else this.#receive.resume();
  }

  #onEnd(): void {
    if (this.#over) return;
    if (this.#rest) {
      this.#endCame = true;
      return;
    }
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
    this.#rest = undefined;
    this.#account(0);
    this.#reader.stop();
  }

  #account(partialBytes: number): void {
    if (this.#over && partialBytes > 0) return;
    const change = partialBytes - this.#partialBytes;
    this.#partialBytes = partialBytes;
    this.#connection.partialBytes += change;
    if (!this.#connection.isWrittenOff) this.#context.counters.partialBytes += change;
  }

  #checkPartial(): void {
    if (this.#partialBytes === 0) return;
    const { limits, counters } = this.#context;
    const { authenticated, partialBytes } = this.#connection;
    if (!authenticated && partialBytes > limits.maxStrangerBytes) {
      throw new SluiceError(
        'UNAUTHENTICATED',
        'so many bytes are only taken from a client that has said HELLO with a token, or shown a certificate',
      );
    }
    if (partialBytes <= limits.maxPartialBytes) {
      if (counters.partialBytes <= limits.maxPartialBytesTotal) return;
      if (this.#context.makeRoomFor(this.#connection)) return;
    }
    throw new SluiceError(
      'OVERLOADED',
      'too many bytes of unfinished frames: send fewer large frames at once',
    );
  }
}

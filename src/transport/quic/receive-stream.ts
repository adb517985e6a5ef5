import { ERRORS } from '../../kernel/errors.ts';
import type { ReceiveStream } from '../transport.ts';
import { quiche } from './native.ts';
import type { NativeConnection } from './native.ts';
import { peerErrorCode } from './stream-error.ts';

/** What a receiving half needs of its connection. */
export interface ReceiveOwner {
  /** The quiche connection; undefined once it is gone. */
  readonly native: NativeConnection | undefined;
  /** Has the half pumped in the next turn. */
  scheduleRead(half: QuicReceiveStream): void;
  /** Sends what the half left behind: a STOP_SENDING. */
  scheduleTurn(): void;
  /** Puts into packets what quiche holds already: acknowledgements. */
  flushPackets(): void;
  /** The half is done. `abandoned`: it was stopped before its end. */
  receiveFinished(half: QuicReceiveStream, abandoned: boolean): void;
}

/** The half of a QUIC stream that this end reads. */
export class QuicReceiveStream implements ReceiveStream {
  readonly id: number;
  onData: ((chunk: Buffer) => void) | undefined;
  onEnd: (() => void) | undefined;
  onReset: ((errorCode: number) => void) | undefined;
  readonly #owner: ReceiveOwner;
  #paused = false;
  #endPending = false;
  #finished = false;
  #stopCode: number | undefined;

  constructor(id: number, owner: ReceiveOwner) {
    this.id = id;
    this.#owner = owner;
  }

  /** Whether nothing more will be told to the reader. */
  get finished(): boolean {
    return this.#finished;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#finished) this.#owner.scheduleRead(this);
  }

  stop(errorCode: number): void {
    if (this.#finished) return;
    this.#finish(!this.#endPending);
    if (this.#endPending) return;
    this.#stopCode = errorCode;
    this.applyStop();
  }

  /** Tells quiche of a {@link stop}; once more after the stream came to exist there. */
  applyStop(): void {
    const { native } = this.#owner;
    if (this.#stopCode === undefined || native === undefined) return;
    try {
      // In one packet with the acknowledgement of all that was sent, quiche at the other end would forget the stream before
      // it could tell anybody the code.
      this.#owner.flushPackets();
      // null: the stream does not exist for quiche yet (nothing was sent on it), or not any more.
      if (native.streamShutdown(this.id, quiche.Shutdown.Read, this.#stopCode) === null) return;
      this.#stopCode = undefined;
      this.#owner.scheduleTurn();
    } catch {
      this.#stopCode = undefined;
    }
  }

  /** Hands everything that can be read to the reader. @param scratch memory for the chunks */
  pump(native: NativeConnection, scratch: Buffer): void {
    if (this.#endPending && !this.#paused) this.#end();
    while (!this.#paused && !this.#finished) {
      let result: [number, boolean] | null;
      try {
        result = native.streamRecv(this.id, scratch);
      } catch (error) {
        this.fail(peerErrorCode(error) ?? ERRORS.INTERNAL.wire);
        return;
      }
      if (result === null) return;
      if (result[0] > 0) this.onData?.(scratch.subarray(0, result[0]));
      if (result[1]) this.#end();
      // Less than there was room for: nothing more is there, and asking again would cost a call.
      else if (result[0] < scratch.byteLength) return;
    }
  }

  /** The peer reset the stream or the connection is gone. */
  fail(errorCode: number): void {
    if (this.#finished) return;
    this.#finish(false);
    this.onReset?.(errorCode);
  }

  #end(): void {
    if (this.#finished) return;
    this.#endPending = true;
    if (this.#paused) return;
    this.#finish(false);
    this.onEnd?.();
  }

  #finish(abandoned: boolean): void {
    this.#finished = true;
    this.#owner.receiveFinished(this, abandoned);
  }
}

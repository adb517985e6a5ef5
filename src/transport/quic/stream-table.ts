import type { Clock } from '../../kernel/clock.ts';
import type { ERRORS } from '../../kernel/errors.ts';
import type { BidiStream, SendStream, Stream, TransportLimits } from '../transport.ts';
import type { NativeConnection } from './native.ts';
import { QuicReceiveStream } from './receive-stream.ts';
import type { ReceiveOwner } from './receive-stream.ts';
import { SendQueue } from './send-queue.ts';
import { QuicSendStream } from './send-stream.ts';
import type { SendOwner } from './send-stream.ts';
import { StopSweep } from './stop-sweep.ts';
import { firstStreamId, isFinished, isOpenedBy, isUnidirectional } from './stream.ts';
import type { QuicStream, Side } from './stream.ts';

/** What the streams need of their connection. */
export interface StreamHost {
  readonly side: Side;
  /** The quiche connection while streams may use it; undefined after a close. */
  readonly native: NativeConnection | undefined;
  readonly onStream: ((stream: Stream) => void) | undefined;
  scheduleTurn(): void;
  flushPackets(): void;
  fail(code: keyof typeof ERRORS, reason: string): void;
}

/** Streams that are asked for data without looking which ones have any. */
const MAX_LIVELY = 16;

/** The streams of one connection, from their opening until both halves are finished. */
export class StreamTable implements ReceiveOwner, SendOwner {
  readonly clock: Clock;
  readonly #host: StreamHost;
  readonly #scratch: Buffer;
  readonly #onFault: (error: unknown) => void;
  readonly #maxStreams: number;
  readonly #streams = new Map<number, QuicStream>();
  readonly #senders = new Set<QuicSendStream>();
  readonly #resumed = new Set<QuicReceiveStream>();
  /**
   * Halves that had data lately. They are asked first, because quiche's list of readable streams costs ten times as much and leaves
   * kilobytes of garbage behind: collecting it stopped the process for up to 80 ms.
   */
  readonly #lively: QuicReceiveStream[] = [];
  readonly #queue = new SendQueue();
  readonly #stopSweep: StopSweep;
  #nextBidi: number;
  #nextUni: number;
  /** Streams of each kind that quiche knows: the highest number used so far, not their count now. */
  #bornBidi = 0;
  #bornUni = 0;
  #abandoned = 0;

  constructor(
    host: StreamHost,
    context: { readonly clock: Clock; readonly scratch: Buffer; readonly onFault: (error: unknown) => void },
    limits: TransportLimits,
  ) {
    this.clock = context.clock;
    this.#host = host;
    this.#scratch = context.scratch;
    this.#onFault = context.onFault;
    this.#maxStreams = limits.maxStreams;
    this.#stopSweep = new StopSweep(context.clock);
    this.#nextBidi = firstStreamId(host.side, false);
    this.#nextUni = firstStreamId(host.side, true);
  }

  get native(): NativeConnection | undefined {
    return this.#host.native;
  }

  /** Whether another turn would do something now. */
  get busy(): boolean {
    return this.#queue.busy || this.#stopSweep.busy || this.#resumed.size > 0;
  }

  /** When the streams want a turn although nothing happens, monotonic milliseconds. */
  get dueMs(): number {
    return this.#stopSweep.dueMs;
  }

  openBidi(native: NativeConnection): BidiStream {
    const id = this.#nextBidi;
    this.#nextBidi += 4;
    const send = new QuicSendStream(id, this, false);
    const receive = new QuicReceiveStream(id, this);
    if (id >> 2 >= this.#bornBidi + native.peerStreamsLeftBidi()) this.#queue.addWaiting(send);
    return this.#keep({ id, send, receive });
  }

  openUni(native: NativeConnection): SendStream {
    const id = this.#nextUni;
    this.#nextUni += 4;
    const send = new QuicSendStream(id, this, false);
    if (id >> 2 >= this.#bornUni + native.peerStreamsLeftUni()) this.#queue.addWaiting(send);
    this.#keep({ id, send, receive: undefined });
    return send;
  }

  /** Hands what arrived to the readers. */
  read(native: NativeConnection): void {
    for (const half of this.#lively) {
      half.pump(native, this.#scratch);
      if (this.native === undefined) return;
    }
    if (!native.isReadable()) return;
    for (const id of native.readable()) {
      const half = (this.#streams.get(id) ?? this.#adopt(id))?.receive;
      half?.pump(native, this.#scratch);
      if (this.native === undefined) return;
      if (half !== undefined && !half.finished) this.#remember(half);
    }
  }

  /** Packets arrived: what waited for the peer may go on. */
  packetsArrived(native: NativeConnection): void {
    this.#queue.roomMayHaveCome(native);
    this.#stopSweep.packetsArrived(native, this.#senders);
  }

  /** A timer of quiche fired: it may have given up on packets, which makes room. */
  timePassed(native: NativeConnection): void {
    this.#queue.roomMayHaveCome(native);
  }

  /** Hands what was written to quiche, and goes on with readers that were paused. */
  handOver(native: NativeConnection, budgetBytes: number): void {
    if (this.#resumed.size > 0) this.#readResumed(native);
    this.#queue.quiet = this.native === undefined;
    if (!this.#queue.quiet) this.#stopSweep.look(native, this.#senders);
    this.#queue.hand(native, budgetBytes, this.#scratch);
  }

  /** Tells every stream that the connection is gone. */
  endAll(errorCode: number): void {
    for (const { send, receive } of [...this.#streams.values()]) {
      this.#guard(() => receive?.fail(errorCode));
      this.#guard(() => send?.fail(errorCode));
    }
    this.#streams.clear();
    this.#senders.clear();
    this.#resumed.clear();
    this.#lively.length = 0;
  }

  scheduleRead(half: QuicReceiveStream): void {
    this.#resumed.add(half);
    this.#host.scheduleTurn();
  }

  scheduleWrite(half: QuicSendStream): void {
    if (this.#queue.add(half)) this.#host.scheduleTurn();
  }

  scheduleTurn(): void {
    this.#host.scheduleTurn();
  }

  flushPackets(): void {
    this.#host.flushPackets();
  }

  senderExists(half: QuicSendStream): void {
    const { id } = half;
    if (isOpenedBy(id, this.#host.side)) {
      if (isUnidirectional(id)) this.#bornUni = Math.max(this.#bornUni, (id >> 2) + 1);
      else this.#bornBidi = Math.max(this.#bornBidi, (id >> 2) + 1);
    }
    this.#streams.get(id)?.receive?.applyStop();
  }

  sendFinished(half: QuicSendStream): void {
    this.#queue.remove(half);
    this.#senders.delete(half);
    this.#forget(half.id);
  }

  receiveFinished(half: QuicReceiveStream, abandoned: boolean): void {
    this.#resumed.delete(half);
    const at = this.#lively.indexOf(half);
    if (at >= 0) this.#lively.splice(at, 1);
    this.#forget(half.id);
    if (abandoned && !isOpenedBy(half.id, this.#host.side)) this.#countAbandoned();
  }

  #remember(half: QuicReceiveStream): void {
    if (this.#lively.includes(half)) return;
    if (this.#lively.length === MAX_LIVELY) this.#lively.shift();
    this.#lively.push(half);
  }

  #keep<S extends QuicStream>(stream: S): S {
    this.#streams.set(stream.id, stream);
    if (stream.send !== undefined) this.#senders.add(stream.send);
    return stream;
  }

  #forget(id: number): void {
    const stream = this.#streams.get(id);
    if (stream !== undefined && isFinished(stream)) this.#streams.delete(id);
  }

  /** Hands out a stream that the peer opened; without anybody to take it, it waits in quiche. */
  #adopt(id: number): QuicStream | undefined {
    const { onStream, side } = this.#host;
    if (onStream === undefined || isOpenedBy(id, side)) return undefined;
    const send = isUnidirectional(id) ? undefined : new QuicSendStream(id, this, true);
    const stream = this.#keep({ id, send, receive: new QuicReceiveStream(id, this) });
    onStream(stream);
    return stream;
  }

  #readResumed(native: NativeConnection): void {
    const halves = [...this.#resumed];
    this.#resumed.clear();
    for (const half of halves) {
      if (this.native === undefined) return;
      // A stream that this end opened and has not written to is nothing quiche could read from.
      if (this.#streams.get(half.id)?.send?.exists !== false) half.pump(native, this.#scratch);
    }
  }

  /**
   * quiche 0.18 never collects a stream of the peer that was stopped before its end, and does not give its place back. When
   * most places are lost that way, the connection is of no use any more, and a new one is better than one that hangs.
   */
  #countAbandoned(): void {
    this.#abandoned += 1;
    if (this.#abandoned > this.#maxStreams - Math.ceil(this.#maxStreams / 8)) {
      this.#host.fail(
        'UNAVAILABLE',
        'too many streams of this connection were stopped before their end; connect again',
      );
    }
  }

  #guard(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#onFault(error);
    }
  }
}

import type { NativeConnection } from './native.ts';
import type { QuicSendStream } from './send-stream.ts';

/** Most bytes that one stream hands over before others of its urgency have their turn. */
const QUANTUM_BYTES = 64 * 1024;
/** Streams looked at per turn when it is unknown which ones may go on. Bounds what thousands of stalled streams cost. */
const SWEEP_PER_TURN = 128;

/**
 * The sending halves of a connection that have something to hand to quiche.
 *
 *     fresh     written to since they were last tried: tried in the next turn, all of them
 *     blocked   did not get rid of everything: by the stream's window, or the network; tried again after packets arrived
 *     waiting   do not exist yet, because the peer allows no more streams now
 *
 * quiche does not tell which stream has room again other than in a list of all that have, so blocked streams are tried in
 * rounds of {@link SWEEP_PER_TURN}, urgent ones first.
 */
export class SendQueue {
  /** Set when writers shall not be called back any more. */
  quiet = false;
  readonly #fresh = new Set<QuicSendStream>();
  readonly #blocked = new Map<number, Set<QuicSendStream>>();
  readonly #waitingBidi = new Set<QuicSendStream>();
  readonly #waitingUni = new Set<QuicSendStream>();
  #sweep: Generator<QuicSendStream> | undefined;
  #sweepWanted = false;

  /** Whether another turn would do something now. */
  get busy(): boolean {
    return this.#fresh.size > 0 || this.#sweep !== undefined || this.#sweepWanted;
  }

  /** Takes in a half that was written to. @returns whether there is anything new to do */
  add(half: QuicSendStream): boolean {
    if (half.state !== 'idle') return half.state === 'fresh';
    half.state = 'fresh';
    this.#fresh.add(half);
    return true;
  }

  /** A half that the peer's limit keeps from existing. */
  addWaiting(half: QuicSendStream): void {
    half.state = 'waiting';
    this.#waitingFor(half).add(half);
  }

  /** Forgets a half that is finished. */
  remove(half: QuicSendStream): void {
    if (half.state === 'fresh') this.#fresh.delete(half);
    else if (half.state === 'waiting') this.#waitingFor(half).delete(half);
    else if (half.state === 'blocked') this.#leaveBlocked(half);
    half.state = 'idle';
  }

  /** Packets arrived or a timer fired: blocked streams may have room, and waiting ones may exist now. */
  roomMayHaveCome(native: NativeConnection): void {
    this.#sweepWanted = this.#blocked.size > 0;
    if (this.#waitingBidi.size > 0) this.#release(this.#waitingBidi, native.peerStreamsLeftBidi());
    if (this.#waitingUni.size > 0) this.#release(this.#waitingUni, native.peerStreamsLeftUni());
  }

  /**
   * Hands bytes to quiche, in order of urgency, until it takes no more, nothing is left, or the budget is used up.
   * @param budgetBytes most to hand over in this turn
   * @param scratch memory for small chunks that are copied together
   */
  hand(native: NativeConnection, budgetBytes: number, scratch: Buffer): void {
    let left = this.#handBlocked(native, budgetBytes, scratch);
    while (left > 0 && this.#fresh.size > 0) {
      const round = [...this.#fresh];
      if (round.length > 1) round.sort((a, b) => a.urgency - b.urgency);
      for (const half of round) {
        if (left <= 0) break;
        if (!this.#fresh.delete(half)) continue;
        left -= this.#try(half, native, Math.min(left, QUANTUM_BYTES), scratch);
      }
    }
  }

  #handBlocked(native: NativeConnection, budgetBytes: number, scratch: Buffer): number {
    let left = budgetBytes;
    if (this.#sweep === undefined && this.#sweepWanted) {
      this.#sweepWanted = false;
      this.#sweep = this.#eachBlocked();
    }
    for (let looked = 0; this.#sweep !== undefined && left > 0 && looked < SWEEP_PER_TURN; looked += 1) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = undefined;
        break;
      }
      left -= this.#try(next.value, native, Math.min(left, QUANTUM_BYTES), scratch);
    }
    return left;
  }

  /** Hands over what one half has, and puts it where it belongs afterwards. */
  #try(half: QuicSendStream, native: NativeConnection, maxBytes: number, scratch: Buffer): number {
    const before = half.state;
    half.state = 'idle';
    const taken = half.flush(native, maxBytes, scratch);
    // What the half says of itself: flush() sets 'blocked' or 'waiting' when it met a limit.
    const after = half.state as QuicSendStream['state'];
    // One that got rid of something goes to the end of its bucket, one that did not stays where it is.
    const stays = after === 'blocked' && taken === 0 && half.filedUrgency === half.urgency;
    if (before === 'blocked' && !stays) this.#leaveBlocked(half);
    if (after === 'blocked') this.#file(half);
    else if (after === 'waiting') this.#waitingFor(half).add(half);
    else if (half.pending) {
      half.state = 'fresh';
      this.#fresh.add(half);
    } else if (!this.quiet) half.tellWritable();
    return taken;
  }

  /** Lets the `count` streams with the lowest numbers be tried: the peer's limit is one on the number. */
  #release(waiting: Set<QuicSendStream>, count: number): void {
    if (count === 0) return;
    const lowest = [...waiting].sort((a, b) => a.id - b.id).slice(0, count);
    for (const half of lowest) {
      waiting.delete(half);
      half.state = 'idle';
      if (half.pending) this.add(half);
    }
  }

  #waitingFor(half: QuicSendStream): Set<QuicSendStream> {
    return (half.id & 2) === 0 ? this.#waitingBidi : this.#waitingUni;
  }

  #file(half: QuicSendStream): void {
    half.filedUrgency = half.urgency;
    this.#bucket(half.urgency).add(half);
  }

  #leaveBlocked(half: QuicSendStream): void {
    this.#blocked.get(half.filedUrgency)?.delete(half);
  }

  #bucket(urgency: number): Set<QuicSendStream> {
    let bucket = this.#blocked.get(urgency);
    if (bucket === undefined) {
      bucket = new Set();
      this.#blocked.set(urgency, bucket);
    }
    return bucket;
  }

  *#eachBlocked(): Generator<QuicSendStream> {
    const urgencies = [...this.#blocked.keys()].sort((a, b) => a - b);
    for (const urgency of urgencies) {
      const bucket = this.#bucket(urgency);
      yield* bucket;
      if (bucket.size === 0) this.#blocked.delete(urgency);
    }
  }
}

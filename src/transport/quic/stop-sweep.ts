import type { Clock } from '../../kernel/clock.ts';
import type { NativeConnection } from './native.ts';
import type { QuicSendStream } from './send-stream.ts';

/** Up to this many senders are all looked at in every turn in which packets arrived. */
const FEW = 64;
const PER_TURN = 128;
const INTERVAL_MS = 50;

/**
 * Finds the sending halves that the peer has stopped. quiche tells of a stop only when something is done with the stream, so
 * the idle ones must be asked: few at once, many in rounds that start at most every {@link INTERVAL_MS}.
 */
export class StopSweep {
  readonly #clock: Clock;
  #round: Iterator<QuicSendStream> | undefined;
  #lastStartMs = -Infinity;
  #wantedFrom = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** When the next round must start, monotonic milliseconds; Infinity when none must. */
  get dueMs(): number {
    return this.#wantedFrom;
  }

  /** Whether a round is under way and wants another turn. */
  get busy(): boolean {
    return this.#round !== undefined;
  }

  /** Packets arrived: somebody may have been stopped. */
  packetsArrived(native: NativeConnection, senders: ReadonlySet<QuicSendStream>): void {
    if (senders.size <= FEW) {
      for (const half of senders) half.checkStopped(native);
      return;
    }
    if (this.#wantedFrom === Infinity) {
      this.#wantedFrom = Math.max(this.#clock.monotonicMs(), this.#lastStartMs + INTERVAL_MS);
    }
  }

  /** Goes on with a round that is due or under way. */
  look(native: NativeConnection, senders: ReadonlySet<QuicSendStream>): void {
    if (this.#round === undefined) {
      if (this.#wantedFrom === Infinity || this.#clock.monotonicMs() < this.#wantedFrom) return;
      this.#lastStartMs = this.#wantedFrom;
      this.#wantedFrom = Infinity;
      this.#round = senders.values();
    }
    for (let looked = 0; looked < PER_TURN; looked += 1) {
      const next = this.#round.next();
      if (next.done === true) {
        this.#round = undefined;
        return;
      }
      next.value.checkStopped(native);
    }
  }
}

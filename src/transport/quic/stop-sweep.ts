import type { Clock } from '../../kernel/clock.ts';
import type { NativeConnection } from './native.ts';
import type { QuicSendStream } from './send-stream.ts';

/** Up to this many senders are all looked at in every turn in which packets arrived. */
const FEW = 64;
const PER_TURN = 1024;
/** A round may take this share of the time; it costs about 0.15 µs for each sender. */
const SHARE_OF_TIME = 0.1;

/**
 * Finds the sending halves that the peer has stopped. quiche tells of a stop only when something is done with the stream, so
 * the idle ones must be asked: few at once, many in rounds that are as frequent as {@link SHARE_OF_TIME} permits. A stop that is
 * found only after the peer has acknowledged its end, because the round trip is shorter than the rest between rounds, is told
 * with code 0.
 */
export class StopSweep {
  readonly #clock: Clock;
  #round: Iterator<QuicSendStream> | undefined;
  #startedMs = 0;
  #restUntilMs = -Infinity;
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
      this.#wantedFrom = Math.max(this.#clock.monotonicMs(), this.#restUntilMs);
    }
  }

  /** Goes on with a round that is due or under way. */
  look(native: NativeConnection, senders: ReadonlySet<QuicSendStream>): void {
    if (this.#round === undefined) {
      if (this.#wantedFrom === Infinity || this.#clock.monotonicMs() < this.#wantedFrom) return;
      this.#startedMs = this.#clock.monotonicMs();
      this.#wantedFrom = Infinity;
      this.#round = senders.values();
    }
    for (let looked = 0; looked < PER_TURN; looked += 1) {
      const next = this.#round.next();
      if (next.done === true) {
        this.#round = undefined;
        const nowMs = this.#clock.monotonicMs();
        this.#restUntilMs = nowMs + (nowMs - this.#startedMs) / SHARE_OF_TIME;
        return;
      }
      next.value.checkStopped(native);
    }
  }
}

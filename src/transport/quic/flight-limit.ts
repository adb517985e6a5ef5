import type { Clock } from '../../kernel/clock.ts';
import type { NativeConnection } from './native.ts';

/** Most bytes that one connection may have under way: enough for 5 Gbit/s over 100 ms. */
const MAX_FLIGHT_BYTES = 64 * 1024 * 1024;
/** The congestion window is looked at after this many bytes; a look costs about 6 µs. */
const SAMPLE_BYTES = 4 * 1024 * 1024;
const MIN_ROUND_TRIP_MS = 1;

/**
 * Bounds what a peer can make this end send by acknowledging packets that it did not receive. quiche before 0.24.4 believes such
 * acknowledgements and lets the congestion window grow without end (CVE-2025-4820, CVE-2025-4821). While the window is larger
 * than {@link MAX_FLIGHT_BYTES}, no more than that goes out per round trip.
 */
export class FlightLimit {
  /** When sending may go on, monotonic milliseconds; Infinity while nothing is held back. */
  resumeMs = Infinity;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  #sinceSample = 0;
  #limited = false;
  #roundTripMs = MIN_ROUND_TRIP_MS;
  #roundStartMs = 0;
  #sentInRound = 0;

  /** @param maxBytes most bytes under way */
  constructor(clock: Clock, maxBytes = MAX_FLIGHT_BYTES) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /** Bytes that may go out in this turn. */
  allowance(native: NativeConnection): number {
    if (this.#sinceSample >= SAMPLE_BYTES) this.#sample(native);
    if (!this.#limited) return Infinity;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#roundStartMs + this.#roundTripMs) {
      this.#roundStartMs = nowMs;
      this.#sentInRound = 0;
    }
    const left = this.#maxBytes - this.#sentInRound;
    this.resumeMs = left > 0 ? Infinity : this.#roundStartMs + this.#roundTripMs;
    return left;
  }

  /** Takes note of bytes that went out. */
  sent(bytes: number): void {
    this.#sinceSample += bytes;
    this.#sentInRound += bytes;
  }

  #sample(native: NativeConnection): void {
    this.#sinceSample = 0;
    const path = native.pathStats().find(({ active }) => active);
    if (path === undefined) return;
    const limited = path.cwnd > this.#maxBytes;
    if (limited && !this.#limited) {
      this.#roundStartMs = this.#clock.monotonicMs();
      this.#sentInRound = 0;
    }
    this.#limited = limited;
    this.#roundTripMs = Math.max(MIN_ROUND_TRIP_MS, path.rtt);
    if (!limited) this.resumeMs = Infinity;
  }
}

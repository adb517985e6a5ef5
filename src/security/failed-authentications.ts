import type { Clock } from '../kernel/clock.ts';
import { clientHost } from './client-host.ts';

/** What one place may get wrong at once without waiting. */
const BURST = 20;
/** And per second after that. */
const PER_SECOND = 5;
/** The longest wait, milliseconds. A place that goes on meanwhile only gets this one more often. */
const MAX_DELAY_MS = 2_000;
/** Places remembered; beyond that the one that has failed longest ago is forgotten. */
const MAX_PLACES = 10_000;

const INTERVAL_MS = 1_000 / PER_SECOND;

/**
 * Slows down whoever guesses: each place may fail {@link BURST} times at once and {@link PER_SECOND} times a second; the answer to
 * what is beyond waits for its turn. Only failures wait: whoever shows the right token from the same place is let in at once.
 *
 * @see generic cell rate algorithm: one time for each place, when its next failure would be on time
 */
export class FailedAuthentications {
  /** Failures so far. */
  failed = 0;
  /** Failures whose answer had to wait. */
  slowed = 0;
  readonly #clock: Clock;
  readonly #dueMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Places remembered. */
  get places(): number {
    return this.#dueMs.size;
  }

  /**
   * Somebody failed.
   * @param remoteAddress `host:port`
   * @returns how long the answer has to wait, milliseconds
   */
  note(remoteAddress: string): number {
    this.failed += 1;
    const place = clientHost(remoteAddress);
    const nowMs = this.#clock.monotonicMs();
    const latestMs = nowMs + BURST * INTERVAL_MS + MAX_DELAY_MS;
    const dueMs = Math.min(latestMs, Math.max(nowMs, this.#dueMs.get(place) ?? 0) + INTERVAL_MS);
    this.#dueMs.delete(place); // to the end of the order
    this.#dueMs.set(place, dueMs);
    this.#forgetOldest();
    const delayMs = Math.max(0, dueMs - nowMs - BURST * INTERVAL_MS);
    if (delayMs > 0) this.slowed += 1;
    return delayMs;
  }

  #forgetOldest(): void {
    if (this.#dueMs.size <= MAX_PLACES) return;
    for (const place of this.#dueMs.keys()) {
      this.#dueMs.delete(place);
      return;
    }
  }
}

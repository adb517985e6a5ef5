import type { Clock } from '../kernel/clock.ts';

/** Longest time whose bytes can be spent at once, seconds. */
const BURST_SECONDS = 1;

/**
 * Bounds bytes in the long run: a bucket that fills up evenly and may be overdrawn, since how much comes is known only afterwards.
 */
export class ByteRate {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  #left: number;
  #filledMs: number;

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#left = bytesPerSecond * BURST_SECONDS;
    this.#filledMs = clock.monotonicMs();
  }

  /** Counts bytes that have come. */
  spend(bytes: number): void {
    this.#fill();
    this.#left -= bytes;
  }

  /** Milliseconds until more may come; 0: now. */
  get waitMs(): number {
    this.#fill();
    return this.#left > 0 ? 0 : Math.ceil(((1 - this.#left) * 1000) / this.#bytesPerSecond);
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - this.#filledMs) * this.#bytesPerSecond) / 1000;
    this.#left = Math.min(this.#bytesPerSecond * BURST_SECONDS, this.#left + gained);
    this.#filledMs = nowMs;
  }
}

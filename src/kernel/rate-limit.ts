import type { Clock } from './clock.ts';

/** Bounds how often something happens: a bucket that fills up again evenly. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  #left: number;
  #filledMs: number;

  /**
   * @param perSecond how often in the long run
   * @param burst how often at once after a quiet time; default `perSecond`
   */
  constructor(clock: Clock, perSecond: number, burst = perSecond) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#left = burst;
    this.#filledMs = clock.monotonicMs();
  }

  /** Takes the right to do it once. @returns false when there is none left for now */
  take(): boolean {
    this.#fill();
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** Whether nothing was taken for so long that the bucket is full: it could as well be a new one. */
  get full(): boolean {
    this.#fill();
    return this.#left >= this.#burst;
  }

  /** Milliseconds until {@link take} succeeds again; 0: now. */
  get waitMs(): number {
    this.#fill();
    return this.#left >= 1 ? 0 : ((1 - this.#left) * 1_000) / this.#perSecond;
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#left = Math.min(this.#burst, this.#left + ((nowMs - this.#filledMs) * this.#perSecond) / 1_000);
    this.#filledMs = nowMs;
  }
}

import type { Clock } from '../../kernel/clock.ts';

/** Bounds how many answers per second go to senders that nothing is known about: a bucket that fills up again evenly. */
export class AnswerLimit {
  readonly #clock: Clock;
  readonly #perSecond: number;
  #left: number;
  #filledMs: number;

  /** @param perSecond also how many may go out at once after a quiet second */
  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#left = perSecond;
    this.#filledMs = clock.monotonicMs();
  }

  /** Takes the right to one answer. @returns false when there is none left for now */
  take(): boolean {
    const nowMs = this.#clock.monotonicMs();
    const refill = ((nowMs - this.#filledMs) * this.#perSecond) / 1_000;
    this.#left = Math.min(this.#perSecond, this.#left + refill);
    this.#filledMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}

import type { Clock, Timer } from '../../kernel/clock.ts';

const FIRST_MS = 500;
const MAX_MS = 10_000;

/** Has something tried until it works: after half a second, then after twice as long each time, at most ten seconds. */
export class HealTimer {
  readonly #clock: Clock;
  readonly #attempt: () => Promise<void>;
  #timer: Timer | undefined;
  #waitMs = FIRST_MS;
  #isStopped = false;

  /** @param attempt rejects when it did not work */
  constructor(clock: Clock, attempt: () => Promise<void>) {
    this.#clock = clock;
    this.#attempt = attempt;
  }

  /** To be called while no attempt is under way, nor planned. */
  begin(): void {
    if (this.#isStopped) return;
    this.#timer = this.#clock.setTimer(this.#waitMs, () => {
      this.#waitMs = Math.min(this.#waitMs * 2, MAX_MS);
      this.#attempt().then(
        () => (this.#waitMs = FIRST_MS),
        () => this.begin(),
      );
    });
  }

  /** Tries no more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}

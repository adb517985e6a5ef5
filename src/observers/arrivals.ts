import type { Clock, Timer } from '../kernel/clock.ts';

interface Waiting {
  readonly offset: number;
  readonly resolve: () => void;
  readonly timer: Timer;
}

/** Those who wait for a copy to come as far as some offset, or to begin at all. */
export class Arrivals {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the copy has come as far as `offset`, at the latest after `maxMs`. */
  wait(offset: number, maxMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(maxMs, () => this.#end(waiting));
      const waiting: Waiting = { offset, resolve, timer };
      this.#waiting.add(waiting);
    });
  }

  /** @param offset how far the copy is; Infinity: it comes no further */
  reached(offset: number): void {
    for (const waiting of this.#waiting) if (waiting.offset <= offset) this.#end(waiting);
  }

  #end(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    waiting.timer.cancel();
    waiting.resolve();
  }
}

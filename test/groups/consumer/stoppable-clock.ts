import type { Timer } from '../../../src/kernel/clock.ts';
import { FakeClock } from '../../support/fake-clock.ts';

/** The clock of a process that can be stopped for a while, as by SIGSTOP. */
export class StoppableClock extends FakeClock {
  #late: (() => void)[] | undefined;

  override setTimer(delayMs: number, callback: () => void): Timer {
    return super.setTimer(delayMs, () => {
      if (this.#late) this.#late.push(callback);
      else callback();
    });
  }

  /** Time goes on, and timers run only after that. */
  stop(ms: number): void {
    const late: (() => void)[] = [];
    this.#late = late;
    this.advance(ms);
    this.#late = undefined;
    for (const callback of late) callback();
  }
}

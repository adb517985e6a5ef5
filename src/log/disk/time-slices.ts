import type { Clock } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';

/** Work goes on for so long at most, ms; a piece of it between two questions takes less. */
const SLICE_MS = 1;

/**
 * Work that is not urgent, in slices: it rests at least as long as it works, so that what else the process does waits a
 * millisecond for it at most, and gets half of the time whatever there is to do.
 */
export class TimeSlices {
  readonly #clock: Clock;
  #endMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#endMs = clock.monotonicMs() + SLICE_MS;
  }

  /** To be asked often. @returns undefined while the slice lasts, else what to wait for */
  rest(): Promise<void> | undefined {
    return this.#clock.monotonicMs() < this.#endMs ? undefined : this.#rest();
  }

  async #rest(): Promise<void> {
    await delay(this.#clock, SLICE_MS);
    this.#endMs = this.#clock.monotonicMs() + SLICE_MS;
  }
}

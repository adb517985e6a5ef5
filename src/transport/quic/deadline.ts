import type { Clock, Timer } from '../../kernel/clock.ts';

/**
 * One timer for all deadlines of a connection, re-armed lazily: a later deadline leaves the armed timer as it is, which then
 * finds that it is early and sets itself anew. So a busy connection touches timers a few times a second, not per packet.
 */
export class Deadline {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #timer: Timer | undefined;
  #armedMs = 0;
  #dueMs = Infinity;

  /** @param onDue called at the deadline that was set last */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Moves the deadline. @param dueMs monotonic time; Infinity for none */
  set(dueMs: number): void {
    this.#dueMs = dueMs;
    if (dueMs === Infinity || (this.#timer !== undefined && this.#armedMs <= dueMs)) return;
    this.#arm();
  }

  /** Forgets the deadline and frees the timer. */
  clear(): void {
    this.#dueMs = Infinity;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#armedMs = this.#dueMs;
    // Timers have whole milliseconds and may fire a fraction early.
    const delayMs = Math.max(1, Math.ceil(this.#dueMs - this.#clock.monotonicMs()));
    this.#timer = this.#clock.setTimer(delayMs, this.#fire);
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    if (this.#dueMs === Infinity) return;
    if (this.#clock.monotonicMs() < this.#dueMs) {
      this.#arm();
      return;
    }
    this.#dueMs = Infinity;
    this.#onDue();
  };
}

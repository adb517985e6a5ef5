import type { Clock, Timer } from '../../src/kernel/clock.ts';

interface PendingTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that only moves when the test says so. Wall time and monotonic time can be moved apart. */
export class FakeClock implements Clock {
  #monotonicMs = 0;
  #wallMs: number;
  #order = 0;
  readonly #timers = new Set<PendingTimer>();

  /** @param wallMs wall-clock time to begin with, milliseconds since 1970 */
  constructor(wallMs = 1_700_000_000_000) {
    this.#wallMs = wallMs;
  }

  /** Timers that are set and not yet due. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  now(): number {
    // Whole, as the system's is: timers may be due in between.
    return Math.floor(this.#wallMs);
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Moves both times by `ms` and runs, in order of their time, the timers that become due, also those set on the way. */
  advance(ms: number): void {
    const end = this.#monotonicMs + ms;
    for (let timer = this.#nextDue(end); timer !== undefined; timer = this.#nextDue(end)) {
      this.#timers.delete(timer);
      this.#move(Math.max(timer.dueMs, this.#monotonicMs));
      timer.callback();
    }
    this.#move(end);
  }

  /** Time passes in which nothing can run: timers that become due are late. */
  stall(ms: number): void {
    this.#move(this.#monotonicMs + ms);
  }

  /** Sets wall-clock time without moving monotonic time, as an administrator or NTP does. */
  jumpTo(wallMs: number): void {
    this.#wallMs = wallMs;
  }

  #move(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }

  #nextDue(end: number): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > end) continue;
      if (
        next === undefined ||
        timer.dueMs < next.dueMs ||
        (timer.dueMs === next.dueMs && timer.order < next.order)
      ) {
        next = timer;
      }
    }
    return next;
  }
}

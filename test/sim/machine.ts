import type { Clock, Timer } from '../../src/kernel/clock.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { EventQueue } from './event-queue.ts';

/** Milliseconds since 1970 where simulated time is 0. */
const WALL_START_MS = 1_700_000_000_000;

/**
 * A computer: its clocks, and whether the process on it runs, is frozen or is gone.
 *
 * All that happens to a process comes through {@link post}: timers, messages, answers of the disk. While it is frozen that waits, and
 * its clocks go on; when it is gone that is lost.
 */
export class Machine {
  readonly name: string;
  readonly #events: EventQueue;
  readonly #random: SeededRandom;
  /** Monotonic milliseconds for each millisecond of real time. */
  readonly #rate: number;
  #wallOffsetMs = 0;
  /** Counts processes: what is for an earlier one is lost. */
  #process = 0;
  #isUp = true;
  #waiting: { readonly run: () => void; readonly isTimer: boolean }[] | undefined;
  /** Told of each thing that happens to the process. */
  onTouched: () => void = () => undefined;

  /** @param rate how fast its clock runs; 1 is right */
  constructor(name: string, events: EventQueue, random: SeededRandom, rate = 1) {
    this.name = name;
    this.#events = events;
    this.#random = random;
    this.#rate = rate;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get isFrozen(): boolean {
    return this.#waiting !== undefined;
  }

  /** Whether its process is running code now. */
  get isRunning(): boolean {
    return this.#isUp && !this.isFrozen;
  }

  /** Which process this is, counted from 0. */
  get process(): number {
    return this.#process;
  }

  /** A clock of the process that runs now; timers of a process that is gone never come. */
  get clock(): Clock {
    return {
      now: () => WALL_START_MS + this.#wallOffsetMs + Math.floor(this.#events.nowMs),
      monotonicMs: () => this.#events.nowMs * this.#rate,
      setTimer: (delayMs, callback) => this.#setTimer(delayMs, callback),
    };
  }

  /** Lets something happen to the process that runs now. */
  post(delayMs: number, run: () => void): void {
    const process = this.#process;
    this.#events.after(delayMs, () => this.#deliver(process, run, false));
  }

  /** Sets wall-clock time forward or back. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  freeze(): void {
    this.#waiting ??= [];
  }

  /** What has waited happens now: timers first or messages first, each in their order. */
  thaw(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    const process = this.#process;
    const timersFirst = this.#random.chance(0.5);
    const first = waiting.filter(({ isTimer }) => isTimer === timersFirst);
    const second = waiting.filter(({ isTimer }) => isTimer !== timersFirst);
    for (const { run } of [...first, ...second]) {
      this.#events.after(0, () => this.#deliver(process, run, false));
    }
  }

  /** Ends the process. */
  stop(): void {
    this.#isUp = false;
    this.#waiting = undefined;
    this.#process++;
  }

  /** Begins another process. */
  start(): void {
    this.#isUp = true;
  }

  #deliver(process: number, run: () => void, isTimer: boolean): void {
    if (process !== this.#process || !this.#isUp) return;
    if (this.#waiting) {
      this.#waiting.push({ run, isTimer });
      return;
    }
    this.onTouched();
    run();
  }

  #setTimer(delayMs: number, callback: () => void): Timer {
    const process = this.#process;
    let isCancelled = false;
    const ring = (): void => {
      if (!isCancelled) callback();
    };
    const event = this.#events.after(Math.max(0, delayMs) / this.#rate, () =>
      this.#deliver(process, ring, true),
    );
    return {
      cancel: () => {
        isCancelled = true;
        event.run = undefined;
      },
    };
  }
}

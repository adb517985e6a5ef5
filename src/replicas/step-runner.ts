import type { Clock, Timer } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';

/** What is done, and who is told of it. */
export interface StepRunnerOptions {
  readonly clock: Clock;
  /** Does the next thing that leads to what is wanted now; more is done when it has woken the runner itself. */
  readonly step: () => Promise<void>;
  /** How long to wait after a step that failed, milliseconds. */
  readonly waitMs: () => number;
  /** Told when the code is another than that of the step before; texts may differ each time. */
  readonly onFailed: (error: SluiceError) => void;
  /** All is done after a step that had failed. */
  readonly onRecovered: () => void;
}

/**
 * Takes one step at a time, another one after whatever was told meanwhile, and tries again what has failed.
 *
 *     wake wake wake        wake
 *      │ step ───────────────> step ──────> (failed) ── wait ──> step
 *
 * However much is told during a step, one step follows, which looks at the newest only; after a failure not before its wait is over, unless
 * something is told after it.
 */
export class StepRunner {
  readonly #options: StepRunnerOptions;
  #isWoken = false;
  #isStopped = false;
  #running: Promise<void> | undefined;
  #retry: Timer | undefined;
  #failure: SluiceError | undefined;

  constructor(options: StepRunnerOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Of the last step. */
  get failure(): SluiceError | undefined {
    return this.#failure;
  }

  /** There is something new; a step that waits to be tried again is not waited for. */
  wake(): void {
    this.#isWoken = true;
    if (this.#isStopped || this.#running) return;
    this.#retry?.cancel();
    this.#running = this.#run();
  }

  /** Resolves when all that was told is done. @throws {@link failure} */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
    if (this.#failure) throw this.#failure;
  }

  /** Takes no further step. @returns once the one under way is over; what it throws is told nobody */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#retry?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#mayStep()) {
        this.#isWoken = false;
        await this.#options.step();
      }
      this.#succeed();
    } catch (error) {
      // Not at once again, whatever was told meanwhile: it may be what the step itself has done, such as a claim that failed halfway.
      this.#fail(asSluiceError(error));
    }
    // In the same turn as the last look at what was told, so that nothing told is missed.
    this.#running = undefined;
  }

  #mayStep(): boolean {
    return this.#isWoken && !this.#isStopped;
  }

  #succeed(): void {
    if (this.#failure && !this.#isStopped) this.#options.onRecovered();
    this.#failure = undefined;
  }

  #fail(error: SluiceError): void {
    if (this.#isStopped) return;
    if (this.#failure?.code !== error.code) this.#options.onFailed(error);
    this.#failure = error;
    this.#retry = this.#options.clock.setTimer(this.#options.waitMs(), () => this.wake());
  }
}

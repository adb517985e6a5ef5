import { Backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import { StepRunner } from './step-runner.ts';

/** Waits after something could not be taken away. */
const RETRY = { minMs: 1000, maxMs: 60_000 };

/** How something is taken away. */
export interface Removal {
  /** What uses it still; it is taken away once all are settled. */
  readonly after?: readonly Promise<unknown>[];
  readonly remove: () => void | Promise<void>;
  /** Told when it fails with another code than before; it is tried again. */
  readonly onFailed: (error: SluiceError) => void;
}

/**
 * What topics and partitions leave behind that are not here any more, and is not put away yet.
 *
 * Each is tried until it is, or is dropped: a process that ends before leaves it to the next start, which knows less.
 */
export class Removals {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #runners = new Map<string, StepRunner>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Takes something away, in place of what was begun with that key. */
  begin(key: string, { after = [], remove, onFailed }: Removal): void {
    const backoff = new Backoff(RETRY, this.#random);
    const before = this.#runners.get(key)?.stop();
    const runner = new StepRunner({
      clock: this.#clock,
      step: async () => {
        await Promise.allSettled([before, ...after]);
        if (runner.isStopped) return;
        await remove();
        this.#forget(key, runner);
      },
      waitMs: () => backoff.nextMs(),
      onFailed,
      onRecovered: () => undefined,
    });
    this.#runners.set(key, runner);
    runner.wake();
  }

  /** It is wanted again: it is tried no more. @returns once no try is under way; whether it was begun and is there still */
  async drop(key: string): Promise<boolean> {
    const runner = this.#runners.get(key);
    if (!runner) return false;
    await runner.stop();
    const isLeft = this.#runners.get(key) === runner;
    this.#forget(key, runner);
    return isLeft;
  }

  /** Drops all whose key begins so. @returns as {@link drop} */
  async dropAll(prefix: string): Promise<void> {
    const keys = [...this.#runners.keys()].filter((key) => key.startsWith(prefix));
    await Promise.all(keys.map((key) => this.drop(key)));
  }

  /** Resolves when it is taken away, or somebody was told why it is not yet. */
  async settled(key: string): Promise<void> {
    await this.#runners
      .get(key)
      ?.settled()
      .catch(() => undefined);
  }

  /** Resolves when each is taken away, or somebody was told why it is not yet. */
  async allSettled(): Promise<void> {
    await Promise.all([...this.#runners.keys()].map((key) => this.settled(key)));
  }

  /** Tries nothing again; resolves when nothing is under way. */
  async close(): Promise<void> {
    await this.allSettled();
    await this.dropAll('');
  }

  #forget(key: string, runner: StepRunner): void {
    if (this.#runners.get(key) === runner) this.#runners.delete(key);
  }
}

import type { Clock } from '../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';

/** How the wait between attempts grows, milliseconds. */
export interface BackoffRange {
  /** Longest first wait. */
  readonly minMs: number;
  /** No wait is longer. */
  readonly maxMs: number;
}

/**
 * Exponential waits with jitter: the n-th is between half of and all of `minMs × 2^n`, never above `maxMs`, so that many
 * clients that lost the same broker do not come back in the same instant.
 */
export class Backoff {
  readonly #range: BackoffRange;
  readonly #random: Random;
  #failures = 0;

  constructor(range: BackoffRange, random: Random) {
    this.#range = range;
    this.#random = random;
  }

  /** The next wait, milliseconds. */
  nextMs(): number {
    const ceilingMs = Math.min(this.#range.maxMs, this.#range.minMs * 2 ** this.#failures);
    this.#failures += 1;
    return ceilingMs / 2 + (this.#random.fraction() * ceilingMs) / 2;
  }

  /** Something worked: the next wait is short again. */
  reset(): void {
    this.#failures = 0;
  }
}

/** Resolves after `delayMs`. @throws CANCELLED as soon as `signal` aborts */
export function abortableDelay(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      timer.cancel();
      reject(new SluiceError('CANCELLED', 'the wait was given up'));
    };
    const timer = clock.setTimer(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** `promise`, or the error of `onTimeout` when it has not settled after `timeoutMs`; the promise itself goes on. */
export function withDeadline<T>(
  clock: Clock,
  timeoutMs: number,
  promise: Promise<T>,
  onTimeout: () => SluiceError,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs, () => reject(onTimeout()));
    promise.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(asSluiceError(error));
      },
    );
  });
}

import type { Random } from './random.ts';

/** How the wait between attempts grows, milliseconds. */
export interface BackoffRange {
  /** Longest first wait. */
  readonly minMs: number;
  /** No wait is longer. */
  readonly maxMs: number;
}

/**
 * Exponential waits with jitter: the n-th is between half of and all of `minMs × 2^n`, never above `maxMs`, so that many that
 * lost the same node do not come back in the same instant.
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

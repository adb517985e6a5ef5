/** Upper ends of the buckets, milliseconds, inclusive: from a write into memory to a disk that hangs. */
const BOUNDS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000] as const;

/** How long something took, counted in fixed buckets: a few comparisons for each, and plain fields for whoever reads. */
export class DurationHistogram {
  readonly boundsMs: readonly number[] = BOUNDS_MS;
  /** One count for each bound, not cumulative, and one for what took longer than the last. */
  readonly counts: readonly number[];
  readonly #counts = new Array<number>(BOUNDS_MS.length + 1).fill(0);
  #sumMs = 0;

  constructor() {
    this.counts = this.#counts;
  }

  /** Milliseconds of all together. */
  get sumMs(): number {
    return this.#sumMs;
  }

  /** @param durationMs milliseconds with fractions */
  record(durationMs: number): void {
    let bucket = 0;
    while (bucket < BOUNDS_MS.length && durationMs > BOUNDS_MS[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#sumMs += durationMs;
  }
}

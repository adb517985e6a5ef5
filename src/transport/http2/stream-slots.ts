/** Places for the streams of one kind that an end may have open at once; streams beyond wait in order. */
export class StreamSlots {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #used = 0;
  #opened = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** The next stream's number within its kind: 0, 1, 2 … */
  next(): number {
    return this.#opened++;
  }

  /** Calls `grant` now or, when all places are taken, once one is free. @returns whether it was called */
  take(grant: () => void): boolean {
    if (this.#used >= this.#max) {
      this.#waiting.push(grant);
      return false;
    }
    this.#used += 1;
    grant();
    return true;
  }

  /** A stream that had a place is over. */
  release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#used -= 1;
  }
}

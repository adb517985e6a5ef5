/**
 * Places for the streams of one kind that an end may have open at once; streams beyond wait in order.
 *
 * @typeParam S a stream, known by its identity
 */
export class StreamSlots<S> {
  readonly #max: number;
  readonly #waiting = new Map<S, () => void>();
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
  take(stream: S, grant: () => void): boolean {
    if (this.#used >= this.#max) {
      this.#waiting.set(stream, grant);
      return false;
    }
    this.#used += 1;
    grant();
    return true;
  }

  /** A stream is over: its place goes to the one that has waited longest, or it waits no more. */
  release(stream: S): void {
    if (this.#waiting.delete(stream)) return;
    for (const [next, grant] of this.#waiting) {
      this.#waiting.delete(next);
      grant();
      return;
    }
    this.#used -= 1;
  }
}

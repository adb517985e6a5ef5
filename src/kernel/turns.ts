/** Characters of filters and names that are compared in one turn of the event loop; some two milliseconds. */
export const COMPARED_PER_TURN = 500_000;

/**
 * Turns of the event loop for work that is too long for one. Whoever has a lot to do does a bounded part and waits for the next turn; of all
 * who wait, one has each, in the order in which they came, so that what else the process does is never held up by more than one part.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];

  /** Resolves in a later turn of the event loop, that nobody else has got from here. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(this.#give);
    });
  }

  readonly #give = (): void => {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) setImmediate(this.#give);
  };
}

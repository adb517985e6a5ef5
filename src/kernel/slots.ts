/** Lets a bounded number of things happen at once; the rest wait in order. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param count how many at once */
  constructor(count: number) {
    this.#free = count;
  }

  /** Things that wait. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Does `work` when there is room for it now. @returns undefined when there is none */
  tryRun<T>(work: () => Promise<T>): Promise<T> | undefined {
    return this.#free > 0 ? this.run(work) : undefined;
  }

  /** Does `work` when it is its turn. @throws what it throws */
  async run<T>(work: () => T | Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** Bytes of records that a producer has taken and not yet answered for. */
export class SendRoom {
  readonly #maxBytes: number;
  #usedBytes = 0;
  #waiting: (() => void)[] = [];

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Whether another record is taken now, also one that is larger than what is left. */
  get available(): boolean {
    return this.#usedBytes < this.#maxBytes;
  }

  take(bytes: number): void {
    this.#usedBytes += bytes;
  }

  free(bytes: number): void {
    this.#usedBytes -= bytes;
    // Whoever waits goes on once a quarter is free, so as not to stop again at once.
    if (this.#waiting.length > 0 && this.#usedBytes * 4 <= this.#maxBytes * 3) this.release();
  }

  /** Resolves when there is room. */
  ready(): Promise<void> {
    return this.available ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets everybody go on: there is room, or no more to wait for. */
  release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/**
 * Asks one question at a time, however many want to know: who comes while it is being asked gets the next answer, because this one may be older
 * than he is.
 */
export class FreshAnswer<T> {
  readonly #ask: () => Promise<T>;
  #asking: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  /** @param ask must not throw */
  constructor(ask: () => Promise<T>) {
    this.#ask = ask;
  }

  /** What the answer is at some moment after this call. @throws what was said instead */
  get(): Promise<T> {
    if (!this.#asking) return this.#begin();
    this.#next ??= this.#asking.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  #begin(): Promise<T> {
    this.#next = undefined;
    const asking = this.#ask().finally(() => {
      if (this.#asking === asking) this.#asking = undefined;
    });
    this.#asking = asking;
    return asking;
  }
}

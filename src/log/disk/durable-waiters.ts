import type { SluiceError } from '../../kernel/errors.ts';

type Callback = (error: SluiceError | undefined) => void;

/** Who waits for offsets to become durable, or whatever else comes in their order, lowest first. */
export class DurableWaiters {
  readonly #offsets: number[] = [];
  readonly #callbacks: Callback[] = [];

  get length(): number {
    return this.#offsets.length;
  }

  /** Takes in somebody who waits for everything below `offset`. */
  add(offset: number, callback: Callback): void {
    let at = this.#offsets.length;
    // Nearly always the highest; only a repeated batch that is still under way waits for less.
    while (at > 0 && this.#offsets[at - 1]! > offset) at--;
    if (at === this.#offsets.length) {
      this.#offsets.push(offset);
      this.#callbacks.push(callback);
    } else {
      this.#offsets.splice(at, 0, offset);
      this.#callbacks.splice(at, 0, callback);
    }
  }

  /**
   * Tells everybody who waits for no more than `durableEnd`, in order.
   * @param why makes the error that they are told
   */
  reached(durableEnd: number, why?: () => SluiceError): void {
    let count = 0;
    while (count < this.#offsets.length && this.#offsets[count]! <= durableEnd) count++;
    if (count === 0) return;
    const told = this.#callbacks.splice(0, count);
    this.#offsets.splice(0, count);
    const error = why?.();
    for (const callback of told) callback(error);
  }

  /** Tells everybody that it will not happen; with `above` only those who wait for more than what is below that. */
  fail(error: SluiceError, above = -1): void {
    let count = 0;
    while (count < this.#offsets.length && this.#offsets[count]! <= above) count++;
    const told = this.#callbacks.splice(count);
    this.#offsets.length = count;
    for (const callback of told) callback(error);
  }
}

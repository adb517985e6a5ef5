import type { Lot } from './lot.ts';

/** Which records wait for another of their key: all but the first of each that is not done. */
export class KeyOrder {
  /** The newest of each key; the older ones hang on it. */
  readonly #newest = new Map<number, Lot>();

  /** Puts a lot with a key behind the others of its key; lots come in rising order. */
  add(lot: Lot): void {
    const newest = this.#newest.get(lot.keyHash);
    if (newest) {
      newest.after = lot;
      lot.before = newest;
    }
    this.#newest.set(lot.keyHash, lot);
  }

  /** A lot with a key is done. @returns the one that was directly behind it and is the first of its key now */
  remove(lot: Lot): Lot | undefined {
    const { before, after } = lot;
    if (before) before.after = after;
    if (after) after.before = before;
    else if (before) this.#newest.set(lot.keyHash, before);
    else this.#newest.delete(lot.keyHash);
    return before ? undefined : after;
  }
}

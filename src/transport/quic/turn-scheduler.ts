/** Something that has work to do once per turn. */
export interface TurnTaker {
  /** Whether it is in the list of the next turn; kept by the scheduler. */
  dirty: boolean;
  /** Does the work. Must not throw. */
  turn(): void;
}

/**
 * Gathers the connections that something happened to, and gives each one turn after all events of the tick are in: every
 * datagram that arrived is taken in first, so that one answer serves them all.
 */
export class TurnScheduler {
  #dirty: TurnTaker[] = [];
  #scheduled = false;

  /** Gives `taker` a turn soon; many marks before it are one turn. */
  mark(taker: TurnTaker): void {
    if (taker.dirty) return;
    taker.dirty = true;
    this.#dirty.push(taker);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const takers = this.#dirty;
    this.#dirty = [];
    for (const taker of takers) {
      taker.dirty = false;
      taker.turn();
    }
  };
}

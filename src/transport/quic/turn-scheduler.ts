/** Something that has work to do once per turn. */
export interface TurnTaker {
  /** Whether it is in the list of the next turn; kept by the scheduler. */
  dirty: boolean;
  /** Does the work; what is marked meanwhile is done with it. Must not throw. @returns whether it wants another turn */
  turn(): boolean;
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
      // Still dirty during its turn: what its callbacks do to it is part of this turn, not a reason for another.
      const again = taker.turn();
      taker.dirty = false;
      if (again) this.mark(taker);
    }
  };
}

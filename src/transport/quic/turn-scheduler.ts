/** Something that has work to do once per turn. */
export interface TurnTaker {
  /** Whether it is in the list of this or the next turn; kept by the scheduler. */
  dirty: boolean;
  /** First half of a turn: takes in what arrived and tells whom it is for. Must not throw. */
  takeIn(): void;
  /** Second half: sends what is to be sent. Must not throw. @returns whether it wants another turn */
  sendOut(): boolean;
}

/**
 * Gathers the connections that something happened to, and gives each one turn after all events of the tick are in: every
 * datagram that arrived is taken in first, so that one answer serves them all.
 *
 *     events of the tick ─> all take in ─> callbacks and promises run out ─> all send, last marked first
 *
 * What was received is acted upon before anything is sent: a message reaches its reader before the acknowledgement of its packet is
 * encrypted, and a subscriber, marked because a publisher was heard, is served before the publisher is answered.
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
    setImmediate(this.#takeIn);
  }

  readonly #takeIn = (): void => {
    const count = this.#dirty.length;
    for (let index = 0; index < count; index++) this.#dirty[index]!.takeIn();
    // A tick asked for by a microtask comes after all microtasks.
    queueMicrotask(this.#afterMicrotasks);
  };

  readonly #afterMicrotasks = (): void => {
    process.nextTick(this.#sendOut);
  };

  readonly #sendOut = (): void => {
    const takers = this.#dirty;
    this.#dirty = [];
    this.#scheduled = false;
    for (let index = takers.length - 1; index >= 0; index--) {
      const taker = takers[index]!;
      // Still dirty meanwhile: what its callbacks do to it is part of this turn, not a reason for another.
      const again = taker.sendOut();
      taker.dirty = false;
      if (again) this.mark(taker);
    }
  };
}

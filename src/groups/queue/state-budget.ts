import { CUT_MAX_BYTES, HELD_MAX_BYTES } from './held-bound.ts';

/** What a partition may hold when the node is full: some 70 records that are alone in their fate. With it a queue goes on, whatever others hold. */
export const SHARE_BYTES = 16 * 1024;

/** Beyond so many times what queues may hold nothing is offered at all, and runs are leased whole: as {@link CUT_MAX_BYTES} to {@link HELD_MAX_BYTES}. */
const OVER = CUT_MAX_BYTES / HELD_MAX_BYTES;

/** Those who wait for room are woken when so much of it is free: else each record that is done would wake all of them. */
const FREE = 1 / 16;

/**
 * Bounds what the states of queues take in memory, those of all coordinators of a node together: each partition has a bound of its own, and there may be
 * thousands.
 *
 *     0 ……………………… max ……………………… 9/8 max ………
 *       64 MiB each  │ offers: a share each │ none          what is held already may be more, and only shrinks
 *       72 MiB each  │ cuts: 72 MiB each    │ a share each
 *
 * What is stored already is held also beyond the bound, when this node begins to coordinate it: else its records would not be delivered.
 */
export class StateBudget {
  readonly #maxBytes: number;
  readonly #waiting = new Set<() => void>();
  #heldBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Of all partitions. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** What a partition holds before its state only shrinks: no settlement cuts a run in two, but acknowledgements. */
  get heldMaxBytes(): number {
    return this.#isFull ? SHARE_BYTES : HELD_MAX_BYTES;
  }

  /** What a partition holds before nothing new is offered in it. */
  get offerMaxBytes(): number {
    return this.#isOver ? 0 : this.heldMaxBytes;
  }

  /** What a partition holds before its runs are leased whole, and acknowledged from their ends only. */
  get cutMaxBytes(): number {
    return this.#isOver ? SHARE_BYTES : CUT_MAX_BYTES;
  }

  /** A partition holds so much more than before, or less. */
  change(bytes: number): void {
    this.#heldBytes += bytes;
    if (this.#waiting.size === 0 || this.#heldBytes > this.#maxBytes * (1 - FREE)) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once when there is room again, unless there is room now. @param wake only schedules */
  whenRoom(wake: () => void): void {
    if (this.#isFull) this.#waiting.add(wake);
  }

  /** Takes {@link whenRoom} back. */
  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  get #isFull(): boolean {
    return this.#heldBytes >= this.#maxBytes;
  }

  get #isOver(): boolean {
    return this.#heldBytes >= this.#maxBytes * OVER;
  }
}

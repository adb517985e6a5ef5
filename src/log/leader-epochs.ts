import type { LeaderEpoch } from './partition-log.ts';

/**
 * Which leader wrote what: an entry for each epoch that has records, oldest first.
 * @see KIP-101
 */
export class LeaderEpochs {
  #entries: LeaderEpoch[];

  constructor(entries: readonly LeaderEpoch[]) {
    this.#entries = [...entries];
  }

  get entries(): readonly LeaderEpoch[] {
    return this.#entries;
  }

  /** Takes note of a batch behind all others. */
  add(epoch: number, firstOffset: number): void {
    const last = this.#entries.at(-1);
    if (last === undefined || epoch > last.epoch) this.#entries.push({ epoch, firstOffset });
  }

  /** Forgets leaders of whose records none is at or above `offset`. */
  dropBefore(offset: number): void {
    const first = this.#entries.findLastIndex(({ firstOffset }) => firstOffset <= offset);
    if (first > 0) this.#entries = this.#entries.slice(first);
  }

  /** Forgets all. */
  clear(): void {
    this.#entries = [];
  }

  /** Forgets what begins at or above `offset`. */
  truncate(offset: number): void {
    this.#entries = this.#entries.filter(({ firstOffset }) => firstOffset < offset);
  }
}

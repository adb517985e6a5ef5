import { ByteBudget } from './byte-budget.ts';

/** The log that is shrunk stays the same until it has lost this share of its bytes: looking for the largest takes a look at all. */
const SHRINK_SHARE = 1 / 16;

/** A log that counts with a budget. */
export interface ShrinkingLog {
  readonly retainedBytes: number;
  /** Drops its oldest batch, unless it has only one. @returns whether it did */
  dropOldest(): boolean;
}

/**
 * The bound over all logs in memory: beyond it the largest of them drops its oldest batches, whoever appended. So one busy topic cannot
 * empty the others, and one that is published to rarely does not pay for what somebody else keeps.
 */
export class MemoryBudget extends ByteBudget {
  readonly #logs = new Set<ShrinkingLog>();
  #largest: ShrinkingLog | undefined;
  /** Below it another log may be the largest. */
  #leastBytes = 0;

  join(log: ShrinkingLog): void {
    this.#logs.add(log);
  }

  leave(log: ShrinkingLog): void {
    this.#logs.delete(log);
    if (this.#largest === log) this.#largest = undefined;
  }

  /** Makes logs drop batches until all fit, or each has only one left. */
  enforce(): void {
    while (this.excessBytes > 0) {
      const log = this.#findLargest();
      if (log?.dropOldest() === true) continue;
      if (!this.#dropAnywhere()) return;
    }
  }

  #findLargest(): ShrinkingLog | undefined {
    if (this.#largest && this.#largest.retainedBytes >= this.#leastBytes) return this.#largest;
    let largest: ShrinkingLog | undefined;
    for (const log of this.#logs) {
      if (log.retainedBytes > (largest?.retainedBytes ?? 0)) largest = log;
    }
    this.#largest = largest;
    this.#leastBytes = (largest?.retainedBytes ?? 0) * (1 - SHRINK_SHARE);
    return largest;
  }

  /** The largest is a single batch: the others have to go before it, largest first. */
  #dropAnywhere(): boolean {
    this.#largest = undefined;
    const logs = [...this.#logs].sort((a, b) => b.retainedBytes - a.retainedBytes);
    return logs.some((log) => log.dropOldest());
  }
}

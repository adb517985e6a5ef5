import type { GroupPartCounts } from './group-part.ts';

/** Counts of one kind of part, of all coordinators of a node. */
export interface Counted {
  /** How many there are. */
  readonly now: Readonly<Record<string, number>>;
  /** How many there have been since the node started. */
  readonly totals: Readonly<Record<string, number>>;
}

/** Adds up what parts count. What only ever rises stays when a part ends: a total that falls is none. */
export class CountedParts {
  readonly #gauges: ReadonlySet<string>;
  readonly #ended: Record<string, number> = {};

  /** @param gauges names of what goes up and down; all other counts only rise */
  constructor(gauges: readonly string[]) {
    this.#gauges = new Set(gauges);
  }

  /** A part ends that has counted this. */
  end(counts: GroupPartCounts): void {
    for (const [what, count] of Object.entries(counts)) {
      if (!this.#gauges.has(what)) this.#ended[what] = (this.#ended[what] ?? 0) + count;
    }
  }

  /** @param live what the parts count that go on */
  sum(live: readonly GroupPartCounts[]): Counted {
    const now: Record<string, number> = {};
    const totals = { ...this.#ended };
    for (const counts of live) {
      for (const [what, count] of Object.entries(counts)) {
        const sums = this.#gauges.has(what) ? now : totals;
        sums[what] = (sums[what] ?? 0) + count;
      }
    }
    return { now, totals };
  }
}

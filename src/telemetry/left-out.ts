import type { Clock } from '../kernel/clock.ts';

/** How often it is said what was left out, milliseconds. */
const SUMMARY_MS = 10_000;

/** Counts what a log leaves out because there is too much of it. */
export class LeftOut {
  readonly #clock: Clock;
  readonly #tell: (counts: Readonly<Record<string, number>>) => void;
  readonly #counts = new Map<string, number>();

  /** @param tell called ten seconds after the first that was left out, with how many there are by kind; then it begins anew */
  constructor(clock: Clock, tell: (counts: Readonly<Record<string, number>>) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** One more of this kind was left out. Kinds are few: all of them are kept until they are told. */
  count(kind: string): void {
    if (this.#counts.size === 0) this.#clock.setTimer(SUMMARY_MS, () => this.#summarize());
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  #summarize(): void {
    const counts = Object.fromEntries(this.#counts);
    this.#counts.clear();
    this.#tell(counts);
  }
}

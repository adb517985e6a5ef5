import type { Place } from './place.ts';

/** What a group has done of a partition. */
export interface Committed {
  /** The first that is not done. */
  readonly offset: number;
  /** The consumer's own. */
  readonly metadata: string;
  /** Milliseconds since 1970. */
  readonly committedMs: number;
}

/** What one group has committed: only what is stored. */
export class GroupOffsets {
  readonly #byPlace = new Map<Place, Committed>();
  /** Partitions of which something is being stored: how many times. */
  readonly #expected = new Map<Place, number>();

  get size(): number {
    return this.#byPlace.size;
  }

  /** Whether nothing is stored, and nothing is about to be. */
  get isNothing(): boolean {
    return this.#byPlace.size === 0 && this.#expected.size === 0;
  }

  get(place: Place): Committed | undefined {
    return this.#byPlace.get(place);
  }

  /** Whether something is stored, or will be before all that is appended from now on. */
  has(place: Place): boolean {
    return this.#byPlace.has(place) || this.#expected.has(place);
  }

  places(): Iterable<Place> {
    return this.#byPlace.keys();
  }

  /** Something of that partition is about to be stored. */
  expect(place: Place): void {
    this.#expected.set(place, (this.#expected.get(place) ?? 0) + 1);
  }

  /** What was expected is stored. Without effect when it was forgotten in between. */
  set(place: Place, committed: Committed): void {
    const expected = this.#expected.get(place);
    if (expected === undefined) return;
    if (expected === 1) this.#expected.delete(place);
    else this.#expected.set(place, expected - 1);
    this.#byPlace.set(place, committed);
  }

  /** Forgets what is, and what is about to be, committed. @returns of which partitions */
  forget(isGone: (place: Place) => boolean): Place[] {
    const gone = [...new Set([...this.#byPlace.keys(), ...this.#expected.keys()])].filter(isGone);
    for (const place of gone) {
      this.#byPlace.delete(place);
      this.#expected.delete(place);
    }
    return gone;
  }
}

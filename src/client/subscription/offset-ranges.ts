/** Half-open ranges of offsets, merged, in order. Small in practice: what arrived out of order and is not yet caught up with. */
export class OffsetRanges {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /** Number of separate ranges. */
  get count(): number {
    return this.#starts.length;
  }

  /** Adds [from, to). */
  add(from: number, to: number): void {
    if (to <= from) return;
    let first = 0;
    while (first < this.#ends.length && this.#ends[first]! < from) first++;
    let last = first;
    let start = from;
    let end = to;
    while (last < this.#starts.length && this.#starts[last]! <= to) {
      start = Math.min(start, this.#starts[last]!);
      end = Math.max(end, this.#ends[last]!);
      last++;
    }
    this.#starts.splice(first, last - first, start);
    this.#ends.splice(first, last - first, end);
  }

  has(offset: number): boolean {
    return this.containing(offset) !== undefined;
  }

  /** Whether all of [from, to) is there. */
  covers(from: number, to: number): boolean {
    return (this.containing(from) ?? from) >= to;
  }

  /** Whether any of [from, to) is there. */
  touches(from: number, to: number): boolean {
    return this.#starts.some((start, at) => start < to && this.#ends[at]! > from);
  }

  /** End of the range that holds `offset`; undefined when none does. */
  containing(offset: number): number | undefined {
    for (let at = 0; at < this.#starts.length; at++) {
      if (offset < this.#starts[at]!) return undefined;
      if (offset < this.#ends[at]!) return this.#ends[at];
    }
    return undefined;
  }

  /** Forgets everything below `offset`. */
  dropBelow(offset: number): void {
    while (this.#ends.length > 0 && this.#ends[0]! <= offset) {
      this.#starts.shift();
      this.#ends.shift();
    }
    if (this.#starts.length > 0 && this.#starts[0]! < offset) this.#starts[0] = offset;
  }

  /** A copy that does not change with this one. */
  clone(): OffsetRanges {
    const copy = new OffsetRanges();
    copy.#starts.push(...this.#starts);
    copy.#ends.push(...this.#ends);
    return copy;
  }
}

/** Something that will happen. */
export interface ScheduledEvent {
  readonly timeMs: number;
  /** Undefined once it is cancelled or has happened. */
  run: (() => void) | undefined;
}

interface Slot extends ScheduledEvent {
  readonly order: number;
}

/** Events in order of time; those of one time in the order in which they were scheduled. A binary heap. */
export class EventQueue {
  #nowMs = 0;
  #order = 0;
  readonly #heap: Slot[] = [];

  /** Time of the event that happened last, milliseconds from 0. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** @param delayMs from now; below 0 counts as 0 */
  after(delayMs: number, run: () => void): ScheduledEvent {
    const slot: Slot = { timeMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#heap.push(slot);
    this.#rise(this.#heap.length - 1);
    return slot;
  }

  /**
   * Moves time to the next event and lets it happen.
   * @returns false when there is none up to and with `endMs`; time is `endMs` then
   */
  step(endMs: number): boolean {
    for (let first = this.#heap[0]; first !== undefined && first.timeMs <= endMs; first = this.#heap[0]) {
      this.#removeFirst();
      const { run } = first;
      if (run === undefined) continue;
      first.run = undefined;
      this.#nowMs = first.timeMs;
      run();
      return true;
    }
    this.#nowMs = Math.max(this.#nowMs, endMs);
    return false;
  }

  #removeFirst(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const slot = heap[from]!;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(slot, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = slot;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const slot = heap[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, slot)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = slot;
  }
}

function isBefore(a: Slot, b: Slot): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.order < b.order);
}

import type { Lot } from './lot.ts';

/** Lots by `order`, the least first. A lot knows its place, so that any of them goes in the time of its depth. */
export class LotHeap {
  readonly #lots: Lot[] = [];

  get first(): Lot | undefined {
    return this.#lots[0];
  }

  /** The lot is in no heap. */
  push(lot: Lot, order: number): void {
    lot.order = order;
    this.#lots.push(lot);
    this.#rise(lot, this.#lots.length - 1);
  }

  /** The lot is in this heap. */
  remove(lot: Lot): void {
    const last = this.#lots.pop()!;
    const index = lot.heapIndex;
    lot.heapIndex = -1;
    if (last !== lot) this.#settle(last, index);
  }

  /** The lot is in this heap, and its order is another now. */
  reorder(lot: Lot, order: number): void {
    lot.order = order;
    this.#settle(lot, lot.heapIndex);
  }

  #settle(lot: Lot, index: number): void {
    const parent = this.#lots[(index - 1) >> 1];
    if (index > 0 && parent!.order > lot.order) this.#rise(lot, index);
    else this.#sink(lot, index);
  }

  #rise(lot: Lot, from: number): void {
    const lots = this.#lots;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = lots[above]!;
      if (parent.order <= lot.order) break;
      lots[index] = parent;
      parent.heapIndex = index;
      index = above;
    }
    lots[index] = lot;
    lot.heapIndex = index;
  }

  #sink(lot: Lot, from: number): void {
    const lots = this.#lots;
    const count = lots.length;
    let index = from;
    for (;;) {
      let below = index * 2 + 1;
      if (below >= count) break;
      if (below + 1 < count && lots[below + 1]!.order < lots[below]!.order) below++;
      const child = lots[below]!;
      if (child.order >= lot.order) break;
      lots[index] = child;
      child.heapIndex = index;
      index = below;
    }
    lots[index] = lot;
    lot.heapIndex = index;
  }
}

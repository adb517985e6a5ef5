import { LotHeap } from './lot-heap.ts';
import type { Lot, Shelf } from './lot.ts';

/** The lots by what they wait for, and how many records each shelf has. */
export class Shelves {
  /** The oldest offset first. */
  readonly ready = new LotHeap();
  /** The one that is ready first. */
  readonly delayed = new LotHeap();
  /** The one whose lease ends first. */
  readonly leased = new LotHeap();
  /** The oldest offset first. */
  readonly dead = new LotHeap();
  readonly #records: Record<Shelf, number> = {
    ...{ ready: 0, delayed: 0, behind: 0, taken: 0, leased: 0, dead: 0, moving: 0 },
  };

  records(shelf: Shelf): number {
    return this.#records[shelf];
  }

  /** The lot is on none. */
  put(lot: Lot, shelf: Shelf): void {
    lot.shelf = shelf;
    this.#records[shelf] += lot.end - lot.first;
    this.#heap(shelf)?.push(lot, orderOn(shelf, lot));
  }

  /** Takes the lot from its shelf; undefined when it is on none. */
  leave(lot: Lot): void {
    const { shelf } = lot;
    if (shelf === undefined) return;
    this.#records[shelf] -= lot.end - lot.first;
    this.#heap(shelf)?.remove(lot);
    lot.shelf = undefined;
  }

  /** A lot that is on a shelf gets other offsets: fewer, or some of a neighbour that was on the same shelf and left it. */
  resize(lot: Lot, first: number, end: number): void {
    const shelf = lot.shelf!;
    this.#records[shelf] += end - first - (lot.end - lot.first);
    const hasMoved = first !== lot.first;
    lot.first = first;
    lot.end = end;
    if (hasMoved && (shelf === 'ready' || shelf === 'dead')) this.#heap(shelf)!.reorder(lot, first);
  }

  #heap(shelf: Shelf): LotHeap | undefined {
    switch (shelf) {
      case 'ready':
        return this.ready;
      case 'delayed':
        return this.delayed;
      case 'leased':
        return this.leased;
      case 'dead':
        return this.dead;
      default:
        return undefined;
    }
  }
}

function orderOn(shelf: Shelf, lot: Lot): number {
  if (shelf === 'leased') return lot.deadlineMs;
  return shelf === 'delayed' ? lot.availableAtMs : lot.first;
}

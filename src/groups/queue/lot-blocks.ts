import type { Lot } from './lot.ts';

/** Offsets of a block; no lot reaches over its edges. Few enough that a place within a block is found and made in no time. */
const BLOCK_OFFSETS = 256;

/** Blocks that are asked for one by one. */
const PROBES_MAX = 64;

/** About what a lot and a block take in memory. */
const LOT_BYTES = 240;
const BLOCK_BYTES = 200;

/** Exclusive end of the block that `offset` is in. */
export function endOfBlock(offset: number): number {
  return (Math.floor(offset / BLOCK_OFFSETS) + 1) * BLOCK_OFFSETS;
}

/** The lots of `BLOCK_OFFSETS` neighbouring offsets, in rising order. */
interface Block {
  readonly number: number;
  readonly lots: Lot[];
  next: Block | undefined;
  previous: Block | undefined;
}

/**
 * All lots by offset: they do not overlap, and what none of them has is done or does not exist.
 *
 *     first → [ 0 … 255 ] → [ 5120 … 5375 ] → [ 5376 … ] ← last       blocks without a lot are not there
 */
export class LotBlocks {
  readonly #blocks = new Map<number, Block>();
  #first: Block | undefined = undefined;
  #last: Block | undefined = undefined;
  /** Where the last lot was sought: mostly where the next one is. */
  #recent: Block | undefined = undefined;
  #lotCount = 0;

  /** The one with the lowest offsets. */
  get first(): Lot | undefined {
    return this.#first?.lots[0];
  }

  get heldBytes(): number {
    return this.#lotCount * LOT_BYTES + this.#blocks.size * BLOCK_BYTES;
  }

  /** The lot that holds `offset`. */
  find(offset: number): Lot | undefined {
    const block = this.#blockOf(offset);
    if (!block) return undefined;
    const lot = block.lots[placeOf(block.lots, offset)];
    return lot && lot.first <= offset ? lot : undefined;
  }

  /** The lots that hold any of `[first, end)`, in rising order. What is done to them afterwards does not change the list. */
  within(first: number, end: number): Lot[] {
    const found: Lot[] = [];
    for (const lot of lotsFrom(this.#blockWithin(first, end), first)) {
      if (lot.first >= end) break;
      found.push(lot);
    }
    return found;
  }

  /** The lots that hold any offset from `from` on, in rising order. Nothing may change meanwhile. */
  from(from: number): Iterable<Lot> {
    return lotsFrom(this.#blockAtOrAfter(from), from);
  }

  /** The neighbour of a lot in its block that ends where the lot begins. */
  leftOf(lot: Lot): Lot | undefined {
    const { lots } = this.#blockOf(lot.first)!;
    const left = lots[placeOf(lots, lot.first) - 1];
    return left?.end === lot.first ? left : undefined;
  }

  /** Adds a lot that overlaps with none and lies within one block, which is there or comes after all others. */
  insert(lot: Lot): void {
    const { lots } = this.#blockOf(lot.first) ?? this.#append(lot.first);
    const last = lots[lots.length - 1];
    if (!last || last.first < lot.first) lots.push(lot);
    else lots.splice(placeOf(lots, lot.first), 0, lot);
    this.#lotCount++;
  }

  /** The lot is one of these. */
  remove(lot: Lot): void {
    const block = this.#blockOf(lot.first)!;
    const { lots } = block;
    if (lots[0] === lot) lots.shift();
    else lots.splice(placeOf(lots, lot.first), 1);
    this.#lotCount--;
    if (lots.length === 0) this.#unlink(block);
  }

  #blockOf(offset: number): Block | undefined {
    const number = Math.floor(offset / BLOCK_OFFSETS);
    if (this.#recent?.number === number) return this.#recent;
    const block = this.#blocks.get(number);
    if (block) this.#recent = block;
    return block;
  }

  /** The first block that may have lots of `[first, end)`. Few are asked for one by one: a walk would pass all that are open. */
  #blockWithin(first: number, end: number): Block | undefined {
    if (end - first > PROBES_MAX * BLOCK_OFFSETS) return this.#blockAtOrAfter(first);
    for (let offset = first; offset < end; offset = endOfBlock(offset)) {
      const block = this.#blockOf(offset);
      if (block) return block;
    }
    return undefined;
  }

  #blockAtOrAfter(offset: number): Block | undefined {
    const exact = this.#blockOf(offset);
    if (exact) return exact;
    const number = Math.floor(offset / BLOCK_OFFSETS);
    if (!this.#last || this.#last.number < number) return undefined;
    let block = this.#first;
    while (block && block.number < number) block = block.next;
    return block;
  }

  #append(offset: number): Block {
    const number = Math.floor(offset / BLOCK_OFFSETS);
    const block: Block = { number, lots: [], next: undefined, previous: this.#last };
    if (this.#last) this.#last.next = block;
    else this.#first = block;
    this.#last = block;
    this.#recent = block;
    this.#blocks.set(number, block);
    return block;
  }

  #unlink(block: Block): void {
    if (block.previous) block.previous.next = block.next;
    else this.#first = block.next;
    if (block.next) block.next.previous = block.previous;
    else this.#last = block.previous;
    if (this.#recent === block) this.#recent = undefined;
    this.#blocks.delete(block.number);
  }
}

function* lotsFrom(first: Block | undefined, from: number): Generator<Lot, void> {
  let index = first ? placeOf(first.lots, from) : 0;
  for (let block = first; block; block = block.next) {
    for (; index < block.lots.length; index++) yield block.lots[index]!;
    index = 0;
  }
}

/** Index of the first lot that ends after `offset`. */
function placeOf(lots: readonly Lot[], offset: number): number {
  if (lots[0] && lots[0].end > offset) return 0;
  let low = 1;
  let high = lots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lots[middle]!.end > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

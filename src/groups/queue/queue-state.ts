import { KeyOrder } from './key-order.ts';
import { endOfBlock, LotBlocks } from './lot-blocks.ts';
import { isAlike, Lot } from './lot.ts';
import {
  RUN_MAX_RECORDS,
  type DeadReason,
  type Move,
  type OffsetRun,
  type RecordDetails,
} from './queue-event.ts';
import type { StoredRun } from './queue-runs.ts';
import { Shelves } from './shelves.ts';

/** Of all texts that wait to be moved with their records, characters: a snapshot is one record of the log, with each of them. */
const TEXTS_MAX_CHARS = 1024 * 1024;

/**
 * The lots of one partition of a queue with all that is derived from them: the steps of which commands, and the replay of events, are made.
 *
 * Whoever lifts a lot from its shelf changes its fields and places it again, in the same turn.
 */
export class QueueState {
  readonly lots = new LotBlocks();
  readonly shelves = new Shelves();
  readonly moves = new Map<number, Move>();
  readonly #keys = new KeyOrder();
  cursor: number;
  nextGrant: number;
  nextMove = 1;
  #textBytes = 0;

  /** @param firstGrant no grant has a smaller number */
  constructor(cursor: number, firstGrant: number) {
    this.cursor = cursor;
    this.nextGrant = firstGrant;
  }

  get floor(): number {
    return this.lots.first?.first ?? this.cursor;
  }

  get heldBytes(): number {
    return this.lots.heldBytes + this.#textBytes;
  }

  /** New records, to be had at once; the cursor goes behind them. @throws RangeError below the cursor */
  offer(first: number, end: number): void {
    this.#add(new Lot(first, end));
  }

  /** A new record; the cursor goes behind it. @throws RangeError below the cursor */
  offerOne({ offset, availableAtMs, expiresAtMs, keyHash }: RecordDetails): void {
    const lot = new Lot(offset, offset + 1);
    lot.availableAtMs = availableAtMs ?? 0;
    lot.expiresAtMs = expiresAtMs ?? Infinity;
    lot.keyHash = keyHash ?? -1;
    this.#add(lot);
  }

  /** Records as they were stored; the cursor goes behind them. @throws RangeError below the cursor */
  restore(run: StoredRun): void {
    const lot = new Lot(run.first, run.end);
    lot.attempts = run.attempts;
    lot.grant = run.grant;
    lot.leaseMs = run.leaseMs;
    lot.availableAtMs = run.availableAtMs;
    lot.expiresAtMs = run.expiresAtMs;
    lot.keyHash = run.keyHash;
    lot.reason = run.reason;
    lot.text = run.text;
    this.#add(lot);
  }

  /** What lies below is done or does not exist; never goes back. */
  skipTo(cursor: number): void {
    if (cursor > this.cursor) this.cursor = cursor;
  }

  /** Cuts `[first, end)` out of a lot, as far as it has it, and takes that from its shelf. */
  lift(lot: Lot, first: number, end: number): Lot {
    if (first <= lot.first && end >= lot.end) {
      this.shelves.leave(lot);
      return lot;
    }
    const piece = lot.copy(Math.max(first, lot.first), Math.min(end, lot.end));
    this.#cutOut(lot, piece);
    this.lots.insert(piece);
    this.#textBytes += piece.text.length;
    return piece;
  }

  /** Puts a lot that is on no shelf where its fields say. It may become part of its neighbour. */
  place(lot: Lot): void {
    const shelf = shelfOf(lot);
    const left = lot.keyHash === -1 ? this.lots.leftOf(lot) : undefined;
    if (left?.shelf === shelf && isAlike(left, lot)) {
      this.#forget(lot);
      this.shelves.resize(left, left.first, lot.end);
    } else {
      this.shelves.put(lot, shelf);
    }
  }

  /** `[first, end)` of a lot is done, as far as it has it. */
  finish(lot: Lot, first: number, end: number): void {
    if (first > lot.first || end < lot.end) {
      this.#cutOut(lot, { first: Math.max(first, lot.first), end: Math.min(end, lot.end) });
      return;
    }
    this.shelves.leave(lot);
    this.#forget(lot);
    if (lot.keyHash === -1) return;
    const next = this.#keys.remove(lot);
    if (next?.shelf !== 'behind') return;
    this.shelves.leave(next);
    this.shelves.put(next, shelfOf(next));
  }

  /** Delayed records whose time has come are ready. */
  promote(wallMs: number): void {
    for (let lot = this.shelves.delayed.first; lot && lot.availableAtMs <= wallMs;) {
      this.shelves.leave(lot);
      this.shelves.put(lot, 'ready');
      lot = this.shelves.delayed.first;
    }
  }

  /** Begins a move of lots that can be lifted. */
  beginMove(move: Move): void {
    this.moves.set(move.id, move);
    this.nextMove = Math.max(this.nextMove, move.id + 1);
    for (const { first, end } of move.runs) {
      for (const lot of this.lots.within(first, end)) {
        if (lot.shelf === 'leased' || lot.shelf === 'moving') continue;
        const piece = this.lift(lot, first, end);
        piece.moveId = move.id;
        this.place(piece);
      }
    }
  }

  /** A move's records are done. @returns false for one that is not there */
  endMove(id: number): boolean {
    return this.#closeMove(id, (lot) => this.finish(lot, lot.first, lot.end));
  }

  /** A move's records are what they were. @returns false for one that is not there */
  cancelMove(id: number): boolean {
    return this.#closeMove(id, (lot) => {
      this.shelves.leave(lot);
      lot.moveId = 0;
      this.place(lot);
    });
  }

  /** Leases a lot that was lifted. */
  lease(lot: Lot, grant: number, leaseMs: number, deadlineMs: number): void {
    lot.attempts++;
    lot.availableAtMs = 0;
    lot.grant = grant;
    lot.leaseMs = leaseMs;
    lot.deadlineMs = deadlineMs;
    this.nextGrant = Math.max(this.nextGrant, grant + 1);
    this.place(lot);
  }

  /** A leased lot, lifted or not, is leased until so long after `steadyMs`. */
  renew(lot: Lot, leaseMs: number, steadyMs: number): void {
    this.shelves.leave(lot);
    lot.leaseMs = leaseMs;
    lot.deadlineMs = steadyMs + leaseMs;
    this.place(lot);
  }

  /** The lease of a lot that was lifted ends, and it is to be delivered again. */
  retry(lot: Lot, availableAtMs: number, released: boolean): void {
    endLease(lot);
    if (released) lot.attempts--;
    lot.availableAtMs = availableAtMs;
    this.place(lot);
  }

  /** The lease of a lot that was lifted ends, and it is a dead letter. @returns the text that is kept: none where there are too many */
  die(lot: Lot, reason: DeadReason, text: string): string {
    endLease(lot);
    lot.reason = reason;
    this.#textBytes -= lot.text.length;
    const kept = this.#textBytes + text.length <= TEXTS_MAX_CHARS ? text : '';
    this.#textBytes += kept.length;
    lot.text = kept;
    this.place(lot);
    return kept;
  }

  #closeMove(id: number, close: (lot: Lot) => void): boolean {
    const move = this.moves.get(id);
    if (!move) return false;
    this.moves.delete(id);
    for (const { first, end } of move.runs) {
      for (const lot of this.lots.within(first, end)) if (lot.moveId === id) close(lot);
    }
    return true;
  }

  /** Adds a lot behind all others, cut at the edges of blocks. */
  #add(lot: Lot): void {
    const { first, end } = lot;
    if (end - first > RUN_MAX_RECORDS) throw new RangeError(`${end - first} records are too many at once.`);
    if (first < this.cursor)
      throw new RangeError(`Offset ${first} was offered before: ${this.cursor} is next.`);
    this.cursor = end;
    if (lot.keyHash !== -1) this.#keys.add(lot);
    for (let from = first; from < end;) {
      const to = Math.min(end, endOfBlock(from));
      const piece = to - from === end - first ? lot : lot.copy(from, to);
      this.lots.insert(piece);
      this.#textBytes += piece.text.length;
      this.place(piece);
      from = to;
    }
  }

  /** Takes offsets out of a lot that keeps others, and its shelf. */
  #cutOut(lot: Lot, { first, end }: OffsetRun): void {
    if (first === lot.first) {
      this.shelves.resize(lot, end, lot.end);
      return;
    }
    const rest = end < lot.end ? lot.copy(end, lot.end) : undefined;
    this.shelves.resize(lot, lot.first, first);
    if (!rest) return;
    this.lots.insert(rest);
    this.#textBytes += rest.text.length;
    this.shelves.put(rest, lot.shelf!);
  }

  #forget(lot: Lot): void {
    this.lots.remove(lot);
    this.#textBytes -= lot.text.length;
  }
}

function endLease(lot: Lot): void {
  lot.grant = 0;
  lot.leaseMs = 0;
  lot.deadlineMs = Infinity;
}

function shelfOf(lot: Lot): 'ready' | 'delayed' | 'behind' | 'leased' | 'dead' | 'moving' {
  if (lot.moveId !== 0) return 'moving';
  if (lot.grant !== 0) return 'leased';
  if (lot.reason !== undefined) return 'dead';
  if (lot.before) return 'behind';
  return lot.availableAtMs > 0 ? 'delayed' : 'ready';
}

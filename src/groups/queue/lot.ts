import type { DeadReason, OffsetRun } from './queue-event.ts';

/**
 * Where a lot is. Only `taken` is nothing that its other fields say.
 *
 *     ready ⇄ taken → leased → done                  done: there is no lot
 *       ↑ ↖──────────────┘ └→ dead ⇄ taken → moving → done
 *     delayed, behind (another record of its key)
 */
export type Shelf = 'ready' | 'delayed' | 'behind' | 'taken' | 'leased' | 'dead' | 'moving';

/** Offsets `[first, end)` that share one past and one future. At least one. */
export class Lot implements OffsetRun {
  first: number;
  end: number;
  /** Undefined: on its way from one to another. */
  shelf: Shelf | undefined = undefined;
  /** Deliveries, with the one under way. */
  attempts = 0;
  /** 0: not leased. */
  grant = 0;
  leaseMs = 0;
  /** On the steady clock; while it is leased. */
  deadlineMs = Infinity;
  /** On the wall clock; 0: no matter. */
  availableAtMs = 0;
  /** On the wall clock; Infinity: never. */
  expiresAtMs = Infinity;
  /** -1: none. A lot with one has one record. */
  keyHash = -1;
  /** Its neighbours among the lots of its key. */
  before: Lot | undefined = undefined;
  after: Lot | undefined = undefined;
  /** Undefined: not dead. Stays while it moves. */
  reason: DeadReason | undefined = undefined;
  text = '';
  /** 0: does not move. */
  moveId = 0;
  /** Of the heap it is in: its order and its place; -1: in none. */
  order = 0;
  heapIndex = -1;

  constructor(first: number, end: number) {
    this.first = first;
    this.end = end;
  }

  get records(): number {
    return this.end - this.first;
  }

  /** Another that shares everything but its offsets, on no shelf. Not for one with a key. */
  copy(first: number, end: number): Lot {
    const lot = new Lot(first, end);
    lot.attempts = this.attempts;
    lot.grant = this.grant;
    lot.leaseMs = this.leaseMs;
    lot.deadlineMs = this.deadlineMs;
    lot.availableAtMs = this.availableAtMs;
    lot.expiresAtMs = this.expiresAtMs;
    lot.reason = this.reason;
    lot.text = this.text;
    lot.moveId = this.moveId;
    return lot;
  }
}

/** Whether two lots say the same about their records. */
export function isAlike(a: Lot, b: Lot): boolean {
  const sameLease = a.grant === b.grant && a.deadlineMs === b.deadlineMs && a.attempts === b.attempts;
  const sameTimes =
    a.leaseMs === b.leaseMs && a.availableAtMs === b.availableAtMs && a.expiresAtMs === b.expiresAtMs;
  const sameEnd = a.reason === b.reason && a.text === b.text && a.moveId === b.moveId;
  return sameLease && sameTimes && sameEnd && a.keyHash === -1 && b.keyHash === -1;
}

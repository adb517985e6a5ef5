import type { Lot, Shelf } from './lot.ts';
import type { DeadReason, OffsetRun } from './queue-event.ts';

/** What decides about redelivery. */
export interface RedeliverySettings {
  /** Deliveries before a record becomes a dead letter; 0: without end. */
  readonly maxAttempts: number;
  /** Before the second delivery; doubles for each after it. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

/** Records with the same past. */
export interface DeliveredRun extends OffsetRun {
  /** How often they were delivered, this time included where it is a lease. */
  readonly attempts: number;
}

/** Records that were leased together. */
export interface Grant {
  readonly grant: number;
  /** In rising order; `attempts` is 1 for the first delivery. Empty: none of them was to be had any more, and there is no grant. */
  readonly leases: readonly DeliveredRun[];
}

/** Records that want to be moved to the dead-letter topic. */
export interface DeadRun extends DeliveredRun {
  readonly reason: DeadReason;
  /** What the consumer said. */
  readonly text: string;
}

/** A run of records that are not done, and what they wait for. `taken`: {@link QueuePartition.take} gave them out. */
export interface OpenRun extends DeliveredRun {
  readonly state: Shelf;
  /** Where they are dead, or were when their move began. */
  readonly reason: DeadReason | undefined;
  readonly text: string;
}

/** Records that are not done, with all that is kept of them. Whether they move is said by the moves. */
export interface StoredRun extends OffsetRun {
  readonly attempts: number;
  /** 0: not leased. */
  readonly grant: number;
  readonly leaseMs: number;
  /** Milliseconds since 1970; 0: no matter. */
  readonly availableAtMs: number;
  /** Milliseconds since 1970; Infinity: never. */
  readonly expiresAtMs: number;
  /** -1: none. */
  readonly keyHash: number;
  readonly reason: DeadReason | undefined;
  readonly text: string;
}

/** How many records of the partition are in which state; those at and above the cursor are in none. */
export interface QueueCounts {
  /** To be had now; those taken included. */
  readonly ready: number;
  /** Wait for a time, or behind another of their key. */
  readonly delayed: number;
  readonly leased: number;
  /** Dead letters that are not moved yet, and moves under way. */
  readonly moving: number;
}

/** Adds a run behind others; it becomes part of the last one where that is like it and ends there. */
export function addDelivered(runs: DeliveredRun[], first: number, end: number, attempts: number): void {
  const last = runs[runs.length - 1];
  if (last?.end === first && last.attempts === attempts) {
    runs[runs.length - 1] = { first: last.first, end, attempts };
  } else {
    runs.push({ first, end, attempts });
  }
}

/** What `[from, to)` of a lot is, as far as it has it. */
export function openRun(lot: Lot, from: number, to: number): OpenRun {
  const { attempts, reason, text } = lot;
  const [first, end] = [Math.max(from, lot.first), Math.min(to, lot.end)];
  return { first, end, attempts, state: lot.shelf!, reason, text };
}

/** As {@link addDelivered}. */
export function addOpen(runs: OpenRun[], run: OpenRun): void {
  const last = runs[runs.length - 1];
  const follows = last?.end === run.first && last.state === run.state && last.attempts === run.attempts;
  if (follows && last.reason === run.reason && last.text === run.text) {
    runs[runs.length - 1] = { ...last, end: run.end };
  } else {
    runs.push(run);
  }
}

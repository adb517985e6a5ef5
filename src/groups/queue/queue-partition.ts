import type {
  DeadReason,
  Moment,
  Move,
  MoveIntent,
  OffsetRun,
  QueueEvent,
  RecordDetails,
} from './queue-event.ts';

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
  readonly state: 'ready' | 'delayed' | 'behind' | 'taken' | 'leased' | 'dead' | 'moving';
  /** Where they are dead, or were when their move began. */
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

/**
 * What a queue knows about one partition: which records are done, leased, delayed, dead. Pure: time is an argument, nothing is read or waited for.
 *
 * Below `floor` all is done; at and above `cursor` nothing was offered yet; between them each offset is in one state. Each command changes the
 * state at once and notes what it changed: {@link drainEvents} gives what has to be stored before anybody is told of it.
 *
 * A record's way: {@link offer} → {@link take} (reserves in memory only: its batch is being read) → {@link grant} → {@link ack}, or back.
 *
 * Settling commands return how many offsets of the range the grant did not hold any more; the others are settled.
 */
export declare class QueuePartition {
  /** @param cursor where the queue begins: the first record that it delivers */
  constructor(cursor: number, settings: RedeliverySettings);

  /** All below are done. */
  get floor(): number;
  /** Nothing at or above has been offered. */
  get cursor(): number;
  /** About what the state takes in memory, bytes. Who offers stops at a bound of its own. */
  get heldBytes(): number;
  counts(now: Moment): QueueCounts;
  /** Counts from the next decision on. */
  configure(settings: RedeliverySettings): void;

  /** New records `[first, end)`, to be had at once. What lies between the cursor and `first` does not exist. @throws RangeError below the cursor */
  offer(first: number, end: number): void;
  /** New records one by one: the offsets below `end` that are not among them do not exist. In rising order. @throws RangeError below the cursor */
  offerEach(end: number, records: readonly RecordDetails[]): void;
  /** Records that are gone: done, but for those leased or moving; the cursor goes to `end` at least. @returns how many were open, or were never offered */
  skip(first: number, end: number): number;
  /** Done, but for those leased or moving, and those at and above the cursor. @returns how many were not done */
  discard(first: number, end: number): number;

  /**
   * Ready records for a consumer, oldest first; nobody else gets them until they are granted, given back or gone. Those past their time to live
   * are done now, and not among them. Nothing of it is stored.
   */
  take(maxRecords: number, now: Moment): DeliveredRun[];
  /** Dead letters to be moved, oldest first; otherwise as {@link take}. */
  takeDead(maxRecords: number): DeadRun[];
  /** All of a range that are neither done, leased, moving nor taken; otherwise as {@link take}. */
  takeRange(first: number, end: number): OpenRun[];
  /** Ends {@link take}: of the range those that are taken are as before. */
  giveBack(first: number, end: number): void;

  /** Leases those of `runs` that are taken, together: one grant. `runs` in rising order. */
  grant(runs: readonly OffsetRun[], leaseMs: number, now: Moment): Grant;
  /** The grant was stored, and the consumer is told now: its leases begin anew, without an event. */
  answered(grant: number, now: Moment): void;
  ack(grant: number, first: number, end: number): number;
  /** Again after `delayMs`, or the backoff; dead after the last attempt. @param text for people, in the dead letter */
  nack(grant: number, first: number, end: number, now: Moment, delayMs?: number, text?: string): number;
  /** Dead at once. */
  reject(grant: number, first: number, end: number, text?: string): number;
  /** The lease ends `leaseMs` from now, also after a restart. */
  extend(grant: number, first: number, end: number, leaseMs: number, now: Moment): number;
  /** Ready at once, and the attempt does not count. */
  release(grant: number, first: number, end: number, now: Moment): number;

  /** Ends the leases whose time is over, as {@link nack} does. @returns records */
  expire(now: Moment): number;
  /** Milliseconds until a lease ends or a delayed record is ready; 0: one is due. Undefined: nothing waits for a time. */
  nextDueInMs(now: Moment): number | undefined;

  /** Begins to move records that are neither done, leased nor moving. @returns undefined when one of them cannot be had */
  beginMove(intent: MoveIntent): Move | undefined;
  /** Moves that are begun and not done, oldest first. After a restart they are done again. */
  moves(): Move[];
  /** Its records are done. Unknown ones are no error. */
  endMove(id: number): void;
  /** Its records are as before; only for a batch that was certainly not published. */
  cancelMove(id: number): void;

  /** Records from `from` on that are not done, in rising order, at most so many records. For browsing, and for rebuilding a move's batch. */
  open(from: number, maxRecords: number, now: Moment): OpenRun[];

  /** What has changed since the last call; neighbours of one kind are one event. */
  drainEvents(): QueueEvent[];
  /** Does what an event says that was stored; unfit parts of it are passed over. Notes nothing. */
  apply(event: QueueEvent): void;
  /** All is applied: time-outs of leases begin anew, in full. */
  start(now: Moment): void;
}

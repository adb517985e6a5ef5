import { nextOfTerm } from '../term.ts';
import { applyEvent } from './apply-event.ts';
import { EventBuffer, extendRuns } from './event-buffer.ts';
import { makesMore } from './held-bound.ts';
import type { Lot } from './lot.ts';
import type { Moment, Move, MoveIntent, OffsetRun, QueueEvent, RecordDetails } from './queue-event.ts';
import {
  addDelivered,
  addOpen,
  openRun,
  type DeadRun,
  type DeliveredRun,
  type Grant,
  type OpenRun,
  type QueueCounts,
  type RedeliverySettings,
} from './queue-runs.ts';
import { captureState, restoreState, type QueueSnapshot } from './queue-snapshot.ts';
import { QueueState } from './queue-state.ts';
import { Redelivery } from './redelivery.ts';

export type { DeadRun, DeliveredRun, Grant, OpenRun, QueueCounts, RedeliverySettings } from './queue-runs.ts';

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
export class QueuePartition {
  readonly #state: QueueState;
  readonly #events = new EventBuffer();
  readonly #redelivery: Redelivery;
  /** Of the coordinator that gives the grants. */
  #term: number | undefined;

  /**
   * @param cursor where the queue begins: the first record that it delivers
   * @param firstGrant no grant has a smaller number. A queue that is made anew, of a topic that is made anew, has the offsets of the one before again: only
   *   grants tell a token of that one from a lease of this one
   */
  constructor(cursor: number, settings: RedeliverySettings, firstGrant = 1) {
    this.#state = new QueueState(cursor, firstGrant);
    this.#redelivery = new Redelivery(this.#state, this.#events, settings);
    this.#events.add({ kind: 'advanced', cursor });
  }

  /** One that is as another was when it was captured; call {@link apply} for what came after that, then {@link start}. */
  static restore(snapshot: QueueSnapshot, settings: RedeliverySettings): QueuePartition {
    const partition = new QueuePartition(snapshot.cursor, settings);
    partition.#events.drain();
    restoreState(partition.#state, snapshot);
    return partition;
  }

  /** All below are done. */
  get floor(): number {
    return this.#state.floor;
  }

  /** Nothing at or above has been offered. */
  get cursor(): number {
    return this.#state.cursor;
  }

  /** About what the state takes in memory, bytes. Whoever asks for something keeps the bounds of `held-bound.ts`. */
  get heldBytes(): number {
    return this.#state.heldBytes;
  }

  /** Where the run begins that an open offset is in. */
  startOf(offset: number): number {
    return this.#state.lots.find(offset)?.first ?? offset;
  }

  /** Whether settling some of what a grant holds makes the state larger. @param isDone acknowledges them */
  settlingGrows(grant: number, first: number, end: number, isDone: boolean): boolean {
    return makesMore(this.#held(grant, first, end), first, end, isDone);
  }

  /** Whether the state becomes larger when what of a range is neither leased nor moving is done. */
  discardGrows(first: number, end: number): boolean {
    return makesMore(this.#unleased(first, end), first, end, true);
  }

  counts(now: Moment): QueueCounts {
    this.#state.promote(now.wallMs);
    const { shelves } = this.#state;
    return {
      ready: shelves.records('ready') + shelves.records('taken'),
      delayed: shelves.records('delayed') + shelves.records('behind'),
      leased: shelves.records('leased'),
      moving: shelves.records('dead') + shelves.records('moving'),
    };
  }

  /** Counts from the next decision on. */
  configure(settings: RedeliverySettings): void {
    this.#redelivery.settings = settings;
  }

  /**
   * New records `[first, end)`, to be had at once. What lies between the cursor and `first` does not exist.
   * @throws RangeError below the cursor, and for more than 2^26 at once
   */
  offer(first: number, end: number): void {
    this.#state.offer(first, end);
    this.#events.offered(first, end);
  }

  /** New records one by one: the offsets below `end` that are not among them do not exist. In rising order. @throws RangeError below the cursor */
  offerEach(end: number, records: readonly RecordDetails[]): void {
    for (const record of records) this.#state.offerOne(record);
    this.#state.skipTo(end);
    this.#events.add({ kind: 'offered-each', end, records });
  }

  /** Records that are gone: done, but for those leased or moving; the cursor goes to `end` at least. @returns how many were open, or were never offered */
  skip(first: number, end: number): number {
    const known = this.discard(first, end);
    const { cursor } = this.#state;
    if (end <= cursor) return known;
    this.#state.skipTo(end);
    this.#events.add({ kind: 'advanced', cursor: end });
    return known + end - Math.max(first, cursor);
  }

  /** Done, but for those leased or moving, and those at and above the cursor. @returns how many were not done */
  discard(first: number, end: number): number {
    let records = 0;
    for (const lot of this.#unleased(first, end)) records += this.#finish(lot, first, end);
    return records;
  }

  /**
   * Ready records for a consumer, oldest first; nobody else gets them until they are granted, given back or gone. Those past their time to live
   * are done now, and not among them. Nothing of it is stored.
   * @param cutMaxBytes a state that takes so much gives only whole runs
   */
  take(maxRecords: number, now: Moment, cutMaxBytes = Infinity): DeliveredRun[] {
    this.#state.promote(now.wallMs);
    const taken: DeliveredRun[] = [];
    const { ready } = this.#state.shelves;
    for (let left = maxRecords; left > 0 && ready.first;) {
      const lot = ready.first;
      if (lot.expiresAtMs <= now.wallMs) {
        this.#finish(lot, lot.first, lot.end);
        // The next of its key may be one whose time has come.
        this.#state.promote(now.wallMs);
        continue;
      }
      if (lot.records > left && this.heldBytes >= cutMaxBytes) break;
      const piece = this.#reserve(lot, lot.first, lot.first + left);
      left -= piece.records;
      addDelivered(taken, piece.first, piece.end, piece.attempts);
    }
    return taken;
  }

  /** Dead letters to be moved, oldest first; otherwise as {@link take}. */
  takeDead(maxRecords: number): DeadRun[] {
    const taken: DeadRun[] = [];
    const { dead } = this.#state.shelves;
    for (let left = maxRecords; left > 0 && dead.first;) {
      const piece = this.#reserve(dead.first, dead.first.first, dead.first.first + left);
      left -= piece.records;
      const { first, end, attempts, text } = piece;
      taken.push({ first, end, attempts, reason: piece.reason!, text });
    }
    return taken;
  }

  /** All of a range that are neither done, leased, moving nor taken; otherwise as {@link take}. */
  takeRange(first: number, end: number): OpenRun[] {
    const taken: OpenRun[] = [];
    for (const lot of this.#state.lots.within(first, end)) {
      const { shelf } = lot;
      if (shelf === 'leased' || shelf === 'moving' || shelf === 'taken') continue;
      const run = openRun(lot, first, end);
      this.#reserve(lot, first, end);
      taken.push(run);
    }
    return taken;
  }

  /** Ends {@link take}: of the range those that are taken are as before. */
  giveBack(first: number, end: number): void {
    for (const lot of this.#state.lots.within(first, end)) {
      if (lot.shelf === 'taken') this.#state.place(this.#state.lift(lot, first, end));
    }
  }

  /**
   * Leases those of `runs` that are taken, together: one grant.
   * @param runs in rising order
   * @param now leases last from its steady time on; infinite: from {@link answered} on
   */
  grant(runs: readonly OffsetRun[], leaseMs: number, now: Moment): Grant {
    const grant = nextOfTerm(this.#state.nextGrant, this.#term);
    const leases: DeliveredRun[] = [];
    const granted: OffsetRun[] = [];
    for (const { first, end } of runs) {
      for (const lot of this.#state.lots.within(first, end)) {
        if (lot.shelf !== 'taken') continue;
        const piece = this.#state.lift(lot, first, end);
        this.#state.lease(piece, grant, leaseMs, now.steadyMs + leaseMs);
        addDelivered(leases, piece.first, piece.end, piece.attempts);
        extendRuns(granted, piece.first, piece.end);
      }
    }
    if (leases.length > 0) this.#events.add({ kind: 'granted', grant, leaseMs, runs: granted });
    return { grant, leases };
  }

  /** The grant was stored, and the consumer is told now: what it still holds is leased anew, without an event. */
  answered({ grant, leases }: Grant, now: Moment): void {
    for (const { first, end } of leases) {
      for (const lot of this.#held(grant, first, end)) this.#state.renew(lot, lot.leaseMs, now.steadyMs);
    }
  }

  ack(grant: number, first: number, end: number): number {
    return this.#settle(grant, first, end, (lot) => this.#finish(lot, first, end));
  }

  /** Again after `delayMs`, or the backoff; dead after the last attempt. @param text for people, in the dead letter */
  nack(grant: number, first: number, end: number, now: Moment, delayMs?: number, text = ''): number {
    return this.#settle(grant, first, end, (lot) =>
      this.#redelivery.again(this.#state.lift(lot, first, end), now, delayMs, text),
    );
  }

  /** Dead at once. */
  reject(grant: number, first: number, end: number, text = ''): number {
    return this.#settle(grant, first, end, (lot) =>
      this.#redelivery.die(this.#state.lift(lot, first, end), 'rejected', text),
    );
  }

  /** The lease ends `leaseMs` from now, also after a restart. */
  extend(grant: number, first: number, end: number, leaseMs: number, now: Moment): number {
    return this.#settle(grant, first, end, (lot) => {
      const piece = this.#state.lift(lot, first, end);
      this.#events.extended(piece.first, piece.end, leaseMs);
      this.#state.renew(piece, leaseMs, now.steadyMs);
      return piece.records;
    });
  }

  /** Ready at once, and the attempt does not count. */
  release(grant: number, first: number, end: number): number {
    return this.#settle(grant, first, end, (lot) =>
      this.#redelivery.release(this.#state.lift(lot, first, end)),
    );
  }

  /** Ends the leases whose time is over, as {@link nack} does, and makes delayed records ready whose time has come. @returns how many leases ended */
  expire(now: Moment): number {
    let records = 0;
    const { leased } = this.#state.shelves;
    for (let lot = leased.first; lot && lot.deadlineMs <= now.steadyMs; lot = leased.first) {
      this.#state.shelves.leave(lot);
      records += this.#redelivery.again(lot, now, undefined, 'The lease ended without an answer.');
    }
    this.#state.promote(now.wallMs);
    return records;
  }

  /** Milliseconds until a lease ends or a delayed record is ready; 0: call {@link expire}. Undefined: nothing waits for a time. */
  nextDueInMs(now: Moment): number | undefined {
    const { leased, delayed } = this.#state.shelves;
    const lease = leased.first ? leased.first.deadlineMs - now.steadyMs : Infinity;
    const delay = delayed.first ? delayed.first.availableAtMs - now.wallMs : Infinity;
    const due = Math.min(lease, delay);
    return due === Infinity ? undefined : Math.max(0, due);
  }

  /** Begins to move records that are neither done, leased nor moving. @returns undefined when one of them cannot be had */
  beginMove(intent: MoveIntent): Move | undefined {
    for (const run of intent.runs) if (!this.#isFree(run)) return undefined;
    const move = { ...intent, id: this.#state.nextMove };
    this.#state.beginMove(move);
    this.#events.add({ kind: 'move-begun', move });
    return move;
  }

  /** Moves that are begun and not done, oldest first. After a restart they are done again. */
  moves(): Move[] {
    return [...this.#state.moves.values()];
  }

  /** Its records are done. Unknown ones are no error. */
  endMove(id: number): void {
    if (this.#state.endMove(id)) this.#events.add({ kind: 'move-done', id });
  }

  /** Its records are as before; only for a batch that was certainly not published. */
  cancelMove(id: number): void {
    if (this.#state.cancelMove(id)) this.#events.add({ kind: 'move-cancelled', id });
  }

  /** Records from `from` on that are not done, in rising order, at most so many records. For browsing, and for rebuilding a move's batch. */
  open(from: number, maxRecords: number, now: Moment): OpenRun[] {
    this.#state.promote(now.wallMs);
    const runs: OpenRun[] = [];
    let left = maxRecords;
    for (const lot of this.#state.lots.from(from)) {
      if (left <= 0) break;
      const run = openRun(lot, from, Math.max(from, lot.first) + left);
      left -= run.end - run.first;
      addOpen(runs, run);
    }
    return runs;
  }

  /** What has changed since the last call; neighbours of one kind are one event. */
  drainEvents(): QueueEvent[] {
    return this.#events.drain();
  }

  /** Does what an event says that was stored; unfit parts of it are passed over. Notes nothing. @throws RangeError for records that were offered before */
  apply(event: QueueEvent): void {
    applyEvent(this.#state, event);
  }

  /**
   * All is applied: time-outs of leases begin anew, in full.
   * @param term of the coordinator that gives the grants from now on: their numbers are others than those of the coordinators before, stored or not
   */
  start(now: Moment, term: number): void {
    this.#term = term;
    for (const lot of this.#state.lots.within(0, this.#state.cursor)) {
      if (lot.shelf === 'leased') this.#state.renew(lot, lot.leaseMs, now.steadyMs);
    }
  }

  /** All that has to be kept, without what waits in {@link drainEvents}' place: drain first. */
  capture(): QueueSnapshot {
    return captureState(this.#state);
  }

  #settle(grant: number, first: number, end: number, each: (lot: Lot) => number): number {
    let held = 0;
    for (const lot of this.#held(grant, first, end)) held += each(lot);
    return end - first - held;
  }

  #held(grant: number, first: number, end: number): Lot[] {
    const { lots } = this.#state;
    if (end - first > 1) {
      return lots.within(first, end).filter((lot) => lot.shelf === 'leased' && lot.grant === grant);
    }
    const lot = lots.find(first);
    return lot?.shelf === 'leased' && lot.grant === grant ? [lot] : [];
  }

  #unleased(first: number, end: number): Lot[] {
    const lots = this.#state.lots.within(first, end);
    return lots.filter(({ shelf }) => shelf !== 'leased' && shelf !== 'moving');
  }

  #reserve(lot: Lot, first: number, end: number): Lot {
    const piece = this.#state.lift(lot, first, end);
    this.#state.shelves.put(piece, 'taken');
    return piece;
  }

  #finish(lot: Lot, first: number, end: number): number {
    const from = Math.max(first, lot.first);
    const to = Math.min(end, lot.end);
    this.#events.done(from, to);
    this.#state.finish(lot, from, to);
    return to - from;
  }

  /** Whether all of a run can be moved. */
  #isFree({ first, end }: OffsetRun): boolean {
    let next = first;
    for (const lot of this.#state.lots.within(first, end)) {
      if (lot.first > next || lot.shelf === 'leased' || lot.shelf === 'moving') return false;
      next = lot.end;
    }
    return next >= end;
  }
}

import type { PartitionEntry } from '../coordination/cluster.ts';
import type { Clock } from '../kernel/clock.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { AckCallback, Acks } from './acknowledgements.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { BatchIntake } from './batch-intake.ts';
import type { FollowerLag, LeadershipStart } from './leadership.ts';
import type { OffsetReserve } from './offset-reserve.ts';
import type {
  AppendOutcome,
  LeaderPosition,
  PartitionParts,
  PartitionRole,
  PartitionSettings,
  PartitionWatcher,
  PublishTaker,
} from './partition-parts.ts';
import type { LogReader } from './log-reader.ts';
import { PartitionReaders } from './partition-readers.ts';
import type { Start } from './reader.ts';
import type { KeyPredicate, PartitionCounters, ReaderSource, Waiter } from './reader-source.ts';
import { Replica } from './replica.ts';

export type { AppendOutcome, PartitionParts, PublishTaker } from './partition-parts.ts';

/**
 * One node's replica of a partition, through all roles: the leader takes batches and gives them offsets, a follower takes what the leader has
 * stored; readers see what is below the high watermark, whatever the role.
 *
 *     idle ─ lead ─> leader ─ another leader, lease lost, data lost ─> idle ─ follow ─> follower
 *
 * Everything runs to its end within one call, so an append is never seen half done. A refused batch has changed nothing.
 */
export class Partition implements ReaderSource {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly inflatedMaxBytes: number;
  readonly clock: Clock;
  readonly log: PartitionLog;
  readonly counters: PartitionCounters;
  deletedTo = 0;
  readonly #intake: BatchIntake;
  readonly #readers: PartitionReaders;
  readonly #publishes: Acknowledgements;
  readonly #replica: Replica;
  readonly #watchers = new Set<PartitionWatcher>();
  #reserve: OffsetReserve | undefined;
  #closed = false;
  #closing: void | Promise<void> = undefined;

  constructor(parts: PartitionParts) {
    this.topic = parts.topic;
    this.topicId = parts.topicId;
    this.partition = parts.partition;
    this.inflatedMaxBytes = parts.inflatedMaxBytes;
    this.clock = parts.clock;
    this.log = parts.log;
    this.counters = parts.counters;
    this.#intake = new BatchIntake(parts);
    this.#readers = new PartitionReaders(this, parts.scanBudget);
    this.#publishes = new Acknowledgements(this);
    this.#replica = new Replica({
      ...{ topicId: this.topicId, partition: this.partition, clock: this.clock, log: this.log },
      onRisen: () => this.#readers.wake(),
      onFallen: (end) => this.#readers.cutOff(end),
      onLogFailed: (error) => this.#publishes.fail(error, this.log.durableEnd),
      onNews: () => this.#news(),
    });
    this.log.retainedFrom = () => this.#replica.highWatermark;
    this.log.isEverywhere = () => this.#replica.isComplete;
    this.log.onLoss = (end) => {
      this.#replica.lose(end);
      parts.onLoss?.(end);
    };
  }

  get role(): PartitionRole {
    return this.#replica.role;
  }

  /** Of the state that this replica leads, follows, or waits in. */
  get leaderEpoch(): number {
    return this.#replica.epoch;
  }

  /** Node ids, preferred leader first, as far as is known here. */
  get replicas(): readonly string[] {
    return this.#replica.replicas;
  }

  /** Node ids of the in-sync replicas, as far as is known here. */
  get isr(): readonly string[] {
    return this.#replica.isr;
  }

  /** Leader: how far each of the other replicas is behind; empty in another role. */
  get followers(): readonly FollowerLag[] {
    return this.#replica.leadership?.followers ?? [];
  }

  get logStart(): number {
    return this.log.logStart;
  }

  /** Exclusive. */
  get logEnd(): number {
    return this.log.logEnd;
  }

  /**
   * Exclusive offset up to which readers see the log. Falls only where a log has lost what it had promised or, as a follower, goes back behind it.
   */
  get highWatermark(): number {
    return this.#replica.highWatermark;
  }

  /** See `Replica.unconfirmedEnd`. */
  get unconfirmedEnd(): number {
    return this.#replica.unconfirmedEnd;
  }

  get retainedBytes(): number {
    return this.log.retainedBytes;
  }

  /** Why it takes no batches now, whatever its role. */
  get failure(): SluiceError | undefined {
    return this.log.failure;
  }

  /** Readers open now. */
  get readers(): number {
    return this.#readers.size;
  }

  /** See `PartitionReaders.isRead`. */
  get isRead(): boolean {
    return this.#readers.isRead;
  }

  /** Called when somebody begins to read this copy; set by who follows the leader for it. */
  get onRead(): (() => void) | undefined {
    return this.#readers.onRead;
  }

  set onRead(callback: (() => void) | undefined) {
    this.#readers.onRead = callback;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Begins to lead in an epoch that this node has claimed.
   * @throws TypeError when the epoch is not later than the last; TOPIC_NOT_FOUND after close
   */
  lead(start: LeadershipStart): void {
    this.#checkOpen();
    this.#reserve = start.reserve;
    this.#replica.lead(start);
  }

  /**
   * Follows the leader of an epoch: takes only what {@link appendReplicated} brings. Waiting publishes are answered UNAVAILABLE.
   * @param epoch one that is over already is none
   */
  follow(epoch: number): void {
    this.#replica.follow(epoch);
  }

  /**
   * There is no leader now, or not this one any more. Waiting publishes are answered UNAVAILABLE.
   * @param epoch one that is over already is none
   */
  idle(epoch: number): void {
    this.#replica.idle(epoch);
  }

  /** Takes over a stored state; one with another leader than this ends leading. */
  stateChanged(entry: PartitionEntry): void {
    this.#replica.stateChanged(entry);
  }

  /**
   * Appends a batch of a producer, and tells `taker` once it may be answered: often before this returns. Never throws.
   *
   * @param batch as for {@link append}
   * @param publish what `taker` knows it by
   */
  publish<T>(batch: Buffer, acks: Acks, taker: PublishTaker<T>, publish: T): void {
    let outcome: AppendOutcome;
    try {
      outcome = this.append(batch, acks);
    } catch (error) {
      this.whenCertain(asSluiceError(error), (certain) => taker.refused(publish, certain));
      return;
    }
    if (this.isAcknowledged(outcome.nextOffset, acks)) taker.stored(publish, outcome, this.partition);
    else this.#answerLater(outcome, acks, taker, publish);
  }

  /**
   * Checks, stamps and appends a batch, and wakes the readers that wait for it.
   *
   * @param batch exactly one batch as a client sent it; ownership passes, also when it is refused
   * @param acks how its producer wants it acknowledged
   * @returns where it was stored, now or before; acknowledged only when {@link whenAcknowledged} says so
   * @throws NOT_LEADER; NOT_ENOUGH_REPLICAS with `acks` 2; CORRUPT_BATCH, BATCH_TOO_LARGE, UNKNOWN_CODEC, UNSUPPORTED (see `verifyBatch`);
   *   PRODUCER_FENCED, UNKNOWN_PRODUCER, OUT_OF_ORDER_SEQUENCE (see `ProducerWindow`); STORAGE_FULL, STORAGE_FAILED, OVERLOADED;
   *   TOPIC_NOT_FOUND after close
   */
  append(batch: Buffer, acks: Acks = 1): AppendOutcome {
    this.#checkOpen();
    const refusal = this.refusal(acks) ?? this.log.failure;
    if (refusal) throw refusal;
    const outcome = this.#intake.append(batch, this.leaderEpoch, this.#reserve);
    if (outcome.kind === 'appended') this.#replica.logMoved();
    return outcome;
  }

  /**
   * Calls back with what a producer is to be told when {@link append} has refused its batch: that or NOT_LEADER.
   *
   * A leader that was deposed and has not heard of it yet knows nothing of what producers have sent since. So what it says of their sequences,
   * which is final to them, is told only once it is certain that it still led when it said so.
   */
  whenCertain(refusal: SluiceError, callback: (error: SluiceError) => void): void {
    const { leadership } = this.#replica;
    if (refusal.code !== 'OUT_OF_ORDER_SEQUENCE' && refusal.code !== 'UNKNOWN_PRODUCER') callback(refusal);
    else if (!leadership) callback(this.#notLeader());
    else void leadership.isConfirmed().then((leads) => callback(leads ? refusal : this.#notLeader()));
  }

  /** Why nothing is taken and acknowledged now: NOT_LEADER; NOT_ENOUGH_REPLICAS with `acks` 2. */
  refusal(acks: Acks): SluiceError | undefined {
    const { leadership } = this.#replica;
    return leadership ? leadership.refusal(acks) : this.#notLeader();
  }

  /** Whether a publish that ends at `nextOffset` may be answered now. */
  isAcknowledged(nextOffset: number, acks: Acks): boolean {
    return this.#publishes.isReached(nextOffset, acks);
  }

  /**
   * Calls back when a publish that ends at `nextOffset` may be answered, or with why it will not be, at once where that is known.
   *
   * With `acks` 1 when it is as durable here as the topic promises, with 2 when it is so on all in-sync replicas and there are enough of
   * them. It fails with UNAVAILABLE when this node leads no more or too few are in sync, or with what the log says: then the batch may be
   * stored all the same. With 2 it fails with GAP when retention has taken the batch before it was known that all in-sync replicas had it.
   */
  whenAcknowledged(nextOffset: number, acks: Acks, callback: AckCallback): void {
    this.#publishes.whenReached(nextOffset, acks, callback);
  }

  /**
   * Follower: takes in batches as the leader has stored them, and how far its readers may see.
   *
   * @param batches in order, without those that are here already; may be none. Not looked into, but for header and CRC
   * @throws CORRUPT_BATCH, STORAGE_FULL, STORAGE_FAILED, UNAVAILABLE: the batches before that one are appended
   */
  appendReplicated(batches: readonly Buffer[], leader: LeaderPosition): void {
    this.#checkOpen();
    if (this.role !== 'follower') throw new TypeError(`a replica that is ${this.role} follows nobody`);
    this.#replica.tell(leader);
    try {
      for (const batch of batches) this.#intake.replicate(batch);
    } finally {
      this.#replica.logMoved();
    }
  }

  /** Not as leader: takes back what is at or above `offset`. @throws STORAGE_FULL, STORAGE_FAILED */
  truncateTo(offset: number): void | Promise<void> {
    this.#checkNotLeading();
    return this.#replica.truncateTo(offset);
  }

  /** Not as leader: forgets all, and begins anew at `offset`. @throws STORAGE_FULL, STORAGE_FAILED */
  resetTo(offset: number): void | Promise<void> {
    this.#checkNotLeading();
    return this.#replica.resetTo(offset);
  }

  /**
   * Leader: deletes what is below `offset`; readers that have not come so far get a gap.
   * @param offset at most the high watermark
   * @throws OFFSET_OUT_OF_RANGE, NOT_LEADER; TOPIC_NOT_FOUND after close
   */
  deleteBefore(offset: number): void {
    this.#checkOpen();
    const refusal = this.refusal(1);
    if (refusal) throw refusal;
    this.checkVisible(offset);
    this.deletedTo = Math.max(this.deletedTo, offset);
    this.log.deleteBefore(offset);
    this.#replica.leadership?.deletedBelow(offset);
    this.#news();
  }

  /** @throws OFFSET_OUT_OF_RANGE when `offset` is above the high watermark */
  checkVisible(offset: number): void {
    if (offset <= this.highWatermark) return;
    throw new SluiceError(
      'OFFSET_OUT_OF_RANGE',
      `offset ${offset} of ${this.topic}/${this.partition} is above the end, ${this.highWatermark}`,
    );
  }

  /**
   * Opens a cursor, which stays open through all roles.
   *
   * @param keep which records the reader wants; undefined: all, and batches pass untouched
   * @param asker who waits where it takes a promise
   * @returns a promise only where the log is on disk and has to be searched
   * @throws OFFSET_OUT_OF_RANGE when the start is above the log end; INVALID_ARGUMENT; TOPIC_NOT_FOUND after close; CANCELLED when `asker` went before
   *   the log was searched
   */
  openReader(start: Start, keep?: KeyPredicate, asker?: Asker): LogReader | Promise<LogReader> {
    return this.#readers.open(start, keep, asker);
  }

  /**
   * Opens a cursor at an offset that is the partition's, whether or not this copy has come so far; until then there is nothing to read.
   * @throws TOPIC_NOT_FOUND after close
   */
  openReaderAt(offset: number, keep?: KeyPredicate): LogReader {
    return this.#readers.openAt(offset, keep);
  }

  /** Takes over a cursor from another copy of the partition: it goes on at its offset, and its owner notices nothing. @throws TOPIC_NOT_FOUND after close */
  adopt(reader: LogReader): void {
    this.#readers.adopt(reader);
  }

  /** Another node reads this copy. */
  noteRead(): void {
    this.#readers.note();
  }

  /**
   * The first offset that a reader beginning at `start` would want.
   * @throws as {@link openReader}
   */
  offsetAt(start: Start, asker?: Asker): number | Promise<number> {
    return this.#readers.offsetAt(start, asker);
  }

  /** Why a follower of `epoch` gets nothing here; undefined: it does. */
  fetchRefusal(epoch: number): ErrorCode | undefined {
    if (this.#closed || epoch > this.leaderEpoch) return 'UNAVAILABLE';
    if (epoch < this.leaderEpoch || this.role !== 'leader') return 'NOT_LEADER';
    return this.refusal(1) && 'UNAVAILABLE';
  }

  /** Leader: takes in how far a follower is; see `Leadership.report`. */
  reportFollower(nodeId: string, durableOffset: number, durableStart: number): void {
    const { highWatermark } = this;
    this.#replica.report(nodeId, durableOffset, durableStart);
    if (this.highWatermark > highWatermark) this.#news();
  }

  /** Leader: whether what is below `offset` is deleted for good on all other in-sync replicas; see `Leadership.isDeletedBelow`. */
  isDeletedBelow(offset: number): boolean {
    return this.#replica.leadership?.isDeletedBelow(offset) ?? false;
  }

  /** Leader: a follower that does not keep up for so long leaves the in-sync replicas, milliseconds; 0 where this node does not lead. */
  get maxLagMs(): number {
    return this.#replica.leadership?.maxLagMs ?? 0;
  }

  /** Leader: whether it is one of the stored in-sync replicas. */
  isInsync(nodeId: string): boolean {
    return this.#replica.leadership?.isInsync(nodeId) ?? false;
  }

  /** Tells `watcher` of news until {@link unwatch}. */
  watch(watcher: PartitionWatcher): void {
    this.#watchers.add(watcher);
  }

  unwatch(watcher: PartitionWatcher): void {
    this.#watchers.delete(watcher);
  }

  /** Changes settings for batches that come from now on. */
  configure(settings: PartitionSettings): void {
    this.#intake.settings = settings;
    if (settings.minInsync !== undefined) this.#replica.leadership?.configure(settings.minInsync);
  }

  /** Drops what has become too old, of producers and, as leader, in the log, whose start followers take over. Called now and then. */
  sweep(): void {
    const { logStart } = this.log;
    if (this.role === 'leader') this.log.enforceRetention();
    this.#intake.expireProducers();
    if (this.log.logStart !== logStart) this.#news();
    // Its memory may have been taken meanwhile for another partition.
    else this.#publishes.settle();
  }

  /**
   * Ends all readers without an error, frees the log, and refuses everything from then on. Idempotent.
   * @returns a promise only where the log has to make things safe first; what becomes so is acknowledged
   */
  close(): void | Promise<void> {
    if (this.#closed) return this.#closing;
    this.#closed = true;
    this.#readers.close();
    this.#news();
    const closing = this.log.close();
    // Until then it is needed for the log's last snapshot.
    if (closing) this.#closing = closing.finally(() => this.#finish());
    else this.#finish();
    return this.#closing;
  }

  wait(reader: Waiter): void {
    this.#readers.wait(reader);
  }

  forget(reader: Waiter): void {
    this.#readers.forget(reader);
  }

  /** Something has changed that publishes or followers may wait for. */
  #news(): void {
    this.#publishes.settle();
    for (const watcher of this.#watchers) watcher.partitionChanged();
  }

  #answerLater<T>(outcome: AppendOutcome, acks: Acks, taker: PublishTaker<T>, publish: T): void {
    this.whenAcknowledged(outcome.nextOffset, acks, (error) => {
      if (error) taker.refused(publish, error);
      else taker.stored(publish, outcome, this.partition);
    });
  }

  #finish(): void {
    this.#replica.close();
    this.#publishes.fail(new SluiceError('CLOSED', `${this.topic}/${this.partition} was closed`));
    this.#intake.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new SluiceError('TOPIC_NOT_FOUND', `topic ${this.topic} was deleted`);
  }

  #checkNotLeading(): void {
    this.#checkOpen();
    if (this.role === 'leader') throw new TypeError('a leader takes nothing back');
  }

  #notLeader(): SluiceError {
    return new SluiceError('NOT_LEADER', `this node does not lead ${this.topic}/${this.partition}`);
  }
}

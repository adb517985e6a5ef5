import { Backoff } from '../kernel/backoff.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { ByteBudget } from '../log/byte-budget.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import { batchBaseOffset, batchNextOffset, checkBatchHeader } from '../wire/record-batch.ts';
import type { EpochEnd } from './epoch-history.ts';
import { NO_EPOCH, epochBefore, truncationPoint } from './epoch-history.ts';
import type { FetchPosition, FetchedPartition } from './replication.ts';

/** How long a follower waits after an error of the leader or of its own disk. */
const RETRY = { minMs: 50, maxMs: 1000 };

/** What a follower does things to: a `Partition` in the role of follower. */
export interface FollowingReplica {
  readonly log: Pick<
    PartitionLog,
    'logStart' | 'logEnd' | 'durableEnd' | 'leaderEpochs' | 'failure' | 'whenDurable' | 'whenStartDurable'
  >;
  /** @throws STORAGE_FULL, STORAGE_FAILED, CORRUPT_BATCH; what comes before the batch that it throws for is in the log then */
  appendReplicated(
    batches: readonly Buffer[],
    leader: { readonly highWatermark: number; readonly logStart: number },
  ): void;
  /** @throws STORAGE_FULL, STORAGE_FAILED */
  truncateTo(offset: number): void | Promise<void>;
  /** @throws STORAGE_FULL, STORAGE_FAILED */
  resetTo(offset: number): void | Promise<void>;
  /** Somebody reads this copy, or did a moment ago. */
  readonly isRead: boolean;
  /** Called when somebody begins to. */
  onRead: (() => void) | undefined;
}

/** Told what following does to a log; must not throw. */
export interface FollowObserver {
  /** What it had from `to` on was not the leader's. */
  onTruncated(from: number, to: number): void;
  /** It lay outside of what the leader still has, and begins empty at `to`. */
  onReset(from: number, to: number): void;
  /** The leader's answer, or why the own log takes nothing; it is tried again. */
  onPaused(code: ErrorCode): void;
}

/** What a follower is made of. */
export interface FollowerOptions {
  readonly topicId: string;
  readonly partition: number;
  readonly replica: FollowingReplica;
  /** Leader epoch of the state that it follows. */
  readonly epoch: number;
  /** Whether it is one of the in-sync replicas, as far as is known; others may be throttled. */
  readonly isInSync: () => boolean;
  readonly clock: Clock;
  readonly random: Random;
  /** Counts what was fetched and is not durable yet. */
  readonly pending: ByteBudget;
  /** Told that {@link Follower.position} may be another one; in the middle of anything. */
  readonly onChange: (follower: Follower) => void;
  /**
   * Told once, when everything is here and durable that the leader has acknowledged, and that there was when its epoch began: what makes a follower
   * fit for the in-sync replicas.
   */
  readonly onComplete?: (() => void) | undefined;
  readonly observer?: FollowObserver | undefined;
}

/**
 * What one partition does with what its leader answers, in one leader epoch.
 *
 *     batches ──> append ──> position moves, and again once they are durable
 *     diverging ──> truncate to where both agree ──> ask again
 *     the leader's log begins behind ours ──> empty, begin there ──> ask again
 *     error, full disk ──> wait, longer each time ──> ask again
 *
 * @see KIP-101, KIP-279; docs/replication.md
 */
export class Follower {
  readonly topicId: string;
  readonly partition: number;
  readonly #options: FollowerOptions;
  readonly #backoff: Backoff;
  #wait: Timer | undefined;
  #isClosed = false;
  #rewinding: Promise<void> | undefined;
  #rewinds = 0;
  /** Where the log ended when this last did something to it. */
  #end: number;
  #pendingBytes = 0;
  /** Where a log of which nothing was the leader's has begun anew, and in the middle of which epoch. */
  #begun: EpochEnd | undefined;
  /** How far the leader was when it answered last. */
  #told: Pick<FetchedPartition, 'highWatermark' | 'logEnd'> | undefined;
  #isComplete = false;
  /** Where the log began when this last asked for that to be durable, and where it was found to begin for good. */
  #awaitedStart = -1;
  #durableStart = 0;
  readonly #onRead = (): void => this.#changed();

  constructor(options: FollowerOptions) {
    this.topicId = options.topicId;
    this.partition = options.partition;
    this.#options = options;
    this.#backoff = new Backoff(RETRY, options.random);
    this.#end = options.replica.log.logEnd;
    options.replica.onRead = this.#onRead;
    // What it has appended in another role may not be durable yet.
    this.#await(0);
  }

  get isInSync(): boolean {
    return this.#options.isInSync();
  }

  /** Bytes that were fetched and are not durable yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * How often the log has gone back, for whatever reason: an answer to a position named before the last time would leave a hole.
   */
  get rewinds(): number {
    const { logEnd } = this.#log;
    if (logEnd !== this.#end && this.#rewinding === undefined) {
      this.#end = logEnd;
      this.#rewinds++;
      this.#forgetStart();
    }
    return this.#rewinds;
  }

  /** What to ask the leader next; undefined: nothing for the moment. */
  position(): FetchPosition | undefined {
    if (this.#isClosed || this.#rewinding || this.#wait) return undefined;
    const { logStart, logEnd, durableEnd } = this.#log;
    this.#awaitStart(logStart);
    return {
      topicId: this.topicId,
      partition: this.partition,
      leaderEpoch: this.#options.epoch,
      fetchOffset: logEnd,
      durableOffset: Math.min(durableEnd, logEnd),
      lastEpoch: this.#lastEpoch(logEnd),
      durableStart: Math.min(this.#durableStart, logStart),
      unread: !this.#options.replica.isRead,
    };
  }

  /** @param answer to a position that was named since the last of {@link rewinds} */
  take(answer: FetchedPartition): void {
    const { replica, epoch } = this.#options;
    if (this.position() === undefined || answer.leaderEpoch !== epoch) return;
    if (answer.error !== undefined) this.#pause(answer.error);
    else if (answer.diverging) this.#truncate(answer.diverging);
    else if (answer.logStart > this.#log.logEnd) this.#rewind(() => replica.resetTo(answer.logStart));
    else this.#appendChecked(answer);
  }

  /**
   * Does nothing any more.
   * @returns once nothing is being truncated, so that another role can begin
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    const { replica } = this.#options;
    // Who follows in the next epoch may have taken it over already.
    if (replica.onRead === this.#onRead) replica.onRead = undefined;
    this.#wait?.cancel();
    await this.#rewinding;
  }

  get #log(): FollowingReplica['log'] {
    return this.#options.replica.log;
  }

  #changed(): void {
    this.#options.onChange(this);
  }

  /** Nobody has looked at what comes from another node: where it makes no sense, it is asked for again. */
  #appendChecked(answer: FetchedPartition): void {
    try {
      for (const batch of answer.batches) checkBatchHeader(batch);
    } catch (error) {
      this.#pause(asSluiceError(error).code);
      return;
    }
    this.#append(answer);
  }

  #append(answer: FetchedPartition): void {
    const { logStart, logEnd } = this.#log;
    // Two requests that cross bring the same twice.
    const batches = answer.batches.filter((batch) => batchNextOffset(batch) > logEnd);
    const base = batches[0] === undefined ? logEnd : batchBaseOffset(batches[0]);
    if (base >= logEnd) this.#store(batches, answer);
    else if (logStart < logEnd) this.#pause('CORRUPT_BATCH');
    // The leader's log begins in the middle of a batch, because records before that were deleted: the whole batch is taken.
    else this.#rewind(() => this.#beginAt(base, batches, answer));
  }

  async #beginAt(base: number, batches: readonly Buffer[], answer: FetchedPartition): Promise<void> {
    await this.#options.replica.resetTo(base);
    this.#options.replica.appendReplicated(batches, answer);
    this.#await(bytesOf(batches));
  }

  #store(batches: readonly Buffer[], answer: FetchedPartition): void {
    try {
      this.#options.replica.appendReplicated(batches, answer);
    } catch (error) {
      this.#pause(asSluiceError(error).code);
      return;
    }
    this.#backoff.reset();
    this.#end = this.#log.logEnd;
    this.#told = answer;
    this.#await(bytesOf(batches));
    this.#considerComplete();
    this.#changed();
  }

  /** Counts bytes as pending until they are durable, or will not become so. */
  #await(bytes: number): void {
    const { logEnd, durableEnd } = this.#log;
    if (logEnd <= durableEnd) return;
    this.#pendingBytes += bytes;
    this.#options.pending.take(bytes);
    this.#log.whenDurable(logEnd, (error) => {
      this.#pendingBytes -= bytes;
      this.#options.pending.give(bytes);
      if (error) this.#pause(error.code);
      this.#considerComplete();
      this.#changed();
    });
  }

  /** Finds out when what was deleted cannot come back, and names the partition again then. */
  #awaitStart(logStart: number): void {
    if (logStart === this.#awaitedStart) return;
    this.#awaitedStart = logStart;
    const durable = this.#log.whenStartDurable(logStart);
    if (!durable) {
      this.#durableStart = logStart;
      return;
    }
    durable.then(
      () => this.#startIsDurable(logStart),
      (error: unknown) => {
        // Nobody waits for it any more when the log goes back.
        if (logStart !== this.#awaitedStart) return;
        this.#awaitedStart = -1;
        this.#pause(asSluiceError(error).code);
      },
    );
  }

  /** What said where the log begins may be gone with what was at its end. */
  #forgetStart(): void {
    this.#awaitedStart = -1;
    this.#durableStart = 0;
  }

  #startIsDurable(logStart: number): void {
    // It may have begun anew below that meanwhile.
    if (this.#isClosed || logStart !== this.#awaitedStart) return;
    this.#durableStart = logStart;
    this.#changed();
  }

  #considerComplete(): void {
    if (this.#isComplete || !this.#told || this.#isClosed || this.#rewinding) return;
    const { durableEnd, leaderEpochs } = this.#log;
    const last = leaderEpochs.at(-1);
    const isInEpoch = last?.epoch === this.#options.epoch && last.firstOffset < durableEnd;
    if (durableEnd < this.#told.highWatermark || (!isInEpoch && durableEnd < this.#told.logEnd)) return;
    this.#isComplete = true;
    this.#options.onComplete?.();
  }

  /** A log that has nothing left goes on in the epoch in which its leader has let it begin. */
  #lastEpoch(logEnd: number): number {
    const { logStart } = this.#log;
    const isBegun = logStart === logEnd && this.#begun?.endOffset === logEnd;
    return isBegun ? this.#begun!.epoch : epochBefore(this.#log, logEnd);
  }

  #truncate(diverging: EpochEnd): void {
    const { replica } = this.#options;
    // The leader knows nobody who has written what is here: it has nothing below its own beginning, and above it others have written.
    const isUnknown = diverging.epoch === NO_EPOCH;
    const target = isUnknown ? diverging.endOffset : truncationPoint(this.#log, diverging);
    // Where nothing of ours stays, truncating would leave the log's end at its old beginning.
    const isEmpty = isUnknown || target < this.#log.logStart;
    if (isEmpty) this.#begun = diverging;
    this.#rewind(() => (isEmpty ? replica.resetTo(target) : replica.truncateTo(target)));
  }

  #rewind(work: () => void | Promise<void>): void {
    const before = this.position();
    this.#rewinds++;
    this.#forgetStart();
    try {
      const done = work();
      if (done === undefined) {
        this.#rewound(before);
        return;
      }
      this.#rewinding = done.then(
        () => this.#rewound(before),
        (error: unknown) => this.#rewound(before, asSluiceError(error).code),
      );
    } catch (error) {
      this.#rewound(before, asSluiceError(error).code);
      return;
    }
    this.#changed();
  }

  #rewound(before: FetchPosition | undefined, error?: ErrorCode): void {
    this.#rewinding = undefined;
    this.#end = this.#log.logEnd;
    this.#report(before?.fetchOffset ?? 0);
    const now = this.position();
    const isStuck = before?.fetchOffset === now?.fetchOffset && before?.lastEpoch === now?.lastEpoch;
    // A leader that says the same for ever must not be asked without a rest.
    if (error !== undefined || isStuck) this.#pause(error ?? 'INTERNAL');
    else this.#changed();
  }

  #report(from: number): void {
    const to = this.#end;
    if (to < from && to > this.#log.logStart) this.#options.observer?.onTruncated(from, to);
    else if (to !== from) this.#options.observer?.onReset(from, to);
  }

  #pause(code: ErrorCode): void {
    if (this.#isClosed || this.#wait) return;
    this.#options.observer?.onPaused(code);
    this.#arm();
    this.#changed();
  }

  #arm(): void {
    this.#wait = this.#options.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#wait = undefined;
      // A log heals by itself or not; until then nothing can be done with an answer.
      if (this.#log.failure) this.#arm();
      else this.#changed();
    });
  }
}

function bytesOf(batches: readonly Buffer[]): number {
  return batches.reduce((sum, batch) => sum + batch.length, 0);
}

import type { ErrorCode } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';
import { Asking } from '../kernel/slots.ts';
import type { EpochEnd } from './epoch-history.ts';
import { divergence } from './epoch-history.ts';
import type { Partition } from './partition.ts';
import type { PartitionWatcher } from './partition-parts.ts';
import type { FetchPosition, FetchedPartition, PartitionRef } from './replication.ts';

/** Bytes of the first read, before it is known whether reads of this follower wait for the disk. */
const FIRST_READ_BYTES = 16 * 1024;

/** The session that an entry is in. */
export interface FetchEntryHost {
  /** Node id of the follower. */
  readonly nodeId: string;
  /** There is something to say; called once until {@link FetchEntry.answer} is. */
  entryReady(entry: FetchEntry): void;
  /** There are only news that nobody waits for: to be said with what is answered next, or a little later. */
  entryPatient(entry: FetchEntry): void;
  /** The follower is not one of the in-sync replicas (any more). */
  entryOutside(entry: FetchEntry): void;
}

/** Room in a response. */
export interface AnswerRoom {
  /** Sequence of the response. */
  readonly sequence: number;
  /** Bytes of batches that should come at most. */
  readonly maxBytes: number;
  /** Bytes above which they must not; none for the first batches of a response. */
  readonly leftBytes: number;
}

/**
 * One partition in one session, as the leader sees it.
 *
 *     named ─ agrees ─> answered with batches as soon as there are some ─┬─> named again
 *       └──── does not agree ─> answered with where to go back to ───────┘
 *
 * Between an answer and the next naming only news of the watermark are told; alone they wait a little where nobody reads the follower's copy. What waits for
 * the disk is answered once it has been read.
 */
export class FetchEntry implements PartitionWatcher {
  readonly target: Partition;
  readonly #host: FetchEntryHost;
  #position: FetchPosition;
  #goBack: EpochEnd | undefined;
  /** Sequence of the response that brought something for the present position; -1: none yet. */
  #answeredIn = -1;
  #isReady = false;
  #isInsync = true;
  #toldHighWatermark = -1;
  #toldLogStart = -1;
  /** Distinguishes reads: what is read for a position that is not asked for any more is dropped. */
  #reading = 0;
  #readBytes = 0;
  /** For the present read: one that is not wanted any more leaves the disk to others. */
  readonly #asking = new Asking();
  /** Read and not answered yet. */
  #found: readonly Buffer[] = [];
  /** There was nothing below it although the log goes on to it: a hole at the end. */
  #emptyBelow = -1;
  #failure: ErrorCode | undefined;
  /** Why the present position was compared with nothing. That stays so until it is named again, whatever the partition becomes meanwhile. */
  #refused: ErrorCode | undefined;
  #isOnDisk: boolean | undefined;
  #isClosed = false;

  /** @param target led by this node in the epoch that `position` names, or is refused */
  constructor(host: FetchEntryHost, target: Partition, position: FetchPosition) {
    this.#host = host;
    this.target = target;
    this.#position = position;
    target.watch(this);
    this.#begin(position);
  }

  /** Whether what was read last came from the disk; undefined: nothing was read yet. */
  get isOnDisk(): boolean | undefined {
    return this.#isOnDisk;
  }

  /** Bytes that are being read from the disk, or have been and wait for a response. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /**
   * Takes in where the follower is.
   * @param received the last response that it knew of then: what is on its way is not sent again
   */
  take(position: FetchPosition, received: number): void {
    const isOld = received < this.#answeredIn && position.leaderEpoch === this.#position.leaderEpoch;
    if (!isOld) {
      this.#begin(position);
    } else if (!this.#isAstray()) {
      const { durableOffset, durableStart } = position;
      this.#position = { ...this.#position, durableOffset, durableStart };
      this.#report(durableOffset);
    }
  }

  /** Says once more how far the follower is, which has not changed, so that it gets into the in-sync replicas. */
  repeat(): void {
    this.#isInsync = this.target.isInsync(this.#host.nodeId);
    if (!this.#isInsync && !this.#isAstray()) this.#report(this.#position.durableOffset);
  }

  /** Its news wait no longer. @returns whether there still are any */
  urge(): boolean {
    this.#isReady ||= !this.#isClosed && (this.#isUrgent() || this.#hasNews());
    return this.#isReady;
  }

  partitionChanged(): void {
    const isInsync = this.target.isInsync(this.#host.nodeId);
    if (this.#isInsync && !isInsync) this.#host.entryOutside(this);
    this.#isInsync = isInsync;
    this.#announce();
  }

  /**
   * What there is to say now.
   * @returns undefined: nothing, at least not now; `later`: more than there is room for
   */
  answer(room: AnswerRoom): FetchedPartition | 'later' | undefined {
    const error = this.#error;
    if (error) return refusal(this.#position, error);
    const batches = this.#isWaiting() || this.#isAstray() ? [] : this.#read(room.maxBytes);
    if (bytesOf(batches) > room.leftBytes) return 'later';
    this.#isReady = false;
    if (batches.length === 0 && !this.#hasNews()) return undefined;
    return this.#say(batches, room.sequence);
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#dropRead();
    this.target.unwatch(this);
  }

  #begin(position: FetchPosition): void {
    const isOtherEpoch = position.leaderEpoch !== this.#position.leaderEpoch;
    const isElsewhere = isOtherEpoch || position.fetchOffset !== this.#position.fetchOffset;
    // A follower begins each epoch without knowing anything of its leader, and while it goes back, or forth to where the log begins, it takes nothing in.
    const hasTakenIn = !isOtherEpoch && !this.#isAstray() && isFurther(position, this.#position);
    if (!hasTakenIn) this.#toldHighWatermark = -1;
    this.#position = position;
    this.#answeredIn = -1;
    this.#goBack = undefined;
    // What is being read for it is still wanted when it has only become more durable.
    if (isElsewhere) this.#dropRead();
    const { log } = this.target;
    this.#refused = this.target.fetchRefusal(position.leaderEpoch);
    if (this.#refused === undefined) {
      if (position.fetchOffset >= log.logStart) this.#goBack = divergence(log, position);
      this.#report(this.#isAstray() ? -1 : position.durableOffset);
    }
    this.#announce();
  }

  #report(durableOffset: number): void {
    if (this.#refusal !== undefined) return;
    const { nodeId } = this.#host;
    this.target.reportFollower(nodeId, durableOffset, this.#position.durableStart);
    this.#isInsync = this.target.isInsync(nodeId);
    if (!this.#isInsync) this.#host.entryOutside(this);
  }

  get #refusal(): ErrorCode | undefined {
    return this.#refused ?? this.target.fetchRefusal(this.#position.leaderEpoch);
  }

  get #error(): ErrorCode | undefined {
    return this.#failure ?? this.#refusal;
  }

  /** It cannot go on from where it is. */
  #isAstray(): boolean {
    return this.#goBack !== undefined || this.#position.fetchOffset < this.target.log.logStart;
  }

  /** It has been answered and has not said yet what came of it. */
  #isWaiting(): boolean {
    return this.#answeredIn >= 0;
  }

  #announce(): void {
    if (this.#isReady || this.#isClosed) return;
    if (this.#isUrgent() || (this.#hasNews() && !this.#position.unread)) {
      this.#isReady = true;
      this.#host.entryReady(this);
    } else if (this.#hasNews()) this.#host.entryPatient(this);
  }

  /** There is more to say than that a watermark has moved which the follower knows. */
  #isUrgent(): boolean {
    if (this.#error || this.#toldHighWatermark < 0 || this.#toldLogStart !== this.target.logStart)
      return true;
    return this.#isToGo() || this.#hasBatches();
  }

  #hasBatches(): boolean {
    if (this.#isWaiting() || (this.#readBytes > 0 && this.#found.length === 0)) return false;
    return this.target.log.durableEnd > Math.max(this.#position.fetchOffset, this.#emptyBelow);
  }

  /** Something is to be said even without batches. */
  #hasNews(): boolean {
    const { highWatermark, logStart } = this.target;
    if (highWatermark !== this.#toldHighWatermark || logStart !== this.#toldLogStart) return true;
    return this.#isToGo();
  }

  /** It is to be told where to go on. */
  #isToGo(): boolean {
    return !this.#isWaiting() && this.#isAstray();
  }

  #say(batches: readonly Buffer[], sequence: number): FetchedPartition {
    const { topicId, partition, leaderEpoch } = this.#position;
    const { logStart, logEnd, highWatermark } = this.target;
    this.#toldHighWatermark = highWatermark;
    this.#toldLogStart = logStart;
    const said = { topicId, partition, leaderEpoch, logStart, logEnd, highWatermark, batches };
    if (this.#isWaiting()) return said;
    if (batches.length > 0 || this.#isAstray()) {
      this.#answeredIn = sequence;
      this.#dropRead();
    }
    return this.#goBack && logStart <= this.#position.fetchOffset
      ? { ...said, diverging: this.#goBack }
      : said;
  }

  /** What there is now; what comes from the disk is announced when it is there. */
  #read(maxBytes: number): readonly Buffer[] {
    const { log } = this.target;
    if (this.#readBytes > 0 || log.durableEnd <= Math.max(this.#position.fetchOffset, this.#emptyBelow)) {
      return this.#found;
    }
    const upTo = log.durableEnd;
    const bytes = this.#isOnDisk === undefined ? Math.min(maxBytes, FIRST_READ_BYTES) : maxBytes;
    const found = log.read(this.#position.fetchOffset, upTo, bytes, this.#asking);
    this.#isOnDisk = found instanceof Promise;
    if (!(found instanceof Promise)) {
      this.#foundBelow(found, upTo);
      return found;
    }
    const reading = ++this.#reading;
    this.#readBytes = bytes;
    found.then(
      (batches) => this.#foundLate(reading, batches, upTo, undefined),
      (error: unknown) => this.#foundLate(reading, [], upTo, asSluiceError(error).code),
    );
    return [];
  }

  #foundLate(
    reading: number,
    batches: readonly Buffer[],
    upTo: number,
    failure: ErrorCode | undefined,
  ): void {
    if (reading !== this.#reading) return;
    this.#failure = failure;
    this.#found = batches;
    if (!failure) this.#foundBelow(batches, upTo);
    if (batches.length === 0) this.#readBytes = 0;
    this.#announce();
  }

  #foundBelow(batches: readonly Buffer[], upTo: number): void {
    if (batches.length === 0) this.#emptyBelow = upTo;
  }

  #dropRead(): void {
    this.#reading++;
    this.#asking.drop();
    this.#readBytes = 0;
    this.#found = [];
    this.#emptyBelow = -1;
  }
}

function isFurther(now: FetchPosition, before: FetchPosition): boolean {
  if (now.fetchOffset !== before.fetchOffset) return now.fetchOffset > before.fetchOffset;
  return now.durableOffset > before.durableOffset;
}

/** An answer that says nothing but why there is none. */
export function refusal(
  ref: PartitionRef & Pick<FetchPosition, 'leaderEpoch'>,
  error: ErrorCode,
): FetchedPartition {
  const { topicId, partition, leaderEpoch } = ref;
  return { topicId, partition, leaderEpoch, error, logStart: 0, logEnd: 0, highWatermark: 0, batches: [] };
}

/** Sum of their lengths. */
export function bytesOf(batches: readonly Buffer[]): number {
  let bytes = 0;
  for (const batch of batches) bytes += batch.length;
  return bytes;
}

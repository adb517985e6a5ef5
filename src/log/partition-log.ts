import type { SluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';

/** First offset that a leader of this epoch wrote. */
export interface LeaderEpoch {
  readonly epoch: number;
  readonly firstOffset: number;
}

/** What a log keeps, per partition; 0 is no bound. */
export interface RetentionLimits {
  /** Bytes the retained batches cost; whole batches go, the newest never. */
  readonly retentionBytes: number;
  /** Milliseconds since a batch was appended, whatever timestamps its records carry. */
  readonly retentionMs: number;
  /** Records (offsets); whole batches go, the newest never. */
  readonly retentionRecords: number;
}

/**
 * The retained buffer of one partition: record batches in offset order, oldest dropped as {@link RetentionLimits} say.
 *
 *     logStart                                   logEnd
 *        │ batch │ batch │ batch │ … │ newest batch │
 *
 * Batches are stored as they arrive and handed out as the same bytes: whoever gets one must not change it. Dropping a batch
 * only drops the log's reference, so a reader that is in the middle of writing one out keeps it alive and nothing else.
 *
 * Memory answers every read at once; a log on disk may answer with a promise, and makes appends durable later
 * ({@link PartitionLog.whenDurable}). State changes only in `append`, `enforceRetention`, `configure`, `deleteBefore`, `truncate`, `reset` and
 * `close`; on disk also when a write has failed: `logEnd` then goes back to `durableEnd`.
 */
export interface PartitionLog {
  /**
   * No record is retained below this offset; equals `logEnd` when nothing is retained. Falls only with `reset`, and with a `truncate` of
   * the batch that it lies in.
   */
  readonly logStart: number;
  /** Offset the next record will get. Falls only to where nobody has been told of anything above. */
  readonly logEnd: number;
  /** Everything below this offset survives a crash of this process as far as the topic promises it; memory: `logEnd`. */
  readonly durableEnd: number;
  /** Which leader wrote what, oldest first; at least those that wrote something that is retained. */
  readonly leaderEpochs: readonly LeaderEpoch[];
  /** Why appends are refused now; the log recovers by itself when it can. Memory: never. */
  readonly failure: SluiceError | undefined;
  /** Bytes that the retained batches cost, including what the log keeps about each of them. */
  readonly retainedBytes: number;
  /**
   * Told when a fault has cost what `durableEnd` had promised, which can be where the topic's `flush` is not `always`: the log ends at `end`
   * now, and nothing has been appended since. Memory: never.
   */
  onLoss: ((end: number) => void) | undefined;
  /**
   * Exclusive offset up to which retention may take records, and compaction look at them: what is above may not be on enough replicas yet.
   * Undefined: any. Not asked in memory, which is bounded whatever becomes of the records.
   */
  retainedFrom?: (() => number) | undefined;
  /**
   * Whether every replica has what is below {@link PartitionLog.retainedFrom}. While one has not, compaction leaves the records without value: it may
   * have what they delete, and copies only what is there when it comes back. Undefined: yes. Not asked in memory.
   */
  isEverywhere?: (() => boolean) | undefined;

  /**
   * Appends one stamped batch whose base offset is `logEnd`, then drops what retention no longer keeps.
   *
   * A base offset above `logEnd` leaves a hole, as compaction has left it in the log that is copied: offsets that no record has.
   *
   * @param batch ownership passes to the log
   * @throws STORAGE_FULL or STORAGE_FAILED when the log cannot take it; nothing was appended then
   */
  append(batch: Buffer): void;
  /**
   * Calls back once everything below `offset` is durable, or with the error that will keep it from becoming so.
   * At once, inside this call, when it is already.
   */
  whenDurable(offset: number, callback: (error: SluiceError | undefined) => void): void;
  /**
   * Whole batches from the one that holds `offset` (or the next one after a hole) on, in order.
   *
   * @param offset at or above `logStart`, else nothing is promised about the first batch
   * @param upTo exclusive; batches that begin at or above it are left out
   * @param maxBytes sum of batch sizes; the first batch comes even when it alone is larger
   * @param asker who waits where it takes a promise: what is not begun when it goes is not, and rejects with CANCELLED
   * @returns batches, empty when there is none
   */
  read(
    offset: number,
    upTo: number,
    maxBytes: number,
    asker?: Asker,
  ): readonly Buffer[] | Promise<readonly Buffer[]>;
  /**
   * The first retained batch below `upTo` whose largest record timestamp is `timestampMs` or later.
   * @param asker as of {@link read}
   * @returns undefined when there is none
   */
  findTimestamp(
    timestampMs: number,
    upTo: number,
    asker?: Asker,
  ): Buffer | undefined | Promise<Buffer | undefined>;
  /** Bytes of the batches from the one that holds `offset` on; for old ones on disk a guess. */
  bytesFrom(offset: number): number;
  /** Milliseconds since the batch that holds `offset` was appended; 0 when there is none; for old ones on disk a guess. */
  ageMsAt(offset: number): number;
  /** Drops what has become too old; called now and then by the broker, because an idle partition gets no appends. */
  enforceRetention(): void;
  /** Changes what is kept, at once. */
  configure(limits: RetentionLimits): void;
  /**
   * Deletes what is below `offset`: the log starts exactly there from now on.
   * @param offset at most `durableEnd`; below `logStart` it does nothing
   * @throws OFFSET_OUT_OF_RANGE
   */
  deleteBefore(offset: number): void;
  /**
   * Resolves once nothing below `offset` can come back after a crash.
   * @param offset at most `logStart`
   * @throws STORAGE_FAILED, STORAGE_FULL, CLOSED, or UNAVAILABLE when the log was cut off meanwhile: what was deleted may come back
   */
  whenStartDurable(offset: number): void | Promise<void>;
  /**
   * Takes back everything at or above `offset`, from the batch on that holds it, with what it did to the log's `LogState`. The log ends
   * where its last batch does then, which is below `offset` where that lies in a hole.
   * @throws STORAGE_FAILED, STORAGE_FULL
   */
  truncate(offset: number): void | Promise<void>;
  /**
   * Forgets everything, the `LogState` too: the log is empty then, and begins at `offset`, which may be anywhere. After a crash
   * meanwhile it is that, or what it was before, and nothing in between.
   * @throws STORAGE_FAILED, STORAGE_FULL: it is empty all the same, and takes appends once the disk does
   */
  reset(offset: number): void | Promise<void>;
  /** Lets go of everything, on disk after it is safe there; nothing may be called after it. Idempotent. */
  close(): void | Promise<void>;
}

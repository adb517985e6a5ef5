import type { ErrorCode } from '../kernel/errors.ts';

/** Why offsets are gone: 1 retention, 2 deleted. The numbers are those of the GAP frame (docs/protocol.md section 7). */
export type GapReason = 1 | 2;

/** What one {@link PartitionReader.read} found. */
export type ReadResult =
  /**
   * At least one whole batch, in offset order, shared with the log: read-only. A batch may begin below the offset asked for,
   * have holes, or hold no record at all (its last offset delta still moves the position).
   */
  | { readonly kind: 'batches'; readonly batches: readonly Buffer[] }
  /** The offsets in [from, to) are gone; the reader has moved to `to`. */
  | { readonly kind: 'gap'; readonly from: number; readonly to: number; readonly reason: GapReason }
  /** Nothing now; `onReadable` will be called once. */
  | { readonly kind: 'idle' }
  /** Nothing ever again. `code` is undefined when the topic was deleted or the reader closed. */
  | { readonly kind: 'ended'; readonly code: ErrorCode | undefined };

/** How far a reader is behind the high watermark. */
export interface Lag {
  readonly records: number;
  readonly bytes: number;
  /** Age of the oldest record not yet read, since it was appended; 0 when there is none. */
  readonly ms: number;
}

/** Where a reader begins. */
export type Start =
  /** The high watermark now. */
  | { readonly at: 'latest' }
  /** The oldest retained record now. */
  | { readonly at: 'earliest' }
  /** At most the log end, else OFFSET_OUT_OF_RANGE; below what is retained it gives a gap first. */
  | { readonly at: 'offset'; readonly offset: number }
  /** Milliseconds since 1970: the first record with this time or later, else the high watermark. */
  | { readonly at: 'timestamp'; readonly timestampMs: number }
  /** The latest record of each key that is retained now, then everything new. Records without a key have no latest. */
  | { readonly at: 'last-per-key' };

/**
 * A cursor into one partition: all that a subscriber costs.
 *
 * Nothing is queued for it; it reads the log when its owner asks. Not calling `read` is how to be slow.
 */
export interface PartitionReader {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  /** The first offset not yet handed out. */
  readonly nextOffset: number;
  /** Where the partition begins, as far as the copy knows that is read: what lies below is gone, also where a batch goes on above it. Undefined while there is no copy. */
  readonly logStart: number | undefined;
  /** Records lost to gaps so far. */
  readonly gapRecords: number;
  /**
   * Takes the next batches. One call at a time: after a promise, wait for it.
   *
   * Never throws or rejects: what goes wrong for this reader alone is its `ended` with a code.
   *
   * @param maxBytes of whole batches to hand out; one comes even when it alone is larger
   * @returns a promise only where the log is on disk
   */
  read(maxBytes: number): ReadResult | Promise<ReadResult>;
  /**
   * Called once after `read` said idle, when there is more, a gap or the end. It runs inside the append of whoever published,
   * so it only schedules; it must not throw.
   */
  onReadable: (() => void) | undefined;
  /** How far this reader is behind; costs a binary search. */
  lag(): Lag;
  /** Forgets the reader; `onReadable` is not called any more. Idempotent. */
  close(): void;
}

import type { SluiceError } from '../kernel/errors.ts';
import type { EpochEnd } from '../partition/epoch-history.ts';
import type { Start } from '../partition/reader.ts';
import type { PartitionRef } from '../partition/replication.ts';

/** A bounded read from another node's copy of a partition. */
export interface CopyRequest extends PartitionRef {
  /** First offset wanted. */
  readonly offset: number;
  /** Exclusive; batches that begin at or above it are not wanted. Undefined: all are, up to the high watermark. */
  readonly upTo?: number | undefined;
  /** Epoch of the last batch below `offset` here, if that is known, so that the other can say when it has something else there. */
  readonly lastEpoch?: number | undefined;
  /** Bytes of batches; one comes even when it alone is larger. */
  readonly maxBytes: number;
  /** How long to wait while there is nothing to read, milliseconds. */
  readonly maxWaitMs: number;
  /** It feeds a copy: the answer may name a node that is nearer and reads the same. */
  readonly feeds?: boolean | undefined;
  /** Not the replica is to be read but the copy that the node keeps for readers, as long as that is fed by a replica. */
  readonly observed?: boolean | undefined;
}

/** What was read; ends are exclusive. */
export interface CopyAnswer {
  /** Epoch of the leader that the node follows, or is. */
  readonly leaderEpoch: number;
  readonly logStart: number;
  /** That up to which was read: where no batches come there is no record between the offset and it, unless the offset is below the log start. */
  readonly highWatermark: number;
  readonly logEnd: number;
  /** The other's history does not contain what `lastEpoch` and `offset` name; see `FetchedPartition`. */
  readonly diverging?: EpochEnd | undefined;
  /** A node of this zone that feeds a copy from the same node already; it may have stopped meanwhile. */
  readonly nearer?: string | undefined;
  /** Whole batches below the high watermark; the first may begin below the offset asked for. */
  readonly batches: readonly Buffer[];
}

/** How observers read from other nodes; the client of peers fulfils it. */
export interface CopyReader {
  /**
   * Reads from the copy that a node has.
   * @throws PARTITION_NOT_FOUND; OFFSET_OUT_OF_RANGE when the offset is above the end of that copy; UNAVAILABLE, TIMEOUT; why its log cannot be read
   */
  read(nodeId: string, request: CopyRequest): Promise<CopyAnswer>;
  /** Offsets of partitions that the node leads, in order. @param gone aborts when nobody waits for them any more @throws UNAVAILABLE, TIMEOUT, CANCELLED */
  listOffsets(
    nodeId: string,
    partitions: readonly PartitionRef[],
    start: Start,
    gone?: AbortSignal,
  ): Promise<readonly (number | SluiceError)[]>;
}

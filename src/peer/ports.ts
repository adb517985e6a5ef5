import type { ForwardCallback, ForwardedPublish, PartitionFacts } from '../broker/other-nodes.ts';
import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAsking } from '../groups/api.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import type { EpochEnd } from '../partition/epoch-history.ts';
import type { Start } from '../partition/reader.ts';
import type { PartitionRef, ReplicationServer } from '../partition/replication.ts';

export type {
  ForwardCallback,
  ForwardOutcome,
  ForwardedPublish,
  PartitionFacts,
} from '../broker/other-nodes.ts';

/** Takes publishes for what is led here. */
export interface ForwardTarget {
  /**
   * Stores a batch, in the order of the calls. Must not throw.
   *
   * @param done NOT_LEADER unless the partition is led here in exactly that epoch; else as for a publish of an own client
   */
  forward(publish: ForwardedPublish, done: ForwardCallback): void;
}

/** What the other nodes ask of the partitions that are led here; an answer for each partition, in order. NOT_LEADER where that is not so. */
export interface LedPartitions {
  describe(partitions: readonly PartitionRef[]): readonly (PartitionFacts | SluiceError)[];
  /** The first offset that a reader beginning at `at` would want. @param asker who waits for them */
  listOffsets(
    partitions: readonly PartitionRef[],
    at: Start,
    asker?: Asker,
  ): Promise<readonly (number | SluiceError)[]>;
  /** Deletes what is below `before`. @returns where each partition begins now */
  deleteRecords(
    partitions: readonly PartitionRef[],
    before: Start,
  ): Promise<readonly (number | SluiceError)[]>;
}

/** A bounded read from a node's copy of a partition. */
export interface ReadRequest extends PartitionRef {
  /** First offset wanted. */
  readonly offset: number;
  /** Exclusive; batches that begin at or above it are not wanted. Undefined: all are, up to the high watermark. */
  readonly upTo?: number | undefined;
  /** Epoch of the last batch below `offset` that the asker has; undefined: it does not know, or does not want to be compared. */
  readonly lastEpoch?: number | undefined;
  /** Bytes of batches; one comes even when it alone is larger. */
  readonly maxBytes: number;
  /** How long to wait while there is nothing to read, milliseconds. */
  readonly maxWaitMs: number;
  /** It feeds a copy: the answer may name a node that is nearer to the asker and reads the same. */
  readonly feeds?: boolean | undefined;
  /** Not the replica is to be read but the copy that the node keeps for readers, as long as that is fed by a replica. */
  readonly observed?: boolean | undefined;
}

/** What was read; ends are exclusive. */
export interface ReadAnswer {
  /** Epoch of the leader that the node follows, or is. */
  readonly leaderEpoch: number;
  readonly logStart: number;
  readonly highWatermark: number;
  readonly logEnd: number;
  /** The history of this copy does not contain the asker's: where they part, as far as this one can tell; see `FetchedPartition`. No batches come then. */
  readonly diverging?: EpochEnd | undefined;
  /** A node in the asker's zone, which is another than this node's, that feeds a copy from here already. */
  readonly nearer?: string | undefined;
  /**
   * Whole batches below the high watermark; the first may begin below the offset asked for. None, and the offset is at or above the log start: there is no
   * record between it and the high watermark, or `upTo` where that is lower.
   */
  readonly batches: readonly Buffer[];
}

/** Reads from the copies of this node. */
export interface LocalCopies {
  /**
   * Waits only while there is nothing at or above the offset and it is not below the log start.
   * @param nodeId who asks
   * @param gone aborted when nobody waits for the answer any more
   * @param room asked before something is read: resolves when what is read can be sent, undefined when it can now; left out: it always can
   * @throws PARTITION_NOT_FOUND when there is no such copy; OFFSET_OUT_OF_RANGE when the offset is above the end of this copy, or that copy is
   *   one for readers and keeps nothing so old; why a log cannot be read
   */
  read(
    nodeId: string,
    request: ReadRequest,
    gone: AbortSignal,
    room?: () => Promise<undefined> | undefined,
  ): Promise<ReadAnswer>;
}

/** The coordinators of groups and queues that this node is. */
export interface GroupCoordination {
  /**
   * @param partition of `__groups`
   * @param asking who asks; its signal is aborted when nobody waits for the answer any more
   * @throws NOT_LEADER when this node does not coordinate it; what is answered
   */
  coordinate(partition: number, request: GroupRequest, asking: GroupAsking): Promise<GroupResponse>;
}

/** What a node does for the others. */
export interface PeerServices {
  readonly replication: ReplicationServer;
  readonly forwards: ForwardTarget;
  readonly partitions: LedPartitions;
  readonly copies: LocalCopies;
  readonly groups: GroupCoordination;
}

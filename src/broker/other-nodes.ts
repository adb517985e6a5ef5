import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAsking } from '../groups/api.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { Acks } from '../partition/acknowledgements.ts';
import type { Start } from '../partition/reader.ts';
import type { PartitionRef } from '../partition/replication.ts';

/** A publish that a node hands to the leader for one of its clients, who may publish there. */
export interface ForwardedPublish extends PartitionRef {
  /** The epoch that the sender takes for the leader's. */
  readonly leaderEpoch: number;
  readonly acks: Acks;
  /** One record batch as the client sent it, not checked. Whoever gets it owns it. */
  readonly batch: Buffer;
}

/** Where a forwarded publish was stored. */
export interface ForwardOutcome {
  /** `duplicate`: this idempotent batch had been stored before; the offset is that of then. */
  readonly kind: 'appended' | 'duplicate';
  readonly baseOffset: number;
  /** Milliseconds since 1970 where the topic stamps append time, else 0. */
  readonly appendTimeMs: number;
}

/** Takes the answer to one publish; called exactly once. */
export type ForwardCallback = (answer: ForwardOutcome | SluiceError) => void;

/** How a partition is where it is led; ends are exclusive. */
export interface PartitionFacts {
  readonly leaderEpoch: number;
  readonly logStart: number;
  readonly highWatermark: number;
  readonly logEnd: number;
  /** In memory, or on the disk. */
  readonly retainedBytes: number;
  /** Readers open there. */
  readonly subscribers: number;
}

/**
 * What is asked of the nodes that lead partitions which this one does not. Where many are asked about there is an answer for each, in order: NOT_LEADER
 * where that node leads it no more.
 *
 * A call that fails as a whole rejects with UNAVAILABLE or TIMEOUT, and never takes for ever.
 */
export interface OtherNodes {
  /**
   * Hands a publish to the leader; those to one node and partition arrive in the order of the calls. Must not throw.
   * @param done what the leader answers; OVERLOADED; UNAVAILABLE, TIMEOUT: it may have been stored
   */
  forward(nodeId: string, publish: ForwardedPublish, done: ForwardCallback): void;
  describePartitions(
    nodeId: string,
    partitions: readonly PartitionRef[],
  ): Promise<readonly (PartitionFacts | SluiceError)[]>;
  /** The first offset that a reader beginning at `at` would want. @param gone aborts when nobody waits for them any more */
  listOffsets(
    nodeId: string,
    partitions: readonly PartitionRef[],
    at: Start,
    gone?: AbortSignal,
  ): Promise<readonly (number | SluiceError)[]>;
  /** Deletes what is below `before`. @returns where each partition begins now */
  deleteRecords(
    nodeId: string,
    partitions: readonly PartitionRef[],
    before: Start,
  ): Promise<readonly (number | SluiceError)[]>;
  /**
   * Asks the coordinator of groups and queues that the other node is.
   * @param statePartition of `__groups`
   * @param waitMs how long it may let the question wait
   * @param asking who asks; when nobody waits for the answer any more it learns of it
   * @throws NOT_LEADER when it is none; what it answers; CANCELLED
   */
  coordinate(
    nodeId: string,
    statePartition: number,
    request: GroupRequest,
    waitMs: number,
    asking: GroupAsking,
  ): Promise<GroupResponse>;
}

import type { Unwatch } from './unwatch.ts';

/** What a node says of itself. */
export interface NodeDescription {
  /** Where clients reach it, most preferred first: `quic://host:port` and the like. Empty until it listens. */
  readonly clientUrls: readonly string[];
  /** Where other nodes reach it, `host:port`; null: not yet, or not at all. */
  readonly peerAddress: string | null;
  /** Nodes that fail together have one zone; empty: not said. */
  readonly zone: string;
  /** Share of the replicas it takes, relative to others; 0: none. */
  readonly capacity: number;
  /** Name and version, for people. */
  readonly software: string;
  /** It wants to hand over what it leads. */
  readonly draining: boolean;
}

/** A node that is a member now. */
export interface ClusterNode extends NodeDescription {
  readonly nodeId: string;
  /** Another one each time the node becomes a member, also after a lost lease. */
  readonly session: string;
}

/** What happened to membership. A node that comes back as a new session has `left` before it has `joined`. */
export interface NodeChange {
  readonly kind: 'joined' | 'altered' | 'left';
  readonly node: ClusterNode;
}

/** Who holds a partition. */
export interface PartitionState {
  /** Node ids, preferred leader first. */
  readonly replicas: readonly string[];
  /** One of `replicas`; null: there is none now. */
  readonly leader: string | null;
  /** Never falls; larger with each leader and each claim. 0: nobody has led it yet. */
  readonly leaderEpoch: number;
  /** Those of `replicas` that have all that was acknowledged. */
  readonly isr: readonly string[];
}

/** The state of a partition and which version of it this is. */
export interface PartitionEntry {
  readonly topicId: string;
  readonly partition: number;
  readonly state: PartitionState;
  /** For compare-and-swap: another one after each change, larger than those before. */
  readonly revision: number;
}

/** What happened to a partition's state. */
export interface PartitionChange {
  readonly kind: 'updated' | 'removed';
  readonly entry: PartitionEntry;
}

/** Outcome of a compare-and-swap. */
export type UpdateResult =
  | { readonly kind: 'updated'; readonly entry: PartitionEntry }
  /** Somebody else was first, there is another controller, or the topic is gone; `current` is what is there now, undefined when nothing is. */
  | { readonly kind: 'conflict'; readonly current: PartitionEntry | undefined };

/** Who wants to be controller; its methods must not throw. */
export interface Candidate {
  /** @param term larger than that of every controller before */
  onElected(term: number): void;
  /** Another node may be controller from now on. Not called after `resign()`. */
  onLost(): void;
}

/** A candidacy; after a loss it goes on by itself. */
export interface Campaign {
  /** That of the last election while this node is controller. */
  readonly term: number | undefined;
  /** Ends the candidacy; another node can be elected once it resolves. Idempotent. */
  resign(): Promise<void>;
}

/**
 * A standing request to move replicas to where they would be placed now: after nodes were added, or to empty one.
 *
 * It is kept until a controller has done it, also while there is none.
 */
export interface Rebalancing {
  readonly isRequested: boolean;
  /** Asks for it; again while one is under way: that one is not over before it suits the cluster as it is now. @throws UNAVAILABLE without a lease */
  request(): Promise<void>;
  /**
   * Ends it, only while this node is the controller of `controllerTerm`.
   * @returns false when it was over, was asked for again meanwhile, or there is another controller
   */
  finish(controllerTerm: number): Promise<boolean>;
  /** Calls `listener` when it is asked for and when it is over; it must not throw. */
  watch(listener: () => void): Unwatch;
}

/**
 * What a node knows of the others and agrees on with them.
 *
 * Membership is a lease: it ends when the node cannot renew it for as long as it lasts. Time is counted on this node's monotonic clock from
 * before the renewal was asked for, so `leaseHeld` is false here before anybody else can think so.
 */
export interface Cluster {
  /** Whether this node is a member at this very moment; costs nothing, so that it can be asked before every acknowledgement. */
  readonly leaseHeld: boolean;
  /** Told once, with the reason, when membership ends other than by disposal; who leads a partition stops acknowledging. */
  onLeaseLost(listener: (reason: string) => void): Unwatch;
  /** Told when this node has become a member again: what it led before it has to claim anew. */
  onLeaseGained(listener: () => void): Unwatch;

  /** All members, this one too while it is one; in order of id. */
  nodes(): readonly ClusterNode[];
  /** Calls `listener` for each change from now on, in order; it must not throw. */
  watchNodes(listener: (change: NodeChange) => void): Unwatch;
  /** Changes what this node says of itself; what is left out stays. @throws UNAVAILABLE without a lease: it is said with the next */
  announce(change: Partial<NodeDescription>): Promise<void>;

  /** Of all partitions that have one, in no order. */
  partitionStates(): readonly PartitionEntry[];
  partitionState(topicId: string, partition: number): PartitionEntry | undefined;
  /**
   * As it is stored at some moment after the call, which costs a question to a majority: {@link partitionState} may not have heard of it yet.
   * @throws UNAVAILABLE, TIMEOUT
   */
  readPartition(topicId: string, partition: number): Promise<PartitionEntry | undefined>;
  /** Calls `listener` for each change from now on, in order; it must not throw. */
  watchPartitions(listener: (change: PartitionChange) => void): Unwatch;
  /**
   * Changes the state of a partition if nobody has since `expectedRevision`; 0: if it has none yet.
   *
   * @param controllerTerm where given, also only while this node is the controller of that term
   * @throws UNAVAILABLE when this node is no member; TOPIC_NOT_FOUND; INVALID_ARGUMENT when the state contradicts itself or its
   *   epoch is below the one before; UNSUPPORTED on a node on its own for anything but what is
   */
  updatePartition(
    topicId: string,
    partition: number,
    expectedRevision: number,
    state: PartitionState,
    controllerTerm?: number,
  ): Promise<UpdateResult>;

  /** Stands for controller. @throws TypeError when this node does already */
  campaign(candidate: Candidate): Campaign;
  /** Id of the node that is controller, as far as is known here. */
  readonly controllerId: string | undefined;
  readonly rebalancing: Rebalancing;
}

/** What a state says against itself, in words for people; undefined: nothing. */
export function contradictionIn(state: PartitionState): string | undefined {
  const { replicas, leader, leaderEpoch, isr } = state;
  if (new Set(replicas).size !== replicas.length) return 'a replica is named twice';
  if (new Set(isr).size !== isr.length) return 'an in-sync replica is named twice';
  if (isr.some((id) => !replicas.includes(id))) return 'an in-sync replica is none of the replicas';
  if (leader !== null && !replicas.includes(leader)) return 'the leader is none of the replicas';
  if (!Number.isSafeInteger(leaderEpoch) || leaderEpoch < 0) return 'the leader epoch is no number from 0';
  return undefined;
}

/** Whether a node leads a partition that no other has a copy of: nobody can take it over. */
export function isOnlyCopy({ leader, replicas }: PartitionState, nodeId: string): boolean {
  return leader === nodeId && replicas.every((id) => id === nodeId);
}

import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { ErrorCode, SluiceError } from '../kernel/errors.ts';
import type { FetcherObserver } from '../partition/fetcher.ts';
import type { Partition } from '../partition/partition.ts';

/** A replica as who watches it knows it. */
export interface ReplicaPlace {
  readonly topic: TopicDefinition;
  readonly partition: number;
}

/** Told, in the same turn, which partitions can be used and which can no longer; must not throw. */
export interface ReplicaListener {
  /** It has its first role. */
  onOpened(topic: TopicDefinition, partition: Partition): void;
  /** It is being closed. */
  onClosed(topic: TopicDefinition, partition: Partition): void;
}

/** Told how replicas fare; must not throw. */
export interface ReplicaObserver extends FetcherObserver {
  /** It cannot be opened, or cannot have the role it should have; it is tried again. Told once for each error. */
  onFailed(place: ReplicaPlace, error: SluiceError): void;
  /** It could after all. */
  onRecovered(place: ReplicaPlace): void;
  /** It has lost what it had: it leaves the in-sync replicas before anything else. */
  onLost(place: ReplicaPlace): void;
  onRole(place: ReplicaPlace, role: Partition['role'], leaderEpoch: number): void;
  /** As a follower it had, from `to` on, what its leader has not. */
  onTruncated(place: ReplicaPlace, from: number, to: number): void;
  /** As a follower it lay outside of what its leader has, and begins empty at `to`. */
  onReset(place: ReplicaPlace, from: number, to: number): void;
  /** As a follower it could not go on, and tries again. */
  onPaused(place: ReplicaPlace, code: ErrorCode): void;
  /** It, or with `partition` undefined its topic, has left something behind that could not be taken away; it is tried again, told once for each error. */
  onRemoveFailed(topic: TopicDefinition, partition: number | undefined, error: SluiceError): void;
}

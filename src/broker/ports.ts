import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { Asker } from '../kernel/slots.ts';
import type { Partition } from '../partition/partition.ts';
import type { PartitionReader } from '../partition/reader.ts';
import type { Operation, Principal } from '../security/principal.ts';

export type { Operation, Principal };

/** The access decision; pure and quick, because every publish asks it. */
export interface Authorizer {
  /** @param topic a topic's literal name; undefined for what concerns the whole node */
  allows(principal: Principal, operation: Operation, topic: string | undefined): boolean;
  /**
   * Told of each request that was refused because nothing allows it; not of topics that are only left out of an answer.
   * @param operation `see`: to learn that the topic exists, for which any right would do
   */
  denied?(principal: Principal, operation: Operation | 'see', topic: string | undefined): void;
}

/** What a client shows to say who it is; with neither it is anonymous. */
export interface Credentials {
  readonly token?: string | undefined;
  /** DER of the client certificate that the transport has verified. */
  readonly certificate?: Buffer | undefined;
}

/** Turns credentials into a principal. */
export interface Authenticator {
  /** @throws UNAUTHENTICATED when they are wrong, expired or revoked, or when anonymous clients are not let in */
  authenticate(credentials: Credentials): Principal;
  /** Whether the credential that made a principal is still good; quick, because every connection is asked about each second. */
  isStillValid(principal: Principal): boolean;
}

/** What a node does for its cluster when it is asked; wired by who starts the node. */
export interface ClusterControl {
  /** Hands over what this node leads and takes nothing more, or takes its share again. @throws UNAVAILABLE without a lease */
  drain(draining: boolean): Promise<void>;
  /** Asks for partitions to be spread over the nodes there are; the controller does it in time. @throws UNAVAILABLE without a lease */
  rebalance(): Promise<void>;
}

/** Copies of partitions that other nodes keep, for who reads them here; fulfilled by observers. */
export interface Copies {
  /**
   * A copy that goes on by itself, whoever leads; it is kept for a while after it has been released as often as it was opened. Before
   * that it is closed only when its topic is deleted, or the node stops.
   * @throws OVERLOADED when there are too many
   */
  open(topic: TopicDefinition, partition: number): Partition;
  release(topic: TopicDefinition, partition: number): void;
}

/** What the holder of a token may do to the topics that match `topics` (`*` is any run of characters). */
export interface TokenGrant {
  readonly topics: string;
  readonly operations: readonly Operation[];
}

/** What a new token shall be. */
export interface NewToken {
  /** Name of the principal that shows it. */
  readonly principal: string;
  readonly grants: readonly TokenGrant[];
  /** Milliseconds since 1970; 0 = never. */
  readonly expiresMs: number;
}

/** A token without anything secret. */
export interface TokenDescription extends NewToken {
  readonly id: string;
  readonly createdMs: number;
}

/** What a gateway knows about a subscription and the broker shows in `listSubscriptions`; asked only then. */
export interface SubscriberInfo {
  readonly connection: string;
  readonly clientId: string;
  /** The client's number of the subscription; 0 in raw mode. */
  readonly subscriptionId: number;
  readonly name: string;
  readonly delivery: 'ordered' | 'unordered' | 'datagram';
  readonly paused: boolean;
  /** Total milliseconds that this partition's stream has waited for the subscriber's window. */
  blockedMs(topic: string, partition: number): number;
}

/** Who subscribes. */
export interface Subscriber extends SubscriberInfo {
  /** Waits for the subscription to be open: when it goes, logs are not searched any more for where it begins. Left out: somebody waits to the end. */
  readonly asker?: Asker | undefined;
  /** Takes over the reader of a partition; it is closed with the subscription. When the topic is deleted it says `ended`. */
  takePartition(reader: PartitionReader): void;
}

import type { TopicSettings } from '../coordination/coordinator.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import type { SubscriberInfo } from './ports.ts';

/** A place in a partition. */
export interface Position {
  readonly topic: string;
  readonly partition: number;
  /** Next offset wanted. */
  readonly offset: number;
}

/** Why something cannot be used now. */
export interface Fault {
  readonly code: ErrorCode;
  /** For people. */
  readonly message: string;
}

/** A partition as `describeTopic` shows it; ends are exclusive. */
export interface PartitionDescription {
  readonly partition: number;
  /** Empty: nobody leads it. */
  readonly leaderNodeId: string;
  readonly leaderEpoch: number;
  /** Nodes that have a copy, preferred leader first. */
  readonly replicas: readonly string[];
  /** Those of them that are in sync. */
  readonly isr: readonly string[];
  readonly logStart: number;
  readonly highWatermark: number;
  readonly logEnd: number;
  /** In memory, or on the disk. */
  readonly retainedBytes: number;
  /** Readers open now, at the leader and at the node that says this. */
  readonly subscribers: number;
  /** Why it takes nothing now. */
  readonly error: Fault | undefined;
}

/** A topic as `describeTopic` shows it. */
export interface TopicDescription {
  readonly name: string;
  readonly id: string;
  readonly settings: TopicSettings;
  readonly partitions: readonly PartitionDescription[];
  readonly createdMs: number;
  /** Why none of its partitions can be opened here, where they should be; then none is named. */
  readonly error: Fault | undefined;
}

/** Where a topic's partitions are led, or why that cannot be said. */
export interface TopicMetadata {
  readonly name: string;
  readonly error: Fault | undefined;
  readonly partitions: readonly Pick<PartitionDescription, 'partition' | 'leaderNodeId' | 'leaderEpoch'>[];
}

/** One subscription and partition. */
export interface SubscriptionStatus extends Omit<SubscriberInfo, 'blockedMs'> {
  readonly principal: string;
  readonly filter: string;
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly lagRecords: number;
  readonly lagBytes: number;
  /** Age of the oldest record not yet sent; 0 when there is none. */
  readonly lagMs: number;
  readonly blockedMs: number;
  readonly gapRecords: number;
}

/** The node in numbers, as far as the broker knows them; connections and bytes out are the gateway's. */
export interface BrokerStatus {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly uptimeMs: number;
  readonly subscriptions: number;
  readonly topics: number;
  readonly partitions: number;
  /** Topics of which a copy here cannot be used. */
  readonly failedTopics: number;
  readonly retainedBytes: number;
  /** Part of `retainedBytes` that is on disk, */
  readonly diskBytes: number;
  /** in so many segment files. */
  readonly diskSegments: number;
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly draining: boolean;
}

/** What topics are like unless somebody says otherwise, and how many there may be. */
export interface TopicDefaults {
  /** Create a topic when it is first published or subscribed to. */
  readonly autoCreate: boolean;
  readonly partitions: number;
  readonly settings: TopicSettings;
  /** Topics in all; one more is OVERLOADED. Default of the configuration: 10,000. */
  readonly maxTopics: number;
  /** Partitions of all topics together; one more is OVERLOADED. Default of the configuration: 4,096. */
  readonly maxPartitions: number;
}

import type { TokenStore } from '../security/token.ts';
import type { Cluster } from './cluster.ts';
import type { Unwatch } from './unwatch.ts';

export type { Unwatch } from './unwatch.ts';

/** How a topic keeps its records. */
export interface TopicSettings {
  readonly storage: 'memory' | 'disk';
  /** Per partition; a memory topic always has this bound, on disk 0 = none. */
  readonly retentionBytes: number;
  /** Milliseconds since the append; 0 = no bound. */
  readonly retentionMs: number;
  /** Per partition; 0 = no bound. */
  readonly retentionRecords: number;
  readonly batchMaxBytes: number;
  /** `create`: records keep the producer's time; `append`: the broker stamps its own. */
  readonly timestamps: 'create' | 'append';
  /**
   * Disk: when a batch counts as stored. `always`: when it is on the disk; `interval`: when the operating system has it, which is
   * synced every {@link TopicSettings.flushIntervalMs}; `os`: when the operating system has it.
   */
  readonly flush: 'always' | 'interval' | 'os';
  /** Milliseconds between two syncs with `interval`. */
  readonly flushIntervalMs: number;
  /** What goes when: `delete` by the bounds of retention, `compact` (disk only) all but the latest record of each key. */
  readonly cleanup: 'delete' | 'compact' | 'compact,delete';
  /** Milliseconds that compaction keeps the record that deletes a key, so that readers learn of it. */
  readonly tombstoneMs: number;
  /** Nodes that keep a copy of each partition; 1 on a node on its own. */
  readonly replicationFactor: number;
  /** In-sync replicas, the leader among them, below which `acks: all` is refused; at most {@link TopicSettings.replicationFactor}. */
  readonly minInsync: number;
  /** Whether a replica that was not in sync may become leader when no other is left, which loses records that were acknowledged. */
  readonly uncleanElection: boolean;
}

/** A topic as all nodes know it. */
export interface TopicDefinition {
  readonly name: string;
  /** Unique for ever: a topic deleted and created again has another one. */
  readonly id: string;
  /** Partitions are numbered from 0. */
  readonly partitions: number;
  readonly settings: TopicSettings;
  /** Milliseconds since 1970. */
  readonly createdMs: number;
}

/** What `createTopic` needs; the coordinator adds id and time. */
export type NewTopic = Pick<TopicDefinition, 'name' | 'partitions' | 'settings'>;

/** What of a topic shall be another; what is left out stays. */
export interface TopicAlteration {
  readonly partitions?: number | undefined;
  readonly settings?: Partial<TopicSettings>;
}

/**
 * An alteration, or what it is for a topic as it is when it is made, which others may have altered a moment before. It may be asked several times;
 * what it throws is what the alteration is refused with.
 */
export type Alter = TopicAlteration | ((now: TopicDefinition) => TopicAlteration);

/** What happened to a topic. */
export type TopicChange =
  | { readonly kind: 'created' | 'altered'; readonly topic: TopicDefinition }
  | { readonly kind: 'deleted'; readonly topic: TopicDefinition };

/**
 * Offsets of a memory partition that are set aside with one write. After a crash the partition goes on at the ceiling, so this
 * is also how far offsets jump then; 2^53 leaves room for 33 million crashes.
 */
export const OFFSET_BLOCK = 2 ** 28;

/** Leadership of a partition, as given to this node. */
export interface PartitionClaim {
  /** Larger than that of any claim of this partition before. */
  readonly leaderEpoch: number;
  /** At or above every offset that an earlier claim may have handed out; 0 for the first claim. */
  readonly firstOffset: number;
  /** Offsets below it may be handed out; more after {@link Coordinator.reserveOffsets}. On disk: 0 until a log has been begun. */
  readonly offsetCeiling: number;
}

/**
 * What nodes must agree on: topics, leadership, producer ids, tokens.
 *
 * Two implementations: embedded (one node, files in the data directory) and etcd (a cluster). Reads are from a local view and
 * synchronous; a change is durable when its promise resolves, and watchers have been told by then. A change that fails has
 * changed nothing, but for UNAVAILABLE and TIMEOUT of a cluster: then nobody knows, and it may still be seen.
 *
 * Every method that changes something `@throws` STORAGE_FULL or STORAGE_FAILED when it could not be made durable; the process
 * goes on and the call may be repeated. UNAVAILABLE after disposal. In a cluster also UNAVAILABLE and TIMEOUT when the others cannot be
 * reached; UNAUTHENTICATED, FORBIDDEN and CERTIFICATE_REJECTED when etcd does not let this node.
 */
export interface Coordinator extends AsyncDisposable {
  readonly clusterId: string;
  readonly nodeId: string;
  /** Membership, who leads what, and the controller. */
  readonly cluster: Cluster;

  /** All topics, in order of name. */
  topics(): readonly TopicDefinition[];
  topic(name: string): TopicDefinition | undefined;
  /** @throws TOPIC_EXISTS; INVALID_ARGUMENT for more replicas than there can be */
  createTopic(topic: NewTopic): Promise<TopicDefinition>;
  /**
   * Changes settings and adds partitions; what is left out stays.
   * @throws TOPIC_NOT_FOUND; INVALID_ARGUMENT when there would be fewer partitions, or more replicas than there can be
   */
  alterTopic(name: string, alter: Alter): Promise<TopicDefinition>;
  /** @throws TOPIC_NOT_FOUND */
  deleteTopic(name: string): Promise<void>;
  /** Calls `listener` for each change from now on, in order; it must not throw. */
  watchTopics(listener: (change: TopicChange) => void): Unwatch;

  /**
   * Takes leadership of a partition for this node.
   *
   * A log on disk keeps its own offsets: claiming sets none aside, and what was reserved only says that the log has been begun.
   *
   * In a cluster only the node that its state names as leader can, and the claim raises the leader epoch of that state.
   *
   * @throws TOPIC_NOT_FOUND; NOT_LEADER when another node holds it, or nobody yet; UNAVAILABLE without a lease
   */
  claimPartition(topicId: string, partition: number): Promise<PartitionClaim>;
  /**
   * Lets this node hand out offsets of a memory partition up to `ceiling` (exclusive), so that the next claim begins above
   * them. Lowering it to the log end on an orderly stop keeps offsets without a hole.
   * @throws TOPIC_NOT_FOUND; NOT_LEADER when it was claimed by another node since; UNAVAILABLE without a lease
   */
  reserveOffsets(topicId: string, partition: number, ceiling: number): Promise<void>;

  /**
   * Secret of the cluster, 32 bytes: the same on all its nodes and over restarts. Binds producer ids to who took them.
   */
  readonly producerKey: Buffer;
  /** A number for a producer id that was never given before; from 1. */
  allocateProducerId(): Promise<number>;

  /** Token records, without secrets. */
  readonly tokens: TokenStore;
}

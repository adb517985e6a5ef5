import type { PartitionReader, Start } from '../partition/reader.ts';

/** A fact of a coordinator's state; the last of each key counts. */
export interface StateRecord {
  /** `g/<group>`, `o/<group>/<topic>/<partition>`, `q/<topic>/<group>`, `q/<topic>/<group>/<partition>/…`. */
  readonly key: string;
  /** Null: the key is gone. */
  readonly value: Buffer | null;
}

/** Where a coordinator keeps what it must not forget: one partition of the topic `__groups`, in one epoch that this node leads it. */
export interface StateLog {
  /** Number of the partition. */
  readonly partition: number;
  readonly leaderEpoch: number;
  /**
   * Stores records: what one turn appends is one batch, and batches are stored in the order of the calls. What is too much for one batch
   * is several, in order: after a crash there may be only the first of them.
   *
   * Resolves when all in-sync replicas have them, on disk. When it rejects they may be stored all the same, and nothing behind them is: the
   * coordinator then ends, and whoever leads next reads what there is.
   *
   * @throws NOT_LEADER, NOT_ENOUGH_REPLICAS, UNAVAILABLE, STORAGE_FULL, STORAGE_FAILED
   */
  append(records: readonly StateRecord[]): Promise<void>;
}

/** A topic as groups see it. */
export interface TopicFacts {
  /** A topic that was deleted and made again has another. */
  readonly id: string;
  readonly name: string;
  readonly partitions: number;
}

/** A cursor that goes on whoever leads its partition, until it is closed. */
export interface OpenReader {
  readonly reader: PartitionReader;
  /** Idempotent. */
  close(): void;
}

/** How a record was stored that a queue has published. */
export interface PublishedAt {
  readonly kind: 'appended' | 'duplicate';
  readonly baseOffset: number;
}

/** The topics that groups and queues read, and publish to, wherever they are led. No rights are asked for: who asks a coordinator has them. */
export interface Topics {
  find(name: string): TopicFacts | undefined;
  /** Those that are no internal ones. */
  all(): readonly TopicFacts[];
  /** Calls back, in the same turn, when a topic was made, changed or deleted. @returns ends that */
  watch(listener: (name: string) => void): () => void;
  /** @throws TOPIC_NOT_FOUND where it is not made by itself */
  findOrCreate(name: string): Promise<TopicFacts>;
  /** Makes a topic, with the partitions and settings of another, or takes the one there is. */
  ensureLike(name: string, like: string): Promise<TopicFacts>;
  /** The first offset that a reader beginning at `start` would want. @throws NOT_LEADER, UNAVAILABLE, TIMEOUT, TOPIC_NOT_FOUND */
  offsetAt(topic: string, partition: number, start: Start): Promise<number>;
  /** Where each begins, in order. @throws as {@link offsetAt} */
  starts(topic: string, partitions: readonly number[]): Promise<readonly number[]>;
  /** Exclusive ends of what readers see, in order. @throws as {@link offsetAt} */
  ends(topic: string, partitions: readonly number[]): Promise<readonly number[]>;
  /** @throws OFFSET_OUT_OF_RANGE, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND; NOT_LEADER when it cannot be read anywhere within five seconds */
  openReader(topic: string, partition: number, start: Start): Promise<OpenReader>;
  /** A producer id that publishes of {@link publish} may carry. */
  initProducer(): Promise<number>;
  /**
   * Publishes one batch, with `acks: all`.
   * @throws as `Broker.publish`; after UNAVAILABLE and TIMEOUT it may be stored
   */
  publish(topic: string, partition: number, batch: Buffer): Promise<PublishedAt>;
}

import { SluiceError } from '../../kernel/errors.ts';
import { partitionOfKey } from '../../wire/partitioner.ts';
import type { HeaderInput } from '../../wire/record-batch-encoder.ts';
import type { Delivery } from './outgoing-batch.ts';
import type { QueueHost } from './partition-queue.ts';
import { PartitionQueue } from './partition-queue.ts';
import type { TopicShape } from '../topic-directory.ts';

/** A record in bytes, ready to be put into a batch. */
export interface EncodedRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly HeaderInput[];
  readonly timestampMs: number;
  readonly partition: number | undefined;
  readonly delivery: Delivery | undefined;
}

/**
 * What a producer has for one topic: the choice of the partition, and a queue for each.
 *
 * With a key, the key's hash decides. Without, records stay on one partition until its batch is complete and then move on to the
 * next one, so that batches are full and partitions even.
 */
export class TopicLane {
  readonly topic: string;
  readonly #host: QueueHost;
  readonly #queues: PartitionQueue[] = [];
  #partitions: number;
  #leaderEpochs: readonly number[];
  #leaders: readonly string[];
  #sticky: number;

  /** @param firstSticky partition for the first record without key; any number */
  constructor(host: QueueHost, topic: string, shape: TopicShape, firstSticky: number) {
    this.topic = topic;
    this.#host = host;
    this.#partitions = shape.partitions;
    this.#leaderEpochs = shape.leaderEpochs;
    this.#leaders = shape.leaders;
    this.#sticky = firstSticky % shape.partitions;
  }

  /** Queues that were used so far. */
  get queues(): readonly PartitionQueue[] {
    return this.#queues.filter(Boolean);
  }

  /** The topic may have another number of partitions now. What waits for one that is gone is refused by the broker. */
  setShape({ partitions, leaderEpochs, leaders }: TopicShape): void {
    this.#partitions = partitions;
    this.#leaderEpochs = leaderEpochs;
    this.#leaders = leaders;
    this.#sticky %= partitions;
  }

  /** Node that leads a partition, as far as is known; empty or undefined: none. */
  leader(partition: number): string | undefined {
    return this.#leaders[partition];
  }

  /** Whether a node leads one of the partitions in use, as far as is known. */
  isLedBy(nodeId: string): boolean {
    return this.queues.some(({ partition }) => this.#leaders[partition] === nodeId);
  }

  /** Undefined until the broker of the connection there is now has told. */
  leaderEpoch(partition: number): number | undefined {
    return this.#leaderEpochs[partition];
  }

  /** There is another connection, or a leader's was lost: a broker has perhaps begun anew. */
  forgetEpochs(): void {
    this.#leaderEpochs = [];
  }

  /** @throws PARTITION_NOT_FOUND when a partition is named that the topic does not have; INVALID_ARGUMENT for a wrong time */
  append(record: EncodedRecord): void {
    const { key, value, headers, timestampMs, delivery } = record;
    const queue = this.#choose(record);
    const completed = queue.append(key, value, headers, timestampMs, delivery);
    if (completed && key === null && record.partition === undefined) this.#moveOn();
  }

  #choose(record: EncodedRecord): PartitionQueue {
    const { key, partition } = record;
    if (partition !== undefined) return this.#queue(partition);
    if (key !== null) return this.#queue(partitionOfKey(key, this.#partitions));
    const queue = this.#queue(this.#sticky);
    if (queue.fits(key, record.value, record.headers)) return queue;
    queue.complete();
    this.#moveOn();
    return this.#queue(this.#sticky);
  }

  #moveOn(): void {
    this.#sticky = (this.#sticky + 1) % this.#partitions;
  }

  #queue(partition: number): PartitionQueue {
    return (partition < this.#partitions ? this.#queues[partition] : undefined) ?? this.#open(partition);
  }

  #open(partition: number): PartitionQueue {
    if (!Number.isInteger(partition) || partition < 0 || partition >= this.#partitions) {
      const text = `topic '${this.topic}' has partitions 0 to ${this.#partitions - 1}, and no ${partition}`;
      throw new SluiceError('PARTITION_NOT_FOUND', text);
    }
    const queue = new PartitionQueue(this.#host, this.topic, partition);
    this.#queues[partition] = queue;
    return queue;
  }
}

import type { TopicFilter } from '../catalog/topic-filter.ts';
import type { Partition } from '../partition/partition.ts';
import type { PartitionReader, Start } from '../partition/reader.ts';
import type { OpenTopic } from './open-topic.ts';
import type { Principal, SubscriberInfo } from './ports.ts';
import type { Position, SubscriptionStatus } from './views.ts';

/** A live subscription. */
export interface Subscription {
  readonly filter: string;
  /** Where each partition that is open now goes on. */
  positions(): readonly Position[];
  /** Closes its readers and takes no new partitions. Idempotent. */
  close(): void;
}

/** What a subscription is made of. */
export interface SubscriptionParts {
  readonly principal: Principal;
  readonly filter: TopicFilter;
  readonly start: Start;
  readonly resume: readonly Position[];
  readonly subscriber: SubscriberInfo;
  /** Whether the principal may read a topic that the filter matches. */
  readonly mayRead: (topic: string) => boolean;
  readonly onPartition: (reader: PartitionReader) => void;
}

/** Shared by the subscriptions that resume nothing, which are most: thousands may be idle. */
const NOWHERE: ReadonlyMap<string, number> = new Map();

/** One subscription: the readers of all partitions that it matches. */
class LiveSubscription implements Subscription {
  readonly parts: SubscriptionParts;
  readonly #onClose: (subscription: LiveSubscription) => void;
  /** By topic and partition, see {@link placeOf}. */
  readonly #readers = new Map<string, PartitionReader>();
  /** Places whose reader is being opened. */
  readonly #opening = new Set<string>();
  readonly #resume: ReadonlyMap<string, number>;
  #closed = false;

  constructor(parts: SubscriptionParts, onClose: (subscription: LiveSubscription) => void) {
    this.parts = parts;
    this.#onClose = onClose;
    const { resume } = parts;
    this.#resume =
      resume.length === 0 ? NOWHERE : new Map(resume.map((position) => [placeOf(position), position.offset]));
  }

  get filter(): string {
    return this.parts.filter.text;
  }

  /** Opens readers of what is there; all or, when one throws, none. Synchronous where no log has to be searched on disk. */
  start(topics: Iterable<OpenTopic>): void | Promise<void> {
    const partitions = [...topics]
      .filter((topic) => this.#matches(topic))
      .flatMap((topic) => topic.partitions);
    const ready: PartitionReader[] = [];
    const searching: Promise<PartitionReader>[] = [];
    try {
      for (const partition of partitions) {
        const reader = partition.openReader(this.#startOf(partition), this.parts.filter.matchesKey);
        if (reader instanceof Promise) searching.push(reader);
        else ready.push(reader);
      }
    } catch (error) {
      this.#abandon(ready, searching);
      throw error;
    }
    if (searching.length > 0) return this.#startLater(partitions, ready, searching);
    this.#take(ready);
  }

  /** Takes partitions that have come into being since: all in them is new. */
  add(topic: OpenTopic, partitions: readonly Partition[]): void {
    if (this.#closed || !this.#matches(topic)) return;
    for (const partition of partitions) {
      if (this.#readers.has(placeOf(partition)) || this.#opening.has(placeOf(partition))) continue;
      const resumed = this.#resume.get(placeOf(partition)) ?? Infinity;
      const start: Start =
        resumed <= partition.logEnd ? { at: 'offset', offset: resumed } : { at: 'earliest' };
      const reader = partition.openReader(start, this.parts.filter.matchesKey);
      if (reader instanceof Promise) throw new TypeError('this start needs no search');
      this.#take([reader]);
    }
  }

  /** Forgets partitions that are gone; their readers have ended. */
  drop(partitions: readonly Partition[]): void {
    for (const partition of partitions) this.#readers.delete(placeOf(partition));
  }

  positions(): readonly Position[] {
    return [...this.#readers.values()].map(({ topic, partition, nextOffset }) => ({
      topic,
      partition,
      offset: nextOffset,
    }));
  }

  status(): readonly SubscriptionStatus[] {
    const { principal, subscriber } = this.parts;
    return [...this.#readers.values()].map((reader) => {
      const { topic, partition, nextOffset, gapRecords } = reader;
      const lag = reader.lag();
      return {
        connection: subscriber.connection,
        clientId: subscriber.clientId,
        principal: principal.name,
        subscriptionId: subscriber.subscriptionId,
        name: subscriber.name,
        filter: this.filter,
        topic,
        partition,
        nextOffset,
        lagRecords: lag.records,
        lagBytes: lag.bytes,
        lagMs: lag.ms,
        blockedMs: subscriber.blockedMs(topic, partition),
        gapRecords,
        delivery: subscriber.delivery,
        paused: subscriber.paused,
      };
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const reader of this.#readers.values()) reader.close();
    this.#readers.clear();
    this.#onClose(this);
  }

  #matches(topic: OpenTopic): boolean {
    return this.parts.filter.matchesTopic(topic.name) && this.parts.mayRead(topic.name);
  }

  #startOf(partition: Partition): Start {
    const offset = this.#resume.get(placeOf(partition));
    return offset === undefined ? this.parts.start : { at: 'offset', offset };
  }

  async #startLater(
    partitions: readonly Partition[],
    ready: readonly PartitionReader[],
    searching: readonly Promise<PartitionReader>[],
  ): Promise<void> {
    for (const partition of partitions) this.#opening.add(placeOf(partition));
    try {
      this.#take([...ready, ...(await Promise.all(searching))]);
    } catch (error) {
      this.#abandon(ready, searching);
      throw error;
    } finally {
      for (const partition of partitions) this.#opening.delete(placeOf(partition));
    }
  }

  #take(readers: readonly PartitionReader[]): void {
    if (this.#closed) {
      this.#abandon(readers, []);
      return;
    }
    for (const reader of readers) this.#readers.set(placeOf(reader), reader);
    for (const reader of readers) this.parts.onPartition(reader);
  }

  #abandon(ready: readonly PartitionReader[], searching: readonly Promise<PartitionReader>[]): void {
    for (const reader of ready) reader.close();
    for (const reader of searching) {
      reader.then(
        (late) => late.close(),
        () => undefined,
      );
    }
  }
}

function placeOf(place: { readonly topic: string; readonly partition: number }): string {
  return `${place.topic}/${place.partition}`;
}

/** All subscriptions of this node. */
export class Subscriptions {
  readonly #live = new Set<LiveSubscription>();

  get size(): number {
    return this.#live.size;
  }

  /**
   * Opens a subscription on the topics there are and keeps it up to date.
   *
   * Returns with `onPartition` called for each partition, and does so without ever waiting where all logs are in memory.
   *
   * @throws OFFSET_OUT_OF_RANGE and what else opening a reader throws; nothing stays open then
   */
  open(parts: SubscriptionParts, topics: Iterable<OpenTopic>): Subscription | Promise<Subscription> {
    const subscription = new LiveSubscription(parts, (closed) => this.#live.delete(closed));
    this.#live.add(subscription);
    try {
      const starting = subscription.start(topics);
      if (!starting) return subscription;
      return starting.then(
        () => subscription,
        (error: unknown) => {
          subscription.close();
          throw error;
        },
      );
    } catch (error) {
      subscription.close();
      throw error;
    }
  }

  onOpened(topic: OpenTopic, partitions: readonly Partition[]): void {
    for (const subscription of this.#live) subscription.add(topic, partitions);
  }

  onClosed(partitions: readonly Partition[]): void {
    for (const subscription of this.#live) subscription.drop(partitions);
  }

  /** Every partition of the subscriptions that `isVisible` lets through. */
  status(isVisible: (principal: Principal) => boolean): readonly SubscriptionStatus[] {
    return [...this.#live].filter(({ parts }) => isVisible(parts.principal)).flatMap((one) => one.status());
  }
}

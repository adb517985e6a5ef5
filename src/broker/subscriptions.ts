import type { TopicFilter } from '../catalog/topic-filter.ts';
import { takesTopic } from '../catalog/topic-filter.ts';
import type { Partition } from '../partition/partition.ts';
import type { Place } from '../partition/place-table.ts';
import { PlaceTable } from '../partition/place-table.ts';
import type { PartitionReader, Start } from '../partition/reader.ts';
import type { AccessControl } from './access-control.ts';
import type { OpenTopic } from './open-topic.ts';
import type { Principal, Subscriber } from './ports.ts';
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
  readonly subscriber: Subscriber;
}

/** Shared by the subscriptions that resume nothing, which are most: thousands may be idle. */
const NOWHERE: ReadonlyMap<string, number> = new Map();

/** One subscription: the readers of all partitions that it matches. It keeps little: thousands may be idle. */
class LiveSubscription implements Subscription {
  readonly principal: Principal;
  readonly #owner: Subscriptions;
  readonly #filter: TopicFilter;
  readonly #subscriber: Subscriber;
  readonly #readers = new PlaceTable<PartitionReader>();
  /** Partitions whose reader is being opened; undefined while there is none. */
  #opening: Set<Partition> | undefined;
  readonly #resume: ReadonlyMap<string, number>;
  #closed = false;

  constructor({ principal, filter, subscriber, resume }: SubscriptionParts, owner: Subscriptions) {
    this.principal = principal;
    this.#filter = filter;
    this.#subscriber = subscriber;
    this.#owner = owner;
    this.#resume =
      resume.length === 0 ? NOWHERE : new Map(resume.map((position) => [placeOf(position), position.offset]));
  }

  get filter(): string {
    return this.#filter.text;
  }

  /** Opens readers of what is there; all or, when one throws, none. Synchronous where no log has to be searched on disk. */
  start(topics: Iterable<OpenTopic>, start: Start): void | Promise<void> {
    const partitions = [...topics]
      .filter((topic) => this.#matches(topic))
      .flatMap((topic) => topic.partitions);
    const ready: PartitionReader[] = [];
    const searching: Promise<PartitionReader>[] = [];
    try {
      for (const partition of partitions) {
        const reader = partition.openReader(this.#startOf(partition, start), this.#filter.matchesKey);
        if (reader instanceof Promise) searching.push(reader);
        else ready.push(reader);
      }
    } catch (error) {
      abandon(ready, searching);
      throw error;
    }
    if (searching.length > 0) return this.#startLater(partitions, ready, searching);
    this.#take(ready);
  }

  /** Takes partitions that have come into being since: all in them is new. */
  add(topic: OpenTopic, partitions: readonly Partition[]): void {
    if (this.#closed || !this.#matches(topic)) return;
    for (const partition of partitions) {
      if (this.#readers.get(partition) || this.#opening?.has(partition)) continue;
      const resumed = this.#resume.get(placeOf(partition)) ?? Infinity;
      const start: Start =
        resumed <= partition.logEnd ? { at: 'offset', offset: resumed } : { at: 'earliest' };
      const reader = partition.openReader(start, this.#filter.matchesKey);
      if (reader instanceof Promise) throw new TypeError('this start needs no search');
      this.#take([reader]);
    }
  }

  /** Forgets partitions that are gone; their readers have ended. */
  drop(partitions: readonly Partition[]): void {
    for (const partition of partitions) this.#readers.delete(partition);
  }

  positions(): readonly Position[] {
    return this.#readers.values().map(({ topic, partition, nextOffset }) => ({
      topic,
      partition,
      offset: nextOffset,
    }));
  }

  status(): readonly SubscriptionStatus[] {
    const { principal } = this;
    const subscriber = this.#subscriber;
    return this.#readers.values().map((reader) => {
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
    this.#owner.forget(this);
  }

  #matches(topic: OpenTopic): boolean {
    return (
      // A pattern takes longer, and is the client's.
      this.#owner.access.allows(this.principal, 'subscribe', topic.name) &&
      takesTopic(this.#filter, topic.name)
    );
  }

  #startOf(partition: Partition, start: Start): Start {
    const offset = this.#resume.get(placeOf(partition));
    return offset === undefined ? start : { at: 'offset', offset };
  }

  async #startLater(
    partitions: readonly Partition[],
    ready: readonly PartitionReader[],
    searching: readonly Promise<PartitionReader>[],
  ): Promise<void> {
    this.#opening = new Set(partitions);
    try {
      this.#take([...ready, ...(await Promise.all(searching))]);
    } catch (error) {
      abandon(ready, searching);
      throw error;
    } finally {
      this.#opening = undefined;
    }
  }

  #take(readers: readonly PartitionReader[]): void {
    if (this.#closed) {
      abandon(readers, []);
      return;
    }
    for (const reader of readers) this.#readers.set(reader);
    for (const reader of readers) this.#subscriber.takePartition(reader);
  }
}

function abandon(ready: readonly PartitionReader[], searching: readonly Promise<PartitionReader>[]): void {
  for (const reader of ready) reader.close();
  for (const reader of searching) {
    reader.then(
      (late) => late.close(),
      () => undefined,
    );
  }
}

function placeOf(place: Place): string {
  return `${place.topic}/${place.partition}`;
}

/** All subscriptions of this node. */
export class Subscriptions {
  readonly access: AccessControl;
  readonly #live = new Set<LiveSubscription>();

  constructor(access: AccessControl) {
    this.access = access;
  }

  get size(): number {
    return this.#live.size;
  }

  /**
   * Opens a subscription on the topics there are and keeps it up to date.
   *
   * The subscriber has the reader of each partition when it is open, and that without ever waiting where all logs are in memory.
   *
   * @throws OFFSET_OUT_OF_RANGE and what else opening a reader throws; nothing stays open then
   */
  open(parts: SubscriptionParts, topics: Iterable<OpenTopic>): Subscription | Promise<Subscription> {
    const subscription = new LiveSubscription(parts, this);
    this.#live.add(subscription);
    try {
      const starting = subscription.start(topics, parts.start);
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

  /** A subscription is closed. */
  forget(subscription: LiveSubscription): void {
    this.#live.delete(subscription);
  }

  onOpened(topic: OpenTopic, partitions: readonly Partition[]): void {
    for (const subscription of this.#live) subscription.add(topic, partitions);
  }

  onClosed(partitions: readonly Partition[]): void {
    for (const subscription of this.#live) subscription.drop(partitions);
  }

  /** Every partition of the subscriptions that `isVisible` lets through. */
  status(isVisible: (principal: Principal) => boolean): readonly SubscriptionStatus[] {
    return [...this.#live].filter(({ principal }) => isVisible(principal)).flatMap((one) => one.status());
  }
}

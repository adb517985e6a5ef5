import type { TopicFilter } from '../../catalog/topic-filter.ts';
import { takesTopic } from '../../catalog/topic-filter.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { LogReader } from '../../partition/log-reader.ts';
import type { Partition } from '../../partition/partition.ts';
import type { Place } from '../../partition/place-table.ts';
import { PlaceTable } from '../../partition/place-table.ts';
import type { Start } from '../../partition/reader.ts';
import type { AccessControl } from '../access-control.ts';
import type { DistantParts, Wanted } from './distant-readers.ts';
import { DistantReaders } from './distant-readers.ts';
import type { TopicPartition } from '../leader-questions.ts';
import type { OpenTopic } from '../topics/open-topic.ts';
import type { Principal, Subscriber } from '../ports.ts';
import type { Position, SubscriptionStatus } from '../views.ts';

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
  /** Undefined: all. */
  readonly partitions?: ReadonlySet<number> | undefined;
  readonly subscriber: Subscriber;
}

/** What a subscription asks of all of them. */
export interface SubscriptionOwner {
  readonly access: AccessControl;
  /** Undefined on a node on its own, which leads everything. */
  readonly distant: DistantParts | undefined;
  /** It is closed. */
  forget(subscription: LiveSubscription): void;
}

/** A log that is being searched for where a reader begins. */
interface Search {
  readonly key: string;
  /** Undefined: there is nothing to read, or it is read elsewhere. */
  readonly reader: Promise<LogReader | undefined>;
}

/** Shared by the subscriptions that resume nothing, which are most: thousands may be idle. */
const NOWHERE: ReadonlyMap<string, number> = new Map();
const EARLIEST: Start = { at: 'earliest' };

/**
 * One subscription: the readers of all partitions that it matches. It keeps little: thousands may be idle.
 *
 * A reader outlives the copy that it reads: when that goes it goes on at the same offset in another.
 */
export class LiveSubscription implements Subscription {
  readonly principal: Principal;
  readonly #owner: SubscriptionOwner;
  readonly #filter: TopicFilter;
  readonly #partitions: ReadonlySet<number> | undefined;
  readonly #subscriber: Subscriber;
  readonly #readers = new PlaceTable<LogReader>();
  readonly #distant: DistantReaders | undefined;
  /** Partitions whose reader is being opened; undefined while there is none. */
  #opening: Set<string> | undefined;
  readonly #resume: ReadonlyMap<string, number>;
  #closed = false;

  constructor(
    { principal, filter, partitions, subscriber, resume }: SubscriptionParts,
    owner: SubscriptionOwner,
  ) {
    this.principal = principal;
    this.#filter = filter;
    this.#partitions = partitions;
    this.#subscriber = subscriber;
    this.#owner = owner;
    this.#distant = owner.distant && new DistantReaders(owner.distant, filter.matchesKey);
    this.#resume =
      resume.length === 0 ? NOWHERE : new Map(resume.map((position) => [placeOf(position), position.offset]));
  }

  get filter(): string {
    return this.#filter.text;
  }

  /**
   * Opens readers of what is there; all or, when one throws, none. Synchronous where all is led here and no log has to be searched on disk.
   * @throws OFFSET_OUT_OF_RANGE and what else opening a reader throws
   */
  start(topics: Iterable<OpenTopic>, start: Start): void | Promise<void> {
    const ready: LogReader[] = [];
    const searching: Search[] = [];
    const distant: Wanted[] = [];
    try {
      for (const topic of topics) {
        if (!this.#matches(topic)) continue;
        for (let index = 0; index < topic.count; index++) {
          if (!this.#isWanted(index)) continue;
          const at = this.#startOf(topic, index, start);
          const copy = topic.copy(index);
          if (this.#distant && copy?.role !== 'leader') distant.push({ topic, index, at });
          else if (copy) this.#openHere({ topic, index, at }, copy, ready, searching);
        }
      }
    } catch (error) {
      abandon(searching);
      throw error;
    }
    if (searching.length > 0 || distant.length > 0) return this.#startLater(ready, searching, distant);
    this.#hand(ready);
  }

  /** A partition can be read here that could not, or elsewhere: all in it that was not there before is new. */
  add(topic: OpenTopic, index: number): void {
    if (this.#closed) return;
    const place = { topic: topic.name, partition: index };
    const reader = this.#readers.get(place);
    if (reader) {
      this.#move(reader, topic);
      return;
    }
    if (this.#opening?.has(placeOf(place)) || !this.#isWanted(index) || !this.#matches(topic)) return;
    if (this.#distant) this.#addDistant(this.#distant, topic, index);
    else this.#addHere(topic.copy(index));
  }

  /** The copy that a partition was read from is closing, and the topic goes on: so does the reader, elsewhere or later. */
  copyClosed(topic: OpenTopic, index: number): void {
    const reader = this.#readers.get({ topic: topic.name, partition: index });
    if (!reader || this.#distant?.isObserved(reader)) return;
    reader.suspend();
    this.#move(reader, topic);
  }

  /** A topic is gone, and with it its partitions; the readers of copies that are closed end by themselves. */
  topicDeleted(topic: OpenTopic): void {
    for (let index = 0; index < topic.count; index++) this.#drop({ topic: topic.name, partition: index });
  }

  /** Tries again what could not be done. */
  sweep(): void {
    if (!this.#distant || this.#closed) return;
    for (const reader of this.#readers.values()) this.#distant.move(reader);
    const openable = this.#distant.openable().filter((one) => !this.#opening?.has(keyOf(one)));
    if (openable.length > 0) void this.#openLater(openable);
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
    this.#distant?.close();
    this.#owner.forget(this);
  }

  /** The node stops: the readers that do not end with a copy of its own end here. */
  end(): void {
    for (const reader of this.#readers.values()) {
      if (reader.isSuspended || this.#distant?.isObserved(reader)) this.#drop(reader);
    }
  }

  #matches(topic: OpenTopic): boolean {
    return (
      // A pattern takes longer, and is the client's.
      this.#owner.access.allows(this.principal, 'subscribe', topic.name) &&
      takesTopic(this.#filter, topic.name)
    );
  }

  #isWanted(index: number): boolean {
    return this.#partitions?.has(index) ?? true;
  }

  /** A topic that is still being created is read from its beginning. */
  #startOf(topic: OpenTopic, index: number, start: Start): Start {
    const offset = this.#resume.get(`${topic.name}/${index}`);
    if (offset !== undefined) return { at: 'offset', offset };
    return topic.isReady ? start : EARLIEST;
  }

  #openHere(wanted: Wanted, copy: Partition, ready: LogReader[], searching: Search[]): void {
    const { topic, at } = wanted;
    const reader = copy.openReader(at, this.#filter.matchesKey, this.#subscriber.asker);
    if (!(reader instanceof Promise)) {
      // From now on it is moved with its partition.
      this.#readers.set(reader);
      ready.push(reader);
      return;
    }
    const found = reader.catch((error: unknown) => {
      if (!copy.closed || (topic.isDeleted && this.#filter.topic !== undefined)) throw error;
      this.#distant?.note(wanted);
      return undefined;
    });
    searching.push({ key: keyOf(wanted), reader: found });
  }

  async #startLater(
    ready: LogReader[],
    searching: readonly Search[],
    distant: readonly Wanted[],
  ): Promise<void> {
    const keys = [...distant.map(keyOf), ...searching.map(({ key }) => key)];
    const take = (reader: LogReader | undefined): void => {
      if (reader && this.#keep(reader)) ready.push(reader);
    };
    this.#beginOpening(keys);
    try {
      await Promise.all([
        this.#distant?.start(distant, take),
        ...searching.map(async (one) => take(await one.reader)),
      ]);
      this.#checkThere(distant);
      this.#hand(ready);
    } catch (error) {
      abandon(searching);
      for (const reader of ready) reader.close();
      throw error;
    } finally {
      this.#endOpening(keys);
    }
  }

  async #openLater(wanted: readonly Wanted[]): Promise<void> {
    const keys = wanted.map(keyOf);
    this.#beginOpening(keys);
    await this.#distant?.open(wanted, (reader) => this.#take(reader));
    this.#endOpening(keys);
  }

  #beginOpening(keys: readonly string[]): void {
    this.#opening ??= new Set();
    for (const key of keys) this.#opening.add(key);
  }

  #endOpening(keys: readonly string[]): void {
    for (const key of keys) this.#opening?.delete(key);
    if (this.#opening?.size === 0) this.#opening = undefined;
  }

  /** @throws TOPIC_NOT_FOUND when the topic that was named has been deleted meanwhile; what a pattern matches may come and go */
  #checkThere(distant: readonly Wanted[]): void {
    const gone = this.#filter.topic !== undefined && distant.find(({ topic }) => topic.isDeleted);
    if (gone) throw new SluiceError('TOPIC_NOT_FOUND', `topic ${gone.topic.name} was deleted`);
  }

  #addDistant(distant: DistantReaders, topic: OpenTopic, index: number): void {
    const copy = topic.copy(index);
    const unread = distant.unread({ topic, index });
    if (!unread && copy?.role === 'leader') this.#addHere(copy);
    else void this.#openLater([{ topic, index, at: unread ?? this.#startOf(topic, index, EARLIEST) }]);
  }

  #addHere(copy: Partition | undefined): void {
    if (!copy) return;
    const resumed = this.#resume.get(placeOf(copy)) ?? Infinity;
    const start: Start = resumed <= copy.logEnd ? { at: 'offset', offset: resumed } : EARLIEST;
    const reader = copy.openReader(start, this.#filter.matchesKey);
    if (reader instanceof Promise) throw new TypeError('this start needs no search');
    this.#take(reader);
  }

  #take(reader: LogReader): void {
    if (this.#keep(reader)) this.#subscriber.takePartition(reader);
  }

  /** @returns whether it is one of those of the subscription now */
  #keep(reader: LogReader): boolean {
    if (this.#closed) {
      reader.close();
      return false;
    }
    this.#readers.set(reader);
    // Its copy may have gone since it was found, or may be one in which nothing comes.
    this.#distant?.move(reader);
    return true;
  }

  /** To the subscriber, all at once. */
  #hand(readers: readonly LogReader[]): void {
    for (const reader of readers) {
      if (this.#closed) reader.close();
      else this.#subscriber.takePartition(reader);
    }
  }

  /** Lets a reader go on in the copy that is there now. */
  #move(reader: LogReader, topic: OpenTopic): void {
    if (this.#distant) this.#distant.move(reader);
    else if (reader.isSuspended) topic.copy(reader.partition)?.adopt(reader);
  }

  #drop(place: Place): void {
    const reader = this.#readers.get(place);
    if (reader && (reader.isSuspended || this.#distant?.isObserved(place))) reader.end();
    this.#readers.delete(place);
    this.#distant?.forget(place);
  }
}

function abandon(searching: readonly Search[]): void {
  for (const { reader } of searching) {
    reader.then(
      (late) => late?.close(),
      () => undefined,
    );
  }
}

function keyOf({ topic, index }: TopicPartition): string {
  return `${topic.name}/${index}`;
}

function placeOf(place: Place): string {
  return `${place.topic}/${place.partition}`;
}

import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { Alter, NewTopic, TopicAlteration, TopicChange, TopicDefinition } from '../coordinator.ts';
import { alterationOf } from '../topic-alteration.ts';
import type { Unwatch } from '../unwatch.ts';
import type { ViewFeed } from './feed.ts';
import type { Keys } from './keys.ts';
import type { EtcdStore, Outcome } from './store.ts';
import { get, put, remove, removeAll, unchanged } from './store.ts';
import type { Entry, TableChange } from './table.ts';
import type { TopicValue } from './values.ts';
import { decodeValue, encodeValue, topicSchema } from './values.ts';
import type { View } from './view.ts';

/** What topics are made of. */
export interface EtcdTopicsOptions {
  readonly store: EtcdStore;
  readonly view: View;
  readonly feed: ViewFeed;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: Random;
}

/** Topics of the cluster: one key each; whoever was first wins, and the others are told. */
export class EtcdTopics {
  readonly #options: EtcdTopicsOptions;

  constructor(options: EtcdTopicsOptions) {
    this.#options = options;
  }

  /** In order of name. */
  list(): readonly TopicDefinition[] {
    const definitions = [...this.#options.view.topics.entries()].map(([, { value }]) => value);
    return definitions.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): TopicDefinition | undefined {
    return this.#options.view.topics.get(name)?.value;
  }

  watch(listener: (change: TopicChange) => void): Unwatch {
    return this.#options.view.topics.watch((change) => {
      for (const one of told(change)) listener(one);
    });
  }

  async create(topic: NewTopic): Promise<TopicDefinition> {
    const { store, clock, random } = this.#options;
    const definition: TopicDefinition = {
      name: topic.name,
      id: random.uuid(),
      partitions: topic.partitions,
      settings: topic.settings,
      createdMs: Math.floor(clock.now()),
    };
    const key = this.#key(topic.name);
    const outcome = await store.persist(() =>
      store.transact([unchanged(key, 0)], [put(key, encodeValue(definition))], [get(key)]),
    );
    if (!outcome.succeeded) {
      // An attempt of ours that nobody heard the answer of may have been the first.
      const there = topicIn(outcome);
      if (there?.value.id !== definition.id) throw this.#exists(topic.name, there !== undefined);
    }
    await this.#options.feed.seen(topicIn(outcome)?.modRevision ?? outcome.revision);
    return definition;
  }

  async alter(name: string, alter: Alter): Promise<TopicDefinition> {
    const { store, view, feed } = this.#options;
    const key = this.#key(name);
    let entry = view.topics.get(name);
    for (;;) {
      if (!entry) throw notFound(name);
      const { value, modRevision } = entry;
      const definition = altered(value, alterationOf(alter, value));
      const outcome = await store.persist(() =>
        store.transact([unchanged(key, modRevision)], [put(key, encodeValue(definition))], [get(key)]),
      );
      if (outcome.succeeded) {
        await feed.seen(outcome.revision);
        return definition;
      }
      // Applied again to what is there now; to what an unheard attempt of ours has done, that changes nothing.
      entry = topicIn(outcome);
    }
  }

  async delete(name: string): Promise<void> {
    let entry = this.#options.view.topics.get(name);
    const id = entry?.value.id;
    let mayBeOurs = false;
    while (entry && !(mayBeOurs && entry.value.id !== id)) {
      const { outcome, isUnheard } = await this.#deleteOnce(entry);
      if (outcome.succeeded) {
        await this.#options.feed.seen(outcome.revision);
        return;
      }
      mayBeOurs ||= isUnheard;
      entry = topicIn(outcome);
    }
    // An attempt whose answer was lost has done it; the view learns of it by itself.
    if (!mayBeOurs) throw notFound(name);
  }

  /** Removes a topic with all that is kept by its id, if it is still as it was. */
  async #deleteOnce({
    value,
    modRevision,
  }: Entry<TopicValue>): Promise<{ outcome: Outcome; isUnheard: boolean }> {
    const { store, keys } = this.#options;
    const key = this.#key(value.name);
    let attempts = 0;
    const outcome = await store.persist(() => {
      attempts++;
      return store.transact(
        [unchanged(key, modRevision)],
        [
          remove(key),
          removeAll(`${keys.of('partitions', value.id)}/`),
          removeAll(`${keys.of('offsets', value.id)}/`),
        ],
        [get(key)],
      );
    });
    return { outcome, isUnheard: attempts > 1 };
  }

  #key(name: string): string {
    return this.#options.keys.of('topics', name);
  }

  #exists(name: string, isReadable: boolean): SluiceError {
    if (isReadable) return new SluiceError('TOPIC_EXISTS', `topic ${name} exists already`);
    return new SluiceError(
      'STORAGE_FAILED',
      `etcd holds something unreadable for topic ${name}: look at it and remove it with \`etcdctl del ${this.#key(name)}\``,
    );
  }
}

/** A topic that took the name of another while this node did not look is told as two changes. */
function told(change: TableChange<TopicValue>): readonly TopicChange[] {
  if (change.kind === 'deleted') return [{ kind: 'deleted', topic: change.previous.value }];
  const { entry, previous } = change;
  if (!previous) return [{ kind: 'created', topic: entry.value }];
  if (previous.value.id === entry.value.id) return [{ kind: 'altered', topic: entry.value }];
  return [
    { kind: 'deleted', topic: previous.value },
    { kind: 'created', topic: entry.value },
  ];
}

function topicIn({ found }: Outcome): Entry<TopicValue> | undefined {
  const keyValue = found[0]?.[0];
  if (!keyValue) return undefined;
  const decoded = decodeValue(topicSchema, keyValue.value);
  if (!('value' in decoded)) return undefined;
  return {
    value: decoded.value,
    createRevision: Number(keyValue.create_revision),
    modRevision: Number(keyValue.mod_revision),
  };
}

function altered(definition: TopicValue, change: TopicAlteration): TopicValue {
  const partitions = change.partitions ?? definition.partitions;
  if (partitions < definition.partitions) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${definition.name} has ${definition.partitions} partitions; it cannot shrink`,
    );
  }
  return { ...definition, partitions, settings: { ...definition.settings, ...change.settings } };
}

function notFound(name: string): SluiceError {
  return new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${name}`);
}

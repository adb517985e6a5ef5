import type { Clock, Timer } from '../../kernel/clock.ts';
import type { TopicFacts, Topics } from '../ports.ts';
import type { Place } from './place.ts';

/** A topic that is not known at the start may only not have been heard of yet, so long. */
const UNHEARD_MS = 60_000;

/** Told what becomes of topics. */
export interface TopicWatcher {
  onMade(topic: TopicFacts): void;
  /** Its partitions may be more now. */
  onChanged(topic: TopicFacts): void;
  /** Deleted, or deleted and made again: then it is made after that. */
  onGone(topicId: string): void;
  /** Of what something is kept. */
  kept(): Iterable<Place>;
}

/** Tells topics apart that were made, changed, deleted, and deleted and made again. */
export class TopicWatch {
  readonly #topics: Topics;
  readonly #watcher: TopicWatcher;
  readonly #idOf: Map<string, string>;
  readonly #unwatch: () => void;
  readonly #timer: Timer;
  /** Ids of topics of which something is kept, and that are not known, by name. */
  readonly #unheard = new Map<string, string>();

  /** Topics that are there already are neither made nor changed. */
  constructor(topics: Topics, clock: Clock, watcher: TopicWatcher) {
    this.#topics = topics;
    this.#watcher = watcher;
    this.#idOf = new Map(topics.all().map(({ name, id }) => [name, id]));
    this.#unwatch = topics.watch((name) => this.#onTopic(name));
    for (const { topic, topicId } of watcher.kept()) {
      if (this.#idOf.get(topic) !== topicId) this.#unheard.set(topic, topicId);
    }
    for (const name of this.#unheard.keys()) if (this.#idOf.has(name)) this.#forgetUnheard(name);
    this.#timer = clock.setTimer(UNHEARD_MS, () => {
      for (const name of this.#unheard.keys()) this.#forgetUnheard(name);
    });
  }

  /** Idempotent. */
  close(): void {
    this.#unwatch();
    this.#timer.cancel();
  }

  #onTopic(name: string): void {
    const before = this.#idOf.get(name);
    const facts = this.#topics.find(name);
    if (before !== undefined && before === facts?.id) {
      this.#watcher.onChanged(facts);
      return;
    }
    this.#idOf.delete(name);
    if (before !== undefined) this.#watcher.onGone(before);
    if (!facts) return;
    this.#idOf.set(name, facts.id);
    if (this.#unheard.get(name) === facts.id) this.#unheard.delete(name);
    else this.#forgetUnheard(name);
    this.#watcher.onMade(facts);
  }

  /** It was deleted while nobody coordinated. */
  #forgetUnheard(name: string): void {
    const topicId = this.#unheard.get(name);
    this.#unheard.delete(name);
    if (topicId !== undefined) this.#watcher.onGone(topicId);
  }
}

import type { Coordinator, Unwatch } from '../coordination/coordinator.ts';

/** Names of topics by their ids: states of partitions say only the id, and people want the name in the log. */
export class TopicNames implements Disposable {
  readonly #names: Map<string, string>;
  readonly #unwatch: Unwatch;

  constructor(coordinator: Pick<Coordinator, 'topics' | 'watchTopics'>) {
    this.#names = new Map(coordinator.topics().map(({ id, name }) => [id, name]));
    this.#unwatch = coordinator.watchTopics(({ kind, topic: { id, name } }) => {
      if (kind === 'deleted') this.#names.delete(id);
      else this.#names.set(id, name);
    });
  }

  /** Undefined: there is no such topic, or not yet. */
  readonly of = (topicId: string): string | undefined => this.#names.get(topicId);

  [Symbol.dispose](): void {
    this.#unwatch();
  }
}

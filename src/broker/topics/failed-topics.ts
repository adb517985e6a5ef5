import type { TopicDefinition } from '../../coordination/coordinator.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import type { ReplicaPlace } from '../../replicas/replica-observer.ts';

/** Told of topics in trouble; must not throw. */
export interface TopicObserver {
  /** A copy here of one of its partitions cannot be used, and is tried again; told once for each code. */
  onOpenFailed(topic: TopicDefinition, error: SluiceError): void;
  /** All its copies here can be used after all. */
  onRecovered(topic: TopicDefinition): void;
  /** A deleted topic, or a partition that is not kept here any more, has left something behind; a topic's is tried again, a partition's removed at the next start. */
  onRemoveFailed(topic: TopicDefinition, error: SluiceError): void;
}

/** The topics of which a copy here cannot be used; tells of each once, however many partitions it has. */
export class FailedTopics {
  readonly #observer: TopicObserver | undefined;
  readonly #errors = new Map<string, Map<number, SluiceError>>();

  constructor(observer: TopicObserver | undefined) {
    this.#observer = observer;
  }

  get size(): number {
    return this.#errors.size;
  }

  failed({ topic, partition }: ReplicaPlace, error: SluiceError): void {
    const errors = this.#errors.get(topic.id) ?? new Map<number, SluiceError>();
    const isNew = [...errors.values()].every(({ code }) => code !== error.code);
    this.#errors.set(topic.id, errors.set(partition, error));
    if (isNew) this.#observer?.onOpenFailed(topic, error);
  }

  recovered({ topic, partition }: ReplicaPlace): void {
    const errors = this.#errors.get(topic.id);
    if (!errors?.delete(partition) || errors.size > 0) return;
    this.#errors.delete(topic.id);
    this.#observer?.onRecovered(topic);
  }

  /** The topic is gone. */
  forget({ id }: TopicDefinition): void {
    this.#errors.delete(id);
  }
}

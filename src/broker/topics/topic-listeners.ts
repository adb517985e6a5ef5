import type { OpenTopic } from './open-topic.ts';
import type { TopicListener } from './topic-directory.ts';

/** Tells several listeners what it is told, in their order. */
export class TopicListeners implements TopicListener {
  readonly #listeners: Partial<TopicListener>[] = [];

  add(listener: Partial<TopicListener>): void {
    this.#listeners.push(listener);
  }

  onOpened(topic: OpenTopic, index: number): void {
    for (const listener of this.#listeners) listener.onOpened?.(topic, index);
  }

  onClosed(topic: OpenTopic, index: number): void {
    for (const listener of this.#listeners) listener.onClosed?.(topic, index);
  }

  onElsewhere(topic: OpenTopic, index: number): void {
    for (const listener of this.#listeners) listener.onElsewhere?.(topic, index);
  }

  onDeleted(topic: OpenTopic): void {
    for (const listener of this.#listeners) listener.onDeleted?.(topic);
  }

  sweep(): void {
    for (const listener of this.#listeners) listener.sweep?.();
  }
}

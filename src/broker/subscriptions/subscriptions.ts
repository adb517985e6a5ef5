import type { AccessControl } from '../access-control.ts';
import type { DistantParts } from './distant-readers.ts';
import type { Subscription, SubscriptionOwner, SubscriptionParts } from './live-subscription.ts';
import { LiveSubscription } from './live-subscription.ts';
import type { OpenTopic } from '../topics/open-topic.ts';
import type { Principal } from '../ports.ts';
import type { TopicListener } from '../topics/topic-directory.ts';
import type { SubscriptionStatus } from '../views.ts';

export type { Subscription } from './live-subscription.ts';

/** All subscriptions of this node. */
export class Subscriptions implements SubscriptionOwner, TopicListener {
  readonly access: AccessControl;
  /** How partitions are read that others lead; to be set before the first is opened, left out on a node on its own. */
  distant: DistantParts | undefined;
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
   * The subscriber has the reader of each partition when it is open, and that without ever waiting where all are led here and all logs in memory.
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

  forget(subscription: LiveSubscription): void {
    this.#live.delete(subscription);
  }

  onOpened(topic: OpenTopic, index: number): void {
    for (const subscription of this.#live) subscription.add(topic, index);
  }

  onClosed(topic: OpenTopic, index: number): void {
    for (const subscription of this.#live) subscription.copyClosed(topic, index);
  }

  onElsewhere(topic: OpenTopic, index: number): void {
    if (!this.distant?.copies) return;
    for (const subscription of this.#live) subscription.add(topic, index);
  }

  onDeleted(topic: OpenTopic): void {
    for (const subscription of this.#live) subscription.topicDeleted(topic);
  }

  sweep(): void {
    for (const subscription of this.#live) subscription.sweep();
  }

  /** The node stops. */
  end(): void {
    for (const subscription of this.#live) subscription.end();
  }

  /** Every partition of the subscriptions that `isVisible` lets through. */
  status(isVisible: (principal: Principal) => boolean): readonly SubscriptionStatus[] {
    return [...this.#live].filter(({ principal }) => isVisible(principal)).flatMap((one) => one.status());
  }
}

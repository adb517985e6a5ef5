import { parseFilter } from '../../catalog/topic-filter.ts';
import type { OpenReader } from '../../groups/ports.ts';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Asker } from '../../kernel/slots.ts';
import type { Start } from '../../partition/reader.ts';
import type { AccessControl } from '../access-control.ts';
import { openOnePartition } from './one-partition.ts';
import type { Principal, Subscriber } from '../ports.ts';
import type { Subscription, Subscriptions } from './subscriptions.ts';
import type { TopicAdministration } from '../topics/topic-administration.ts';
import type { TopicDirectory } from '../topics/topic-directory.ts';
import type { Position } from '../views.ts';

/** What a subscription wants. */
export interface SubscribeOptions {
  /** Filter, docs/protocol.md section 3. */
  readonly filter: string;
  /** Where partitions that exist now begin; what is created later is read from its beginning. */
  readonly start: Start;
  /** Explicit positions; partitions not named use `start`. */
  readonly resume?: readonly Position[] | undefined;
  /** Only these, of a literal topic; undefined: all. Those that do not exist yet count once they do. */
  readonly partitions?: readonly number[] | undefined;
  readonly subscriber: Subscriber;
}

/** A cursor to be opened. */
export interface OneReader {
  readonly topic: string;
  readonly partition: number;
  readonly start: Start;
  readonly name: string;
  /** Who waits for it; left out: somebody to the end. */
  readonly asker?: Asker | undefined;
}

/** What opening subscriptions takes. */
export interface SubscriptionOpenerParts {
  readonly access: AccessControl;
  readonly administration: Pick<TopicAdministration, 'require' | 'use'>;
  readonly directory: Pick<TopicDirectory, 'all'>;
  readonly subscriptions: Subscriptions;
  readonly clock: Clock;
  /** @throws DRAINING when nothing is opened any more */
  readonly checkNotDraining: () => void;
}

/** Opens subscriptions, and single cursors, for principals that may read; a literal topic is made where that is allowed. */
export class SubscriptionOpener {
  readonly #parts: SubscriptionOpenerParts;

  constructor(parts: SubscriptionOpenerParts) {
    this.#parts = parts;
  }

  /** @see Broker.subscribe */
  async open(principal: Principal, options: SubscribeOptions): Promise<Subscription> {
    this.#parts.checkNotDraining();
    const filter = parseFilter(options.filter);
    const creating = filter.topic === undefined ? undefined : this.#require(principal, filter.topic);
    // It may fail while the subscription is being opened, or when that has failed already.
    creating?.catch(() => undefined);
    const { start, resume = [], partitions, subscriber } = options;
    if (partitions && filter.topic === undefined)
      throw new SluiceError('INVALID_ARGUMENT', 'partitions can be chosen of one topic, not of a wildcard');
    const chosen = partitions && new Set(partitions);
    const { subscriptions, directory } = this.#parts;
    const subscription = await subscriptions.open(
      { principal, filter, start, resume, subscriber, partitions: chosen },
      directory.all(),
    );
    try {
      // It is there before the topic is, so it misses nothing of what is published meanwhile.
      await creating;
    } catch (error) {
      subscription.close();
      throw error;
    }
    return subscription;
  }

  /** @see Broker.openReader */
  async openReader(
    principal: Principal,
    { topic, partition, start, name, asker }: OneReader,
  ): Promise<OpenReader> {
    const { checkNotDraining, administration, clock } = this.#parts;
    checkNotDraining();
    await this.#require(principal, topic);
    administration.require(topic).checkIndex(partition);
    return openOnePartition(
      (subscriber) => this.open(principal, { filter: topic, start, partitions: [partition], subscriber }),
      clock,
      name,
      asker,
    );
  }

  /** Sees to it that a literal topic is there; a promise while it is being created. */
  #require(principal: Principal, topic: string): Promise<unknown> | undefined {
    this.#parts.access.check(principal, 'subscribe', topic);
    const found = this.#parts.administration.use(topic);
    return found instanceof Promise ? found : undefined;
  }
}

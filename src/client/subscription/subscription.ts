import { SluiceError } from '../../kernel/errors.ts';
import type { ConnectionSupervisor } from '../connection/connection-supervisor.ts';
import { DeliveryBuffer } from './delivery-buffer.ts';
import { DeliveryIteration } from './delivery-iteration.ts';
import type { Unlisten } from '../events.ts';
import { Events } from '../events.ts';
import type { ClientPorts } from '../ports.ts';
import type { ReceivedBatch } from './received-batch.ts';
import type { ReceivedRecord } from '../record.ts';
import type { Position, SubscriptionPlan } from './subscribe-options.ts';
import type { SubscriptionEvents, SubscriptionStats } from './subscription-events.ts';
import { zeroCounters } from './subscription-events.ts';
import { SubscriptionFeed } from './subscription-feed.ts';

/**
 * A subscription: an async iterable of records, or of batches with {@link batches}.
 *
 *     delivery streams ──> buffer (bufferBytes) ──> iterator
 *           └──── held back while it is full ────┘
 *
 * It survives lost connections by itself and goes on exactly where it stopped. Reading slowly is safe: the broker is held back
 * for this subscription and nobody else. Iterate it once at a time; `break` closes it.
 */
export class Subscription implements AsyncIterable<ReceivedRecord>, AsyncDisposable {
  readonly filter: string;
  readonly #events = new Events<SubscriptionEvents>();
  readonly #counters = zeroCounters();
  readonly #buffer: DeliveryBuffer;
  readonly #feed: SubscriptionFeed;
  readonly #iteration: DeliveryIteration;
  readonly #onClosed: (subscription: Subscription) => void;
  #paused: boolean;
  #closed = false;
  #ended = false;
  #error: SluiceError | undefined;

  private constructor(
    supervisor: ConnectionSupervisor,
    ports: ClientPorts,
    plan: SubscriptionPlan,
    paused: boolean,
    onClosed: (subscription: Subscription) => void,
  ) {
    this.filter = plan.filter;
    this.#onClosed = onClosed;
    this.#paused = paused;
    this.#buffer = new DeliveryBuffer(plan.bufferBytes, () => this.#feed.resumeStreams());
    this.#feed = new SubscriptionFeed(supervisor, ports, plan, paused, this.#buffer, {
      counters: this.#counters,
      status: (status) => this.#events.emit('status', status),
      ended: (error) => this.#end(error),
    });
    this.#iteration = this.#iterate();
  }

  /**
   * Subscribes; resolves when a broker has accepted.
   *
   * @param onClosed called once when the subscription is over
   * @throws INVALID_FILTER, FORBIDDEN, OFFSET_OUT_OF_RANGE and whatever else the broker refuses it with; CLOSED
   */
  static async open(
    supervisor: ConnectionSupervisor,
    ports: ClientPorts,
    plan: SubscriptionPlan,
    paused: boolean,
    onClosed: (subscription: Subscription) => void,
  ): Promise<Subscription> {
    const subscription = new Subscription(supervisor, ports, plan, paused, onClosed);
    await subscription.#feed.open();
    return subscription;
  }

  /** Calls `listener` for each event of that name from now on. */
  on<Name extends keyof SubscriptionEvents>(
    name: Name,
    listener: (event: SubscriptionEvents[Name]) => void,
  ): Unlisten {
    return this.#events.on(name, listener);
  }

  /**
   * The records, in order within each partition. The iterator throws what ended the subscription, after the records before it:
   * GAP with `onGap: 'end'`; CORRUPT_BATCH or BATCH_TOO_LARGE for a batch that cannot be read; what ended the client.
   */
  [Symbol.asyncIterator](): AsyncIterator<ReceivedRecord, undefined> {
    return this.#iteration.records();
  }

  /** Batches instead of records: the fastest way to read. Throws as the iterator of records does. */
  batches(): AsyncIterable<ReceivedBatch> {
    return { [Symbol.asyncIterator]: () => this.#iteration.batches() };
  }

  /** Stops handing out and asks the broker to stop sending. What is on its way waits in the buffer. Idempotent. */
  pause(): void {
    this.#paused = true;
    this.#feed.setPaused(true);
  }

  /** Goes on after {@link pause}. Idempotent. */
  resume(): void {
    this.#paused = false;
    this.#feed.setPaused(false);
    this.#buffer.wake();
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Where each partition goes on: after the last record that was handed out. Give it as `resume` to go on there later. */
  positions(): readonly Position[] {
    return this.#feed.partitions.map(({ topic, partition, consumed }) => ({
      topic,
      partition,
      offset: consumed,
    }));
  }

  stats(): SubscriptionStats {
    return { ...this.#counters, bufferedBytes: this.#buffer.bytes };
  }

  /** Ends it: iterators finish, what waits is thrown away. Idempotent. */
  close(): Promise<void> {
    this.#abandon(undefined);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #iterate(): DeliveryIteration {
    return new DeliveryIteration(this.#buffer, {
      isHeld: () => this.#paused && !this.#ended,
      isOver: () => this.#ended && this.#buffer.empty,
      wants: () => !this.#closed,
      consumed: (item) => this.#feed.consumed(item),
      gap: (gap) => this.#events.emit('gap', gap),
      abandon: (error) => this.#abandon(error),
      finish: () => this.#finish(),
      close: () => this.close(),
    });
  }

  /** Ends it and throws away what waits. The iterator that finds `error` throws it itself. */
  #abandon(error: SluiceError | undefined): void {
    this.#closed = true;
    this.#buffer.clear();
    this.#feed.close(new SluiceError('CLOSED', 'the subscription was closed'));
    this.#end(error);
    this.#error = undefined;
  }

  /** @throws what ended the subscription, once; after that it is done */
  #finish(): { readonly done: true; readonly value: undefined } {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  }

  #end(error: SluiceError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#events.emit('status', { kind: 'ended', error });
    this.#onClosed(this);
    this.#buffer.wake();
  }
}

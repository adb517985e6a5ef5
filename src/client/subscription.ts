import { asSluiceError, SluiceError } from '../kernel/errors.ts';
import type { ConnectionSupervisor } from './connection-supervisor.ts';
import type { DeliveryItem } from './delivery-buffer.ts';
import { DeliveryBuffer } from './delivery-buffer.ts';
import type { Unlisten } from './events.ts';
import { Events } from './events.ts';
import type { ClientPorts } from './ports.ts';
import type { ReceivedBatch } from './received-batch.ts';
import type { ReceivedRecord } from './record.ts';
import type { Position, SubscriptionPlan } from './subscribe-options.ts';
import type { SubscriptionEvents, SubscriptionStats } from './subscription-events.ts';
import { zeroCounters } from './subscription-events.ts';
import { SubscriptionFeed } from './subscription-feed.ts';

type BatchItem = Extract<DeliveryItem, { kind: 'batch' }>;

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
    let records: { next(): ReceivedRecord | undefined } | undefined;
    let item: BatchItem | undefined;
    const step = (): IteratorResult<ReceivedRecord, undefined> | undefined => {
      for (;;) {
        const record = this.#closed ? undefined : records?.next();
        if (record !== undefined) {
          item!.progress.consume(item!.from, Math.min(record.offset + 1, item!.to));
          return { done: false, value: record };
        }
        if (item !== undefined) this.#settle(item);
        item = this.#takeBatch();
        if (item === undefined) return this.#over ? this.#finish() : undefined;
        records = item.batch.cursor();
      }
    };
    return this.#iterator(step);
  }

  /** Batches instead of records: the fastest way to read. Throws as the iterator of records does. */
  batches(): AsyncIterable<ReceivedBatch> {
    const step = (): IteratorResult<ReceivedBatch, undefined> | undefined => {
      for (let item = this.#takeBatch(); item !== undefined; item = this.#takeBatch()) {
        this.#settle(item);
        if (item.batch.recordCount > 0) return { done: false, value: item.batch };
      }
      return this.#over ? this.#finish() : undefined;
    };
    return { [Symbol.asyncIterator]: () => this.#iterator(step) };
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

  get #over(): boolean {
    return this.#ended && this.#buffer.empty;
  }

  #iterator<T>(step: () => IteratorResult<T, undefined> | undefined): AsyncIterator<T, undefined> {
    const next = async (): Promise<IteratorResult<T, undefined>> => {
      for (;;) {
        const result = this.#step(step);
        if (result !== undefined) return result;
        await this.#buffer.wait();
      }
    };
    return {
      // Without an async function where something is there already: this runs for each record.
      next: () => {
        try {
          const result = this.#step(step);
          return result === undefined ? next() : Promise.resolve(result);
        } catch (error) {
          return Promise.reject(asSluiceError(error));
        }
      },
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
  }

  /** One step; a batch that cannot be read ends the subscription. */
  #step<T>(step: () => IteratorResult<T, undefined> | undefined): IteratorResult<T, undefined> | undefined {
    if (this.#paused && !this.#ended) return undefined;
    try {
      return step();
    } catch (error) {
      const known = asSluiceError(error);
      this.#abandon(known);
      throw known;
    }
  }

  #takeBatch(): BatchItem | undefined {
    for (let item = this.#buffer.shift(); item !== undefined; item = this.#buffer.shift()) {
      if (item.kind === 'batch') return item;
      const { gap, progress, fatal } = item;
      progress.consume(gap.from, gap.to);
      this.#events.emit('gap', gap);
      if (!fatal) continue;
      const where = `${gap.topic}/${gap.partition}`;
      throw new SluiceError(
        'GAP',
        `offsets ${gap.from} to ${gap.to} of ${where} are gone before they were read`,
      );
    }
    return undefined;
  }

  #settle(item: BatchItem): void {
    item.progress.consume(item.from, item.to);
    this.#feed.consumed(item);
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

import type { Subscription } from '../../broker/broker.ts';
import type { Subscriber } from '../../broker/ports.ts';
import type { Position } from '../../broker/views.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { Asking } from '../../kernel/slots.ts';
import { PlaceTable } from '../../partition/place-table.ts';
import type { PartitionReader, Start } from '../../partition/reader.ts';
import type { TopicLag } from './counters.ts';
import type { ClientSession } from './client-session.ts';
import type { DeliveryOwner, DeliverySink, SinkHost } from './delivery.ts';
import { DeliveryPump } from './delivery-pump.ts';
import { DeliveryStream } from './delivery-stream.ts';
import { DatagramDelivery } from './datagram-delivery.ts';
import { RawSubscription } from './raw-subscription.ts';
import { StreamCredit } from './stream-credit.ts';
import type { TableEntry } from './subscription-table.ts';
import type { TurnAccount } from '../turn-account.ts';
import { UnorderedDelivery } from './unordered-delivery.ts';

/** What a client asked for. */
export interface SubscriptionOptions {
  /** The client's number; 0 in raw mode. */
  readonly subscriptionId: number;
  /** MESSAGE frames instead of batches. */
  readonly raw: boolean;
  readonly name: string;
  readonly filter: string;
  readonly start: Start;
  readonly resume: readonly Position[];
  /** Undefined: all. */
  readonly partitions?: readonly number[] | undefined;
  readonly delivery: 'ordered' | 'unordered' | 'datagram';
  readonly endAtGap: boolean;
  /** 0 (first) to 7 (last). */
  readonly urgency: number;
  readonly paused: boolean;
}

/**
 * A subscription of one connection: one delivery for each partition that matches.
 *
 *     broker.subscribe ── reader per partition ──> DeliveryPump ──> DeliveryStream | Unordered | Datagram | Raw
 *
 * A node may have a hundred thousand that are idle, so it keeps only what an open one needs.
 */
export class ClientSubscription implements DeliveryOwner, Subscriber, SinkHost, TableEntry {
  readonly session: ClientSession;
  readonly subscriptionId: number;
  readonly raw: boolean;
  readonly name: string;
  readonly filter: string;
  readonly keptBytes: number;
  readonly delivery: 'ordered' | 'unordered' | 'datagram';
  readonly endAtGap: boolean;
  readonly urgency: number;
  paused: boolean;

  readonly #pumps = new PlaceTable<DeliveryPump>();
  #credit: StreamCredit | undefined;
  /** Where its partitions begin; only while it is being opened. */
  #firstPositions: Position[] | undefined = [];
  /** Waits for it to be open; only until it is. */
  #asking: Asking | undefined = new Asking();
  #brokerSide: Subscription | undefined;
  /** Why it cannot go on, found while a partition was added. */
  #failure: SluiceError | undefined;
  #over = false;

  private constructor(session: ClientSession, options: SubscriptionOptions) {
    this.session = session;
    this.subscriptionId = options.subscriptionId;
    this.raw = options.raw;
    this.name = options.name;
    this.filter = options.filter;
    this.keptBytes = keptBytes(options);
    this.delivery = options.delivery;
    this.endAtGap = options.endAtGap;
    this.urgency = options.urgency;
    this.paused = options.paused;
  }

  /**
   * Opens a subscription; its first streams may be open before this resolves.
   * @returns where the partitions that there are begin
   * @throws SUBSCRIPTION_EXISTS, OVERLOADED, DRAINING, UNAUTHENTICATED; CLOSED when it was ended meanwhile; what the broker
   *   refuses with: INVALID_FILTER, FORBIDDEN, TOPIC_NOT_FOUND, OFFSET_OUT_OF_RANGE …
   */
  static async open(session: ClientSession, options: SubscriptionOptions): Promise<readonly Position[]> {
    const principal = session.requirePrincipal();
    const subscription = new ClientSubscription(session, options);
    session.subscriptions.add(subscription);
    try {
      const { filter, start, resume, partitions } = options;
      const subscriber = subscription;
      const { broker } = session.context;
      const wanted = { filter, start, resume, partitions, subscriber };
      return subscription.#opened(await broker.subscribe(principal, wanted));
    } catch (error) {
      const refusal = asSluiceError(error);
      subscription.end(refusal.code, refusal.message);
      throw refusal;
    }
  }

  get asker(): Asking | undefined {
    return this.#asking;
  }

  get account(): TurnAccount {
    return this.session.account;
  }

  /** Broker-side connection name, for `listSubscriptions`. */
  get connection(): string {
    return this.session.connection.remoteAddress;
  }

  get clientId(): string {
    return this.session.clientId;
  }

  get blockedCount(): number {
    let count = 0;
    for (const pump of this.#pumps.values()) if (pump.blocked) count += 1;
    return count;
  }

  blockedMs(topic: string, partition: number): number {
    return this.#pumps.get({ topic, partition })?.blockedMs ?? 0;
  }

  /** Made when it is asked for: only unordered delivery needs it. */
  get credit(): StreamCredit {
    this.#credit ??= new StreamCredit();
    return this.#credit;
  }

  takePartition(reader: PartitionReader): void {
    if (this.#over || this.#failure) {
      reader.close();
      return;
    }
    const { subscriptions, context } = this.session;
    const { topic, partition, nextOffset } = reader;
    this.#firstPositions?.push({ topic, partition, offset: nextOffset });
    const pump = new DeliveryPump(reader, this, context.scheduler);
    this.#pumps.set(pump);
    subscriptions.deliveryCount += 1;
    try {
      if (subscriptions.deliveryCount > context.limits.maxDeliveryStreams) {
        throw new SluiceError(
          'OVERLOADED',
          `a connection has at most ${context.limits.maxDeliveryStreams} delivery streams: narrow the filter`,
        );
      }
      pump.start(this.#createSink(reader, pump));
    } catch (error) {
      pump.abandon();
      this.#fail(asSluiceError(error));
    }
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    for (const pump of this.#pumps.values()) pump.wake();
  }

  /** The client allows more batch streams (unordered delivery). */
  grant(streams: number): void {
    if (this.delivery === 'unordered') this.credit.grant(streams);
  }

  /** Ends every delivery with END (or what its mode has instead). Idempotent. */
  end(code: ErrorCode | undefined, text: string): void {
    this.#close();
    for (const pump of this.#pumps.values()) pump.end(code, text);
  }

  /** The connection is gone. */
  abandon(): void {
    this.#close();
    for (const pump of this.#pumps.values()) pump.abandon();
  }

  collectLag(lags: Map<string, TopicLag>): void {
    for (const { reader } of this.#pumps.values()) {
      const { records, bytes, ms } = reader.lag();
      const most = lags.get(reader.topic);
      if (!most) {
        lags.set(reader.topic, { records, bytes, ms });
        continue;
      }
      most.records = Math.max(most.records, records);
      most.bytes = Math.max(most.bytes, bytes);
      most.ms = Math.max(most.ms, ms);
    }
  }

  delivered(bytes: number): void {
    this.session.deliveredBytes += bytes;
    this.session.context.counters.deliveredBytes += bytes;
  }

  deliveryOver(reader: PartitionReader, code: ErrorCode | undefined): void {
    if (this.#pumps.get(reader)?.reader === reader) this.#pumps.delete(reader);
    this.session.subscriptions.deliveryCount -= 1;
    if (code !== undefined && code !== 'DRAINING') this.session.countError(code);
  }

  /** @returns where its partitions begin */
  #opened(brokerSide: Subscription): readonly Position[] {
    const positions = this.#firstPositions ?? [];
    this.#firstPositions = undefined;
    this.#asking = undefined;
    this.#brokerSide = brokerSide;
    if (this.#failure) throw this.#failure;
    if (!this.#over) return positions;
    brokerSide.close();
    throw new SluiceError('CLOSED', 'the subscription was ended before it was open');
  }

  #close(): void {
    this.#over = true;
    this.#asking?.drop();
    this.#brokerSide?.close();
    this.session.subscriptions.remove(this);
  }

  /** While the subscription is being opened the refusal goes to whoever opens it; later its streams say so. */
  #fail(error: SluiceError): void {
    this.#failure = error;
    if (this.#brokerSide) this.end(error.code, error.message);
  }

  #createSink(reader: PartitionReader, pump: DeliveryPump): DeliverySink {
    if (this.raw) return new RawSubscription(this, reader, pump);
    switch (this.delivery) {
      case 'ordered':
        return new DeliveryStream(this, reader, pump);
      case 'unordered':
        return new UnorderedDelivery(this, reader, pump);
      case 'datagram':
        return new DatagramDelivery(this, reader, pump);
    }
  }
}

/** A position is a name, a number and their places in a map. */
const POSITION_BYTES = 128;

function keptBytes({ filter, resume }: SubscriptionOptions): number {
  // As it was written, and made ready.
  return resume.reduce((sum, { topic }) => sum + POSITION_BYTES + topic.length, 2 * filter.length);
}

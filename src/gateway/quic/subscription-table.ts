import type { ErrorCode } from '../../kernel/errors.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { TopicLag } from './counters.ts';

/** A subscription as its connection sees it. */
export interface TableEntry {
  /** The client's number; 0 in raw mode. */
  readonly subscriptionId: number;
  readonly raw: boolean;
  readonly filter: string;
  /** About what it keeps of its request, bytes. */
  readonly keptBytes: number;
  /** Deliveries whose client has no room now. */
  readonly blockedCount: number;
  pause(): void;
  resume(): void;
  /** The client allows more batch streams. */
  grant(streams: number): void;
  /** Ends every delivery with END, or what its mode has instead. Idempotent. */
  end(code: ErrorCode | undefined, text: string): void;
  /** The connection is gone. */
  abandon(): void;
  /** Raises the entries of `lags` to those of this subscription. */
  collectLag(lags: Map<string, TopicLag>): void;
}

/** The subscriptions of one connection: batch mode by number, raw mode by filter. */
export class SubscriptionTable {
  readonly #max: number;
  readonly #maxBytes: number;
  #keptBytes = 0;
  readonly #byId = new Map<number, TableEntry>();
  /** Made with the first raw one. */
  #byFilter: Map<string, TableEntry> | undefined;
  /** Deliveries (subscription × partition) open now; kept by the subscriptions. */
  deliveryCount = 0;

  /**
   * @param max subscriptions of one connection
   * @param maxBytes that they keep of their requests
   */
  constructor(max: number, maxBytes: number) {
    this.#max = max;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#byId.size + (this.#byFilter?.size ?? 0);
  }

  get blockedCount(): number {
    let count = 0;
    for (const subscription of this.#all()) count += subscription.blockedCount;
    return count;
  }

  byId(id: number): TableEntry | undefined {
    return this.#byId.get(id);
  }

  byFilter(filter: string): TableEntry | undefined {
    return this.#byFilter?.get(filter);
  }

  /** @throws SUBSCRIPTION_NOT_FOUND */
  require(id: number): TableEntry {
    const subscription = this.#byId.get(id);
    if (subscription) return subscription;
    throw new SluiceError('SUBSCRIPTION_NOT_FOUND', `this connection has no subscription ${id}`);
  }

  /**
   * Takes the place of a subscription before it is open, so that no second one gets it.
   * @throws SUBSCRIPTION_EXISTS, OVERLOADED
   */
  add(subscription: TableEntry): void {
    const { subscriptionId: id, filter, raw } = subscription;
    if (raw ? this.#byFilter?.has(filter) : this.#byId.has(id)) {
      throw new SluiceError(
        'SUBSCRIPTION_EXISTS',
        `this connection has ${raw ? filter : `subscription ${id}`} already`,
      );
    }
    if (this.count >= this.#max) {
      throw new SluiceError(
        'OVERLOADED',
        `a connection has at most ${this.#max} subscriptions: end one, or use wildcards`,
      );
    }
    if (this.#keptBytes + subscription.keptBytes > this.#maxBytes) {
      throw new SluiceError(
        'OVERLOADED',
        `the subscriptions of a connection keep at most ${this.#maxBytes} bytes of filters and positions: resume fewer positions, or connect again`,
      );
    }
    this.#keptBytes += subscription.keptBytes;
    if (!raw) {
      this.#byId.set(id, subscription);
      return;
    }
    this.#byFilter ??= new Map();
    this.#byFilter.set(filter, subscription);
  }

  /** Frees the place of `subscription`. Idempotent. */
  remove(subscription: TableEntry): void {
    const { subscriptionId: id, filter, raw } = subscription;
    const isThere = raw ? this.#byFilter?.get(filter) === subscription : this.#byId.get(id) === subscription;
    if (!isThere) return;
    this.#keptBytes -= subscription.keptBytes;
    if (raw) this.#byFilter?.delete(filter);
    else this.#byId.delete(id);
  }

  /** Ends every subscription with END. */
  endAll(code: ErrorCode, text: string): void {
    for (const subscription of this.#all()) subscription.end(code, text);
  }

  /** The connection is gone. */
  abandonAll(): void {
    for (const subscription of this.#all()) subscription.abandon();
  }

  /** Raises the entries of `lags` to those of this connection's deliveries. */
  collectLag(lags: Map<string, TopicLag>): void {
    for (const subscription of this.#all()) subscription.collectLag(lags);
  }

  /** A copy: ending a subscription takes it out. */
  #all(): TableEntry[] {
    return [...this.#byId.values(), ...(this.#byFilter?.values() ?? [])];
  }
}

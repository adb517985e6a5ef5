import type { Broker } from '../../broker/broker.ts';
import { ByteBudget } from '../../log/byte-budget.ts';
import type { Clock } from '../../kernel/clock.ts';
import { FailedAuthentications } from '../../security/failed-authentications.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Connection } from '../../transport/transport.ts';
import { RecordBatchEncoder } from '../../wire/record-batch-encoder.ts';
import type { GatewayGauges, TopicLag } from './counters.ts';
import { GatewayCounters } from './counters.ts';
import { CredentialWatch } from '../credential-watch.ts';
import type { GatewayContext, NodeFacts } from './gateway-context.ts';
import type { GatewayLimits } from './limits.ts';
import { DEFAULT_GATEWAY_LIMITS } from './limits.ts';
import type { PartialBytes } from './partial-bytes.ts';
import { PumpScheduler } from '../pump-scheduler.ts';
import type { SessionOwner } from './session.ts';
import { SecurityLog } from '../security-log.ts';
import { Session } from './session.ts';

/** What a gateway is made of. */
export interface NativeGatewayOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default: one of its own, on `log`. */
  readonly security?: SecurityLog;
  readonly node: NodeFacts;
  /** What differs from {@link DEFAULT_GATEWAY_LIMITS}. */
  readonly limits?: Partial<GatewayLimits>;
}

/**
 * The native protocol (docs/protocol.md) on connections of any transport.
 *
 * Give `accept` to the listeners of as many transports as there are; sessions know nothing of each other but share the
 * scheduler that gives deliveries their turns.
 */
export class NativeGateway {
  readonly counters = new GatewayCounters();
  /** Live; metrics read it. */
  readonly failedAuthentications: FailedAuthentications;
  readonly #context: GatewayContext;
  readonly #sessions = new Set<Session>();
  readonly #owner: SessionOwner = {
    sessionOver: (session) => {
      this.counters.connectionsClosed += 1;
      this.#sessions.delete(session);
    },
  };
  #nextSession = 1;
  #draining: { readonly reason: string; readonly alternatives: readonly string[] } | undefined;

  constructor(options: NativeGatewayOptions) {
    this.failedAuthentications = new FailedAuthentications(options.clock);
    const limits = { ...DEFAULT_GATEWAY_LIMITS, ...options.limits };
    this.#context = {
      broker: options.broker,
      clock: options.clock,
      log: options.log,
      node: options.node,
      limits,
      scheduler: new PumpScheduler(options.clock),
      credentials: new CredentialWatch(options.clock),
      security: options.security ?? new SecurityLog(options.log, options.clock),
      failedAuthentications: this.failedAuthentications,
      counters: this.counters,
      inflated: new ByteBudget(limits.maxHeldInflatedBytes),
      encoder: new RecordBatchEncoder(),
      makeRoomFor: (asking) => this.#makeRoomFor(asking),
      connectionCount: () => this.#sessions.size,
    };
  }

  /** Takes a connection over; call it from the listener's `onConnection`. */
  readonly accept = (connection: Connection): void => {
    const session = new Session(`s${this.#nextSession++}`, this.#context, connection, this.#owner);
    this.counters.connectionsAccepted += 1;
    this.#sessions.add(session);
    session.start();
    if (this.#draining) void session.drain(this.#draining.reason, this.#draining.alternatives);
  };

  /**
   * Lets every client go in good order; see {@link Session.drain}. Resolves when the last connection is closed, at the latest
   * after the drain timeout. Connections that still come are drained too.
   *
   * @param alternatives URLs to connect to instead; may be empty
   */
  async drain(reason: string, alternatives: readonly string[]): Promise<void> {
    this.#draining ??= { reason, alternatives };
    await Promise.all([...this.#sessions].map((session) => session.drain(reason, alternatives)));
  }

  /** Counts what is open now; costs a walk over all deliveries. */
  gauges(): GatewayGauges {
    let subscriptions = 0;
    let deliveryStreams = 0;
    const { requestStreams } = this.#context.counters;
    let streams = 0;
    let blockedDeliveries = 0;
    for (const session of this.#sessions) {
      subscriptions += session.subscriptions.count;
      deliveryStreams += session.subscriptions.deliveryCount;
      streams += session.streamCount;
      blockedDeliveries += session.subscriptions.blockedCount;
    }
    return {
      connections: this.#sessions.size,
      subscriptions,
      deliveryStreams,
      publishStreams: streams - requestStreams,
      requestStreams,
      blockedDeliveries,
    };
  }

  /** How far the subscriber furthest behind is, by topic; costs a binary search for each delivery. */
  lagByTopic(): ReadonlyMap<string, TopicLag> {
    const lags = new Map<string, TopicLag>();
    for (const session of this.#sessions) session.subscriptions.collectLag(lags);
    return lags;
  }

  /** Costs a walk over all connections; frees what the greatest has, so it is not needed again soon. */
  #makeRoomFor(asking: PartialBytes): boolean {
    let most: Session | undefined;
    for (const session of this.#sessions) {
      if (session.isWrittenOff || session.partialBytes <= (most ?? asking).partialBytes) continue;
      most = session;
    }
    most?.giveWay();
    return most !== undefined;
  }
}

import type { ErrorCode } from '../../kernel/errors.ts';

/** Counters of the native gateway since it started: plain fields, read when metrics are scraped. Sizes in bytes. */
export class GatewayCounters {
  connectionsAccepted = 0;
  connectionsClosed = 0;
  /** Bytes of streams and datagrams, as far as they reached the gateway. */
  streamBytesIn = 0;
  /** Batch bytes written to delivery streams and datagrams. */
  deliveredBytes = 0;
  produceFrames = 0;
  rawPublishes = 0;
  requests = 0;
  streamsOpened = 0;
  /** Request streams open now; control streams are none. */
  requestStreams = 0;
  /** Bytes of frames that have begun to arrive and are not complete, of all connections now. */
  partialBytes = 0;
  /** Requests, publishes, streams and connections that were refused or ended with an error, by its code. */
  readonly errors = new Map<ErrorCode, number>();

  countError(code: ErrorCode): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }
}

/** The gateway now. */
export interface GatewayGauges {
  readonly connections: number;
  readonly subscriptions: number;
  readonly deliveryStreams: number;
  readonly publishStreams: number;
  /** Control streams are none. */
  readonly requestStreams: number;
  /** Deliveries whose client has no room at the moment. */
  readonly blockedDeliveries: number;
}

/** The subscriber furthest behind, by topic. */
export interface TopicLag {
  records: number;
  bytes: number;
  ms: number;
}

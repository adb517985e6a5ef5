const KiB = 1024;
const MiB = 1024 * KiB;

/** Bounds of the native gateway. Sizes in bytes, times in milliseconds. */
export interface GatewayLimits {
  /** Largest payload of PUBLISH and PRODUCE; every other type has `maxControlBytes`. */
  readonly maxFrameBytes: number;
  readonly maxControlBytes: number;
  /** Largest batch any topic may allow; told to clients. */
  readonly maxBatchBytes: number;
  /** What a batch may inflate to where the gateway has to look into it (raw mode, datagrams). */
  readonly maxInflatedBytes: number;
  /** Bytes of inflated batches that raw subscriptions of all connections hold for clients that do not read; others are inflated again. */
  readonly maxHeldInflatedBytes: number;
  /** Told to clients. */
  readonly maxKeyBytes: number;
  /** Subscriptions of one connection, raw ones included; more are OVERLOADED. */
  readonly maxSubscriptions: number;
  /** Bytes that the filters and positions of a connection's subscriptions take; more are OVERLOADED. */
  readonly maxSubscriptionBytes: number;
  /** Delivery streams (subscription × partition) of one connection; more end the subscription with OVERLOADED. */
  readonly maxDeliveryStreams: number;
  /** Bytes of frames that have not arrived completely, per connection; the stream that goes beyond is OVERLOADED. */
  readonly maxPartialBytes: number;
  /** The same while it is not known who the client is; the stream that goes beyond is UNAUTHENTICATED. */
  readonly maxStrangerBytes: number;
  /** The same for all connections of the node together; beyond it the connection that holds the most is ended. */
  readonly maxPartialBytesTotal: number;
  /** Streams, in all, of a client that must authenticate and has not; one more ends the connection with OVERLOADED. */
  readonly maxStrangerStreams: number;
  /** A stream whose unread answers take more than this is not read until the client has read some. */
  readonly maxAnswerBytes: number;
  /** Requests or publishes of one stream that wait for their outcome or answer; beyond it the stream is not read. */
  readonly maxInFlight: number;
  /** A connection that must authenticate and has not is closed after this time. */
  readonly authenticationTimeoutMs: number;
  /** How long a drained connection may take to go. */
  readonly drainTimeoutMs: number;
}

/** Bounds that hold unless configured otherwise. */
export const DEFAULT_GATEWAY_LIMITS: GatewayLimits = {
  maxFrameBytes: 17 * MiB,
  maxControlBytes: 64 * KiB,
  maxBatchBytes: 16 * MiB,
  maxInflatedBytes: 16 * MiB,
  maxHeldInflatedBytes: 128 * MiB,
  maxKeyBytes: 64 * KiB,
  maxSubscriptions: 1024,
  maxSubscriptionBytes: 16 * MiB,
  maxDeliveryStreams: 16_384,
  maxPartialBytes: 64 * MiB,
  maxStrangerBytes: 64 * KiB,
  maxPartialBytesTotal: 1024 * MiB,
  maxStrangerStreams: 256,
  maxAnswerBytes: 256 * KiB,
  maxInFlight: 1024,
  authenticationTimeoutMs: 10_000,
  drainTimeoutMs: 10_000,
};

/** What a delivery may write in one turn before others have theirs. */
export const TURN_BYTES = 256 * KiB;
/** What a read costs a turn that found nothing a key filter wants: it has looked at a megabyte all the same. */
export const EMPTY_READ_COST_BYTES = 128 * KiB;

/** What a delivery takes from the log at once; also what it may hold beyond its stream's window. */
export const READ_BYTES = 128 * KiB;

/** Batch streams that an unordered subscription may have open before the client grants more. */
export const INITIAL_CREDIT_STREAMS = 64;

/** Urgency of streams, 0 first to 255 last; see {@link deliveryUrgency} for deliveries. */
export const URGENCY = { CONTROL: 0, ANSWERS: 16 } as const;

/**
 * A delivery whose oldest unread record is older than this, or that has more than {@link BEHIND_BYTES} to catch up on, is behind: it is
 * served after deliveries of its urgency that are not, or the burst of a hundred that go on after a stall would delay them.
 */
export const BEHIND_MS = 50;
/** See {@link BEHIND_MS}; bytes. */
export const BEHIND_BYTES = 1024 * KiB;

/** Transport urgency of a delivery. @param urgency of the subscription, 0 to 7 */
export function deliveryUrgency(urgency: number, behind = false): number {
  return 32 + urgency * 28 + (behind ? 14 : 0);
}

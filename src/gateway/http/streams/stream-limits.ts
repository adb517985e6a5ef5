const KiB = 1024;
const MiB = 1024 * KiB;

/** Bounds of WebSocket and SSE streams. Sizes in bytes, times in milliseconds. */
export interface StreamLimits {
  /** Streams open at once; one more is OVERLOADED. */
  readonly maxStreams: number;
  /** The same of one place: an address, or an IPv6 network. */
  readonly maxStreamsPerHost: number;
  /** Partitions that one stream reads; more are OVERLOADED. */
  readonly maxPartitions: number;
  /** Largest message of a client; a larger one closes its socket with 1009. */
  readonly maxMessageBytes: number;
  /** Messages of a client that wait for their outcome; beyond it the socket is not read. */
  readonly maxUnanswered: number;
  /** What waits in this process for a client that does not read; beyond it the log is not read for it. */
  readonly maxBufferedBytes: number;
  /** What a batch may inflate to. */
  readonly maxInflatedBytes: number;
  /** Bytes of inflated batches held for clients that do not read, all streams together; others are inflated again. */
  readonly maxHeldInflatedBytes: number;
  /** Records that a client may let its stream run ahead, or have leased. */
  readonly maxCredit: number;
  /** A WebSocket has a ping after so long. */
  readonly pingMs: number;
  /** An event stream on which nothing happens has a comment after so long. */
  readonly keepAliveMs: number;
  /** A client is gone when it answers no ping, says nothing and takes nothing for so long. */
  readonly silentMs: number;
  /** How long a client has to answer a close. */
  readonly closeMs: number;
}

/** Bounds that hold unless configured otherwise. */
export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  maxStreams: 10_000,
  maxStreamsPerHost: 1_000,
  maxPartitions: 512,
  maxMessageBytes: 64 * KiB,
  maxUnanswered: 64,
  maxBufferedBytes: 256 * KiB,
  maxInflatedBytes: 16 * MiB,
  maxHeldInflatedBytes: 64 * MiB,
  maxCredit: 10_000,
  pingMs: 30_000,
  keepAliveMs: 15_000,
  silentMs: 120_000,
  closeMs: 5_000,
};

/** What a stream may write in one turn before others have theirs. */
export const TURN_BYTES = 256 * KiB;
/** What a stream takes from the log at once; less than its buffer, because a batch grows when it becomes JSON. */
export const READ_BYTES = 64 * KiB;

import type { ErrorCode } from '../kernel/errors.ts';

/**
 * What a follower and a leader say to each other: plain data, which `peer/` puts into protobuf and the simulator passes as it is.
 *
 * One fetch session per pair of nodes (follower → leader) carries all partitions of the pair. Nothing is said of a partition of which there
 * is nothing new, neither in a request nor in a response.
 *
 * @see KIP-227 (sessions), KIP-101 and KIP-279 (truncation by leader epoch)
 */

/** One partition, whatever its topic is called. */
export interface PartitionRef {
  readonly topicId: string;
  /** From 0. */
  readonly partition: number;
}

/** Where a follower is with one partition. */
export interface FetchPosition extends PartitionRef {
  /** Epoch of the leader that it follows. */
  readonly leaderEpoch: number;
  /** The first offset it has not got: its log end. */
  readonly fetchOffset: number;
  /** Everything below it is as durable there as the topic promises; at most `fetchOffset`. */
  readonly durableOffset: number;
  /** Leader epoch of the last batch below `fetchOffset`, also where that is not retained any more; -1: there never was one. */
  readonly lastEpoch: number;
  /** Nothing below it comes back there, whatever becomes of the node; at most the log start. @see KIP-107 */
  readonly durableStart: number;
  /** Nobody reads this copy: news of the watermark alone may wait a moment for batches. */
  readonly unread: boolean;
}

/**
 * Asks a leader for what is new.
 *
 * At most two requests of a session are outstanding: a later one supersedes the earlier, which is answered at once. They arrive in order.
 */
export interface FetchRequest {
  /** As the leader answered it last; 0 when `sequence` is. */
  readonly sessionId: number;
  /** 0 begins a session and names all partitions; then 1, 2, … */
  readonly sequence: number;
  /**
   * `sequence` of the last response that has been worked in before this was sent; -1: none. What an outstanding response brings is not sent
   * again for a position that was named before it came.
   */
  readonly received: number;
  /** Partitions that are new or whose position has changed, and each that the last response said something of but its watermark. */
  readonly changed: readonly FetchPosition[];
  /** Partitions that this node follows there no longer. */
  readonly forgotten: readonly PartitionRef[];
  /** Bytes of batches in the response; one batch comes even when it alone is larger. */
  readonly maxBytes: number;
  /** How long the leader may keep the request while there is nothing new, milliseconds. */
  readonly maxWaitMs: number;
}

/** What a leader says of one partition. */
export interface FetchedPartition extends PartitionRef {
  /** The leader epoch that was asked for. */
  readonly leaderEpoch: number;
  /**
   * Nothing else of this partition counts then. NOT_LEADER: that epoch is not led there (any more); UNAVAILABLE: not yet, or the lease
   * is not held; or why its log cannot be read. It is out of the session with that, until the follower names it again.
   */
  readonly error?: ErrorCode;
  /**
   * The follower has what the leader has not: it goes back to `endOffset` or to where it has `epoch` end itself, whichever is lower, and asks again.
   * `epoch` is the largest in the leader's history that is not above the follower's last one; -1: there is none, `endOffset` is its log start then.
   */
  readonly diverging?: { readonly epoch: number; readonly endOffset: number };
  /** Above the offset asked for: the follower begins there again, with an empty log. */
  readonly logStart: number;
  /** Exclusive. */
  readonly logEnd: number;
  /** Exclusive; the follower's readers may see what it has below it. */
  readonly highWatermark: number;
  /**
   * Whole batches from the offset asked for on, as the leader has stored them; shared with its log: read-only. The first may begin below
   * that offset only where the leader's log begins inside of it.
   */
  readonly batches: readonly Buffer[];
}

/** Answer to a fetch. */
export interface FetchResponse {
  readonly sessionId: number;
  /** That of the request. */
  readonly sequence: number;
  /** CLOSED: the session is not known; begin again with sequence 0. */
  readonly error?: ErrorCode;
  readonly partitions: readonly FetchedPartition[];
}

/** How a node asks others for what they lead. */
export interface ReplicationClient {
  /** @throws UNAVAILABLE, TIMEOUT */
  fetch(nodeId: string, request: FetchRequest): Promise<FetchResponse>;
}

/** The other end of {@link ReplicationClient}: called for the node that has shown who it is. */
export interface ReplicationServer {
  /** Never rejects. */
  fetch(fromNodeId: string, request: FetchRequest): Promise<FetchResponse>;
  /** The connection from that node has ended, and its session with it. */
  forget(fromNodeId: string): void;
}

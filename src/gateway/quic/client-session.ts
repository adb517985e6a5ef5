import type { Principal } from '../../broker/ports.ts';
import type { ErrorCode, SluiceError } from '../../kernel/errors.ts';
import type { Connection } from '../../transport/transport.ts';
import type { GatewayContext } from './gateway-context.ts';
import type { StreamInputOwner } from './stream-input.ts';
import type { SubscriptionTable } from './subscription-table.ts';
import type { TurnAccount } from '../turn-account.ts';

/** What the streams and subscriptions of a connection see of its session. */
export interface ClientSession {
  readonly id: string;
  readonly context: GatewayContext;
  readonly connection: Connection;
  readonly subscriptions: SubscriptionTable;
  /** What its streams and deliveries use of the process's time. */
  readonly account: TurnAccount;
  /** As the client calls itself; not trusted. */
  clientId: string;
  /** Bytes of frames that have begun to arrive on this connection's streams. */
  partialBytes: number;
  /** They do not count any more for the node as a whole, because the connection is being closed. */
  readonly isWrittenOff: boolean;
  /** Batch bytes delivered. */
  deliveredBytes: number;
  /** Whether it is known who the client is, anonymous included. */
  readonly authenticated: boolean;
  /** Whether the client has said HELLO: this is batch mode. */
  readonly helloSeen: boolean;
  /** Requests for records of queues that are not answered, on all streams. */
  receives: number;
  /**
   * The client, for something it wants the broker to do.
   * @throws UNAUTHENTICATED when it has not said who it is; DRAINING
   */
  requirePrincipal(): Principal;
  /** The same for what a draining node still answers. @throws UNAUTHENTICATED */
  requireIdentity(): Principal;
  /** The client said HELLO. @throws UNAUTHENTICATED */
  authenticate(token: string): Principal;
  /** Counts a refusal, or a stream that ended with an error. */
  countError(code: ErrorCode): void;
  /** Ends the connection because of an error. */
  fail(error: SluiceError): void;
  /** Something that a drain may wait for has changed. */
  progressed(): void;
  /** A stream besides the control stream is over. */
  streamOver(stream: Settling): void;
}

/** A stream that a drain waits for. */
export interface Settling {
  /** Whether everything that was received is answered, as far as this end can know. */
  readonly settled: boolean;
}

/** What works on the frames of a stream besides the control stream. */
export interface StreamWork extends StreamInputOwner, Settling {}

/** Where requests come from and their answers go to. */
export interface RequestChannel {
  readonly session: ClientSession;
  /** Whether this is batch mode. */
  readonly helloSeen: boolean;
  /** Writes a whole frame. */
  write(frame: Buffer): void;
  /**
   * Starts `task`, which writes an answer and never rejects. Once many of them run, or the client has not read its answers, no
   * more frames are read: a small request may have a large answer.
   */
  run(task: () => Promise<void>): void;
  /** Aborted when nobody waits for answers any more. */
  readonly signal: AbortSignal;
  /** Of the payload of one RESPONSE. */
  readonly maxResponseBytes: number;
}

/** What the handlers of control frames see of the control stream. */
export interface ControlChannel extends RequestChannel {
  /** Something has begun that may take time and write a small answer; {@link answered} says that it is over. */
  asked(): void;
  answered(): void;
}

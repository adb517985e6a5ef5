import type { ErrorCode } from '../../kernel/errors.ts';
import type { PartitionReader } from '../../partition/reader.ts';
import type { GapReason } from '../../wire/delivery.ts';
import type { ClientSession } from './client-session.ts';
import type { StreamCredit } from './stream-credit.ts';
import type { TurnAccount } from '../turn-account.ts';

/** Where what was read goes: one of the delivery modes. */
export interface DeliverySink {
  /** Whether more should be read for it now. Once false, the sink wakes its pump when that changes. Asking changes nothing. */
  readonly writable: boolean;
  /** Total milliseconds it waited for the client: for its window, or for its credit. */
  readonly blockedMs: number;
  /** What to read from the log at once. */
  readonly readBytes: number;
  /**
   * Takes batches from index `from` on, which stay shared with the log: read-only. For those that it does not take it wakes its
   * pump once it has room, or once others have had their turn.
   *
   * @returns index of the first that was not taken
   * @throws SluiceError when one cannot be delivered in this mode; the delivery ends with its code
   */
  take(batches: readonly Buffer[], from: number): number;
  /** Whether what comes now is served after deliveries of the same urgency; false at first. */
  setBehind(behind: boolean): void;
  /** The offsets in [from, to) are gone. @throws CLOSED */
  takeGap(from: number, to: number, reason: GapReason): void;
  /**
   * Nothing comes any more: says why, if the mode can, and closes. `code` is undefined when there is no error.
   * @throws CLOSED
   */
  finish(code: ErrorCode | undefined, text: string): void;
  /** It is over without a word, because the client is gone or does not want it: lets go of everything. */
  abandon(): void;
}

/** What a sink may ask of the pump that feeds it. */
export interface SinkPump {
  /** The sink has room again. Needs no `this`: it is one function for all who wake the pump, since every function costs memory. */
  readonly wake: () => void;
  /** The client does not want this delivery any more. Needs no `this` either. */
  readonly abandon: () => void;
  /** It cannot go on: finishes the sink with `code`. */
  end(code: ErrorCode | undefined, text: string): void;
}

/** What a sink can ask of its subscription. */
export interface SinkHost {
  readonly session: ClientSession;
  readonly subscriptionId: number;
  /** 0 (first) to 7 (last). */
  readonly urgency: number;
  readonly credit: StreamCredit;
}

/** What a pump tells its subscription. */
export interface DeliveryOwner {
  /** Of the connection. */
  readonly account: TurnAccount;
  readonly paused: boolean;
  readonly endAtGap: boolean;
  /** `bytes` of batches were written. */
  delivered(bytes: number): void;
  /** A delivery is over, for whatever reason; called once for each. */
  deliveryOver(reader: PartitionReader, code: ErrorCode | undefined): void;
}

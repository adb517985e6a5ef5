import type { Broker } from '../../../broker/broker.ts';
import type { Principal } from '../../../broker/ports.ts';
import type { Clock } from '../../../kernel/clock.ts';
import type { ErrorCode, SluiceError } from '../../../kernel/errors.ts';
import type { Random } from '../../../kernel/random.ts';
import type { ByteBudget } from '../../../log/byte-budget.ts';
import type { PumpScheduler } from '../../pump-scheduler.ts';
import type { TurnAccount } from '../../turn-account.ts';
import type { ClientMessage } from './client-message.ts';
import type { StreamCounters } from './stream-counters.ts';
import type { StreamLimits } from './stream-limits.ts';

/** What streams ask of a broker. */
export type StreamBroker = Pick<Broker, 'isStillValid' | 'subscribe' | 'openReader'> & {
  readonly groups: Pick<Broker['groups'], 'ask'>;
};

/** What all streams share. */
export interface StreamContext {
  readonly broker: StreamBroker;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: StreamLimits;
  readonly scheduler: PumpScheduler;
  /** What is held inflated for clients that do not read. */
  readonly inflated: ByteBudget;
  readonly counters: StreamCounters;
}

/** Where a client gets its records: a WebSocket or an event stream. */
export interface Outlet {
  /** Whether there is room for more. */
  readonly writable: boolean;
  /** Whether all that was written has left this process. */
  readonly drained: boolean;
  /** @param id says where to go on after this record; asked only where the client can use it. @returns bytes written */
  record(json: string, id: () => string): number;
  /** Tells something that is no record: an object with `type` besides the fields. */
  notice(type: string, fields: Readonly<Record<string, unknown>>, id?: () => string): void;
}

/** A stream as its feed sees it. */
export interface FeedHost {
  readonly context: StreamContext;
  readonly principal: Principal;
  readonly outlet: Outlet;
  readonly account: TurnAccount;
  /** `host:port` of the client. */
  readonly remoteAddress: string;
  /** It cannot go on. Idempotent. */
  end(error: SluiceError): void;
}

/** Something a client said that was not done. */
export interface Refused {
  /** As the client named it: a token, or a partition and an offset. */
  readonly of: unknown;
  readonly code: ErrorCode;
  readonly message: string;
}

/** Where the records of a stream come from. It writes nothing while the outlet is not writable. */
export interface Feed {
  /** @returns what the client is told first. @throws what it is refused with; it is closed all the same */
  open(): Promise<Readonly<Record<string, unknown>>>;
  /** The outlet has room. */
  wake(): void;
  /** A second has passed. */
  tick(): void;
  /** Where to go on after all that was written; undefined where that is kept by the broker. */
  position(): string | undefined;
  /** Never rejects. @returns what was not done */
  take(message: ClientMessage): Promise<readonly Refused[]>;
  /** Gives back what it holds; never rejects. Idempotent. */
  close(): Promise<void>;
}

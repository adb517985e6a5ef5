import type { Broker } from '../../broker/broker.ts';
import type { Principal } from '../../broker/ports.ts';

/** What this gateway needs of the broker. */
export interface MessageBroker extends Pick<Broker, 'authenticate' | 'isStillValid' | 'publish'> {
  readonly groups: Pick<Broker['groups'], 'ask'>;
}

/** Who made a call, and what the call holds of the gateway's memory. */
export interface Caller {
  readonly principal: Principal;
  /** `bytes` of what it sent are done with: more may come. */
  release(bytes: number): void;
}

/** What a call goes by. */
export interface CallTerms {
  /** Aborted when the caller has gone or its deadline has passed; the reason is an error where the gateway ends the call. */
  readonly signal: AbortSignal;
  /** Milliseconds that the caller waits for the end, from the begin of the call; Infinity: it did not say. */
  readonly timeoutMs: number;
}

import type { TurnAccount } from '../turn-account.ts';

/** What the streams of one connection share. */
export interface PartialBytes {
  readonly account: TurnAccount;
  /** Bytes of unfinished frames. */
  partialBytes: number;
  /** Nothing of it counts any more for the node as a whole, because the connection is being closed. */
  readonly isWrittenOff: boolean;
  /** Whether it is known who the client is, anonymous included. */
  readonly authenticated: boolean;
}

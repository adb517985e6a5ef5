import type { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';

/** How records are settled. */
export interface Settling {
  readonly kind: SettlementKind;
  readonly delayMs: number | undefined;
  /** For people; may be empty. */
  readonly reason: string;
}

/** A range of records of one lease that is to be settled, and has not been sent yet or not been answered. */
export interface PendingRange extends Settling {
  readonly lease: Lease;
  first: number;
  /** Exclusive. */
  end: number;
  readonly done: PromiseWithResolvers<undefined>;
}

/** Records that were leased to this consumer together, of one batch or of neighbours. */
export interface Lease {
  readonly partition: number;
  readonly grant: bigint;
  /** How long it is, milliseconds. */
  readonly leaseMs: number;
  /** Monotonic time until which the records are certainly this consumer's, milliseconds; extending may make it earlier, not later. */
  deadlineMs: number;
  /** The range of it that gathers now: what follows on it joins it. */
  gathering: PendingRange | undefined;
}

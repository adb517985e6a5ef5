/** Records of one run, at most, where it is stored: what is longer was damaged. */
export const RUN_MAX_RECORDS = 2 ** 26;

/** Offsets `[first, end)`. */
export interface OffsetRun {
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
}

/** Both clocks: leases end by the steady one, which no jump of the wall clock moves; what is stored and promised as a date goes by the wall. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** `Clock.monotonicMs`. */
  readonly steadyMs: number;
}

/** Why a record becomes a dead letter; the text of the header `sluice-dlq-reason`. */
export type DeadReason = 'max-attempts' | 'rejected';

/** What there is to know about one new record, where the queue looks into its batches. */
export interface RecordDetails {
  readonly offset: number;
  /** Hash of its key, an unsigned 32-bit number, where the queue keeps the order of keys. Two keys of one hash wait for each other: nothing else happens. */
  readonly keyHash?: number | undefined;
  /** Milliseconds since 1970: not delivered before. */
  readonly availableAtMs?: number | undefined;
  /** Milliseconds since 1970: not delivered from then on, but done. */
  readonly expiresAtMs?: number | undefined;
}

/** Records of one batch that are on their way to another topic: published with this producer id and sequence, as often as it takes. */
export interface MoveIntent {
  /** Dead letters get headers about their past, replayed ones lose them. */
  readonly kind: 'dead-letter' | 'replay';
  readonly topic: string;
  readonly partition: number;
  readonly producerId: number;
  readonly sequence: number;
  /** Milliseconds since 1970: the time in the headers and of the records, the same each time. */
  readonly atMs: number;
  /** In rising order; the batch holds exactly these records, in this order. */
  readonly runs: readonly OffsetRun[];
}

/** A {@link MoveIntent} that is stored; `id` rises. */
export interface Move extends MoveIntent {
  readonly id: number;
}

/** What changed, as it is stored. Applied in order to an empty partition of a queue, events make the same state again. */
export type QueueEvent =
  /** What lies below is done or does not exist; the first event of all. */
  | { readonly kind: 'advanced'; readonly cursor: number }
  | { readonly kind: 'offered'; readonly first: number; readonly end: number }
  | { readonly kind: 'offered-each'; readonly end: number; readonly records: readonly RecordDetails[] }
  | { readonly kind: 'granted'; readonly grant: number; readonly leaseMs: number; readonly runs: OffsetRun[] }
  | { readonly kind: 'done'; readonly runs: OffsetRun[] }
  | {
      readonly kind: 'retried';
      readonly runs: OffsetRun[];
      readonly availableAtMs: number;
      /** The attempt does not count. */
      readonly released: boolean;
    }
  | { readonly kind: 'extended'; readonly runs: OffsetRun[]; readonly leaseMs: number }
  | { readonly kind: 'died'; readonly runs: OffsetRun[]; readonly reason: DeadReason; readonly text: string }
  | { readonly kind: 'move-begun'; readonly move: Move }
  | { readonly kind: 'move-done'; readonly id: number }
  | { readonly kind: 'move-cancelled'; readonly id: number };

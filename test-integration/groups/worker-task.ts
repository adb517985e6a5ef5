/** What a consumer process is told to do, and the lines that it leaves in the journal. */

/** A consumer in a process of its own. */
export interface WorkerTask {
  readonly kind: 'queue' | 'group';
  readonly name: string;
  readonly urls: readonly string[];
  readonly ca: string;
  /** File that all workers append to. */
  readonly journal: string;
  readonly topic: string;
  /** Of the queue, or of the members. */
  readonly group: string;
  /** Records of a queue that one request takes. Default 8. */
  readonly max?: number;
  /** Between the effect of a record and its acknowledgement, milliseconds. Default 0. */
  readonly workMs?: number;
  /** Of a queue: whether what one request took is worked on at the same time. Default: one after the other. */
  readonly atOnce?: boolean;
  /** Default: that of clients. */
  readonly requestTimeoutMs?: number;
  readonly sessionTimeoutMs?: number;
  /** Members of a group: `each` record by itself (default), or by themselves. */
  readonly commit?: 'each' | 'auto';
}

interface Place {
  readonly partition: number;
  readonly offset: number;
}

/** A record as a worker has it. */
export interface Taken extends Place {
  readonly value: string;
  /** Of a queue: which delivery it is, and the token of its lease. */
  readonly attempt?: number;
  readonly token?: string;
}

/**
 * One line of the journal. Workers append whole lines, so that their order is the order in which they happened, and what was
 * written is there after SIGKILL.
 *
 *     assigned ──> effect ──> settled …      revoked ──>
 */
export type JournalLine = {
  readonly worker: string;
  /** Of the clock that all processes of a machine share, milliseconds. */
  readonly atMs: number;
} & (
  | { readonly event: 'assigned'; readonly partitions: readonly Place[] }
  | { readonly event: 'revoked'; readonly partitions: readonly Place[]; readonly lost: boolean }
  /** The record is leased to this worker. @param askedMs when the request for it began */
  | ({ readonly event: 'leased'; readonly askedMs: number; readonly leaseMs: number } & Taken)
  /** What is to happen for the record has happened. */
  | ({ readonly event: 'effect' } & Taken)
  /** The broker's answer to the acknowledgement, or the commit. @param code of the error, where it is one */
  | ({ readonly event: 'settled'; readonly how: 'ack' | 'nack' | 'commit'; readonly code?: string } & Taken)
);

/** Records whose value begins with it fail always. */
export const POISON = 'poison';

/** Milliseconds of the clock that all processes of a machine share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

import type { ErrorCode } from '../kernel/errors.ts';

/** What observers count, for all of them together; plain fields that metrics read. */
export interface ObserverCounters {
  /** Reads that fed a tail and brought something. */
  reads: number;
  /** Bytes of batches that they brought. */
  bytes: number;
  /** Reads for subscribers who were behind the tail. */
  olderReads: number;
  olderBytes: number;
  /** Reads that failed, or brought nothing that could be used; they are tried again, elsewhere where there is an elsewhere. */
  failures: number;
  /** Why the last of them failed; undefined: none did for an error. */
  lastError: ErrorCode | undefined;
  /** Times that a copy had to go back behind what it had, because the leader has something else there. */
  truncations: number;
  /** Times that a copy had to begin anew, because the source keeps nothing of what comes next. */
  restarts: number;
  /** Copies opened so far. */
  opened: number;
}

/** Counters of a node that has just started. */
export function newObserverCounters(): ObserverCounters {
  return {
    ...{ reads: 0, bytes: 0, olderReads: 0, olderBytes: 0, failures: 0, lastError: undefined },
    ...{ truncations: 0, restarts: 0, opened: 0 },
  };
}

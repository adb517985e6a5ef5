import type { ErrorCode } from '../kernel/errors.ts';

/** What came from one node. */
export interface SourceBytes {
  readonly node: string;
  readonly zone: string;
  /** Of batches that fed tails. */
  feed: number;
  /** Of batches for subscribers who were behind the tail. */
  older: number;
}

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
  /** By node and zone; those who are no members any more go with {@link forgetSources}. */
  readonly sources: Map<string, SourceBytes>;
}

/** Counters of a node that has just started. */
export function newObserverCounters(): ObserverCounters {
  return {
    ...{ reads: 0, bytes: 0, olderReads: 0, olderBytes: 0, failures: 0, lastError: undefined },
    ...{ truncations: 0, restarts: 0, opened: 0, sources: new Map() },
  };
}

/** Drops what came from nodes that are not among these. */
export function forgetSources({ sources }: ObserverCounters, members: ReadonlySet<string>): void {
  for (const [key, { node }] of sources) if (!members.has(node)) sources.delete(key);
}

/** Counts bytes of batches, in sum and by who has sent them. */
export function countBytes(
  counters: ObserverCounters,
  { node, zone }: Pick<SourceBytes, 'node' | 'zone'>,
  kind: 'feed' | 'older',
  bytes: number,
): void {
  if (kind === 'feed') counters.bytes += bytes;
  else counters.olderBytes += bytes;
  if (bytes === 0) return;
  const key = `${node} ${zone}`;
  const source = counters.sources.get(key) ?? { node, zone, feed: 0, older: 0 };
  source[kind] += bytes;
  counters.sources.set(key, source);
}

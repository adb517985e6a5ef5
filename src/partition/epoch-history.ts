import type { PartitionLog } from '../log/partition-log.ts';
import type { FetchPosition } from './replication.ts';

/** What is known of who wrote what is in a log. */
export type EpochHistory = Pick<PartitionLog, 'leaderEpochs' | 'logStart' | 'logEnd'>;

/** An epoch and where it ends in a log. */
export interface EpochEnd {
  /** -1: none that is known. */
  readonly epoch: number;
  /** Exclusive. */
  readonly endOffset: number;
}

/** Epoch of a log that no leader has written to. */
export const NO_EPOCH = -1;

/**
 * Epoch of the leader that wrote the last batch below `offset`; -1 when nobody is known to have written there.
 * @param offset at most the log end, at the border of two batches
 */
export function epochBefore({ leaderEpochs }: Pick<EpochHistory, 'leaderEpochs'>, offset: number): number {
  return leaderEpochs.findLast(({ firstOffset }) => firstOffset < offset)?.epoch ?? NO_EPOCH;
}

/**
 * The largest epoch that is not above `epoch`, and where the next one begins or else the log ends. When there is none: the log start.
 * @see KIP-101, KIP-279
 */
export function endOfEpoch({ leaderEpochs, logStart, logEnd }: EpochHistory, epoch: number): EpochEnd {
  const index = leaderEpochs.findLastIndex((entry) => entry.epoch <= epoch);
  const found = leaderEpochs[index];
  if (!found) return { epoch: NO_EPOCH, endOffset: logStart };
  return { epoch: found.epoch, endOffset: leaderEpochs[index + 1]?.firstOffset ?? logEnd };
}

/**
 * Whether a follower's log can be a beginning of this one, as far as the epoch of its last batch says; undefined: it can, else the point to go
 * back to. It then goes back to that offset, or to where the epoch ends in its own log when that is lower, and asks again, so that
 * also a history with several epochs that are not here is unravelled.
 *
 * @param history the leader's
 * @param position `fetchOffset` is not below `logStart`
 * @see KIP-279
 */
export function divergence(
  history: EpochHistory,
  position: Pick<FetchPosition, 'fetchOffset' | 'lastEpoch'>,
): EpochEnd | undefined {
  const end = endOfEpoch(history, position.lastEpoch);
  // A log with nothing in it contradicts nobody: sent back to the beginning, it would show readers less than it has before.
  if (position.lastEpoch === NO_EPOCH && position.fetchOffset <= history.logEnd) return undefined;
  const isBeyond = position.fetchOffset > end.endOffset;
  // Whoever wrote before the first that is known here is forgotten, which is no contradiction.
  const isUnknown = end.epoch !== NO_EPOCH && end.epoch < position.lastEpoch;
  return isBeyond || isUnknown ? end : undefined;
}

/**
 * Where a follower goes back to when its leader has answered `diverging`.
 * @param history the follower's
 * @returns at most its log end; below its log start: nothing of it is right
 */
export function truncationPoint(history: EpochHistory, diverging: EpochEnd): number {
  const own = endOfEpoch(history, diverging.epoch);
  return Math.min(diverging.endOffset, own.endOffset, history.logEnd);
}

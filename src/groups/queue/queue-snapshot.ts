import { isAlike, type Lot } from './lot.ts';
import { RUN_MAX_RECORDS, type Move } from './queue-event.ts';
import type { StoredRun } from './queue-runs.ts';
import type { QueueState } from './queue-state.ts';

/** All that is kept of one partition of a queue. */
export interface QueueSnapshot {
  readonly cursor: number;
  readonly nextGrant: number;
  readonly nextMove: number;
  /** Oldest first. */
  readonly moves: readonly Move[];
  /** In rising order; neighbours differ. */
  readonly runs: readonly StoredRun[];
}

/** What is kept of a state, as it is now. What is taken is not: it is what it was before. */
export function captureState(state: QueueState): QueueSnapshot {
  const runs: StoredRun[] = [];
  let pending: Lot | undefined;
  let end = 0;
  for (const lot of state.lots.from(0)) {
    if (pending && end === lot.first && isAlike(pending, lot) && lot.end - pending.first <= RUN_MAX_RECORDS) {
      end = lot.end;
      continue;
    }
    if (pending) runs.push(storedRun(pending, end));
    pending = lot;
    end = lot.end;
  }
  if (pending) runs.push(storedRun(pending, end));
  const { cursor, nextGrant, nextMove } = state;
  return { cursor, nextGrant, nextMove, moves: [...state.moves.values()], runs };
}

/** Fills an empty state. @throws RangeError when runs overlap */
export function restoreState(state: QueueState, snapshot: QueueSnapshot): void {
  state.cursor = snapshot.runs[0]?.first ?? snapshot.cursor;
  for (const run of snapshot.runs) state.restore(run);
  state.skipTo(snapshot.cursor);
  state.nextGrant = snapshot.nextGrant;
  for (const move of snapshot.moves) state.beginMove(move);
  state.nextMove = snapshot.nextMove;
}

function storedRun(lot: Lot, end: number): StoredRun {
  const { first, attempts, grant, leaseMs, availableAtMs, expiresAtMs, keyHash, reason, text } = lot;
  return { first, end, attempts, grant, leaseMs, availableAtMs, expiresAtMs, keyHash, reason, text };
}

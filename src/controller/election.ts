import type { PartitionState } from '../coordination/cluster.ts';

/** What is known of the replicas of one partition. */
export interface ElectionView {
  /** A member that can lead and follow. */
  isLive(nodeId: string): boolean;
  /** It wants to hand over what it leads. */
  isDraining(nodeId: string): boolean;
  /** Its copy was in memory and of a process, or a membership, that is over. */
  hasLostData(nodeId: string): boolean;
  /** It was named not long ago, and gave the leadership back. */
  hasRefused(nodeId: string): boolean;
  /** Whether one that is gone may be taken out of the in-sync replicas; false when that was done, and its leader took it in again. */
  mayExpel(nodeId: string): boolean;
  /** What was acknowledged is with so many: of those who are gone as many stay in sync as are wanting to that. */
  readonly minInsync: number;
  /** Whether one that is not in sync may lead now if there is no other. */
  readonly allowsUnclean: boolean;
}

/** What an election has changed: `unclean` may have lost what was acknowledged. */
export type ElectionResult = 'unchanged' | 'expelled' | 'elected' | 'handed over' | 'leaderless' | 'unclean';

/** A state and what led to it. */
export interface Election {
  readonly kind: ElectionResult;
  readonly state: PartitionState;
}

/**
 * Who leads, and who is in sync, once it is known who is there.
 *
 *     in-sync replicas   those that are gone leave while `minInsync` stay; they are never none
 *     leader             stays while it is there, in sync and does not drain
 *                        else the first in-sync replica that is there: first those that do not drain
 *                        else, where that is allowed, another replica, alone in sync
 *                        else nobody; the in-sync replicas stay as they are, for one of them to come back
 *
 * A new leader has a new epoch, one larger.
 */
export function elect(before: PartitionState, view: ElectionView): Election {
  const state = expel(before, view);
  const kind = state === before ? 'unchanged' : 'expelled';
  const current = state.leader;
  const isFit = current !== null && isInSync(state, current, view);
  if (isFit && !view.isDraining(current)) return { kind, state };

  const next = candidates(state, view)[0];
  const isWorse = next === undefined || view.isDraining(next) || view.hasLostData(next);
  if (isFit && isWorse) return { kind, state };
  if (next !== undefined) return { kind: isFit ? 'handed over' : 'elected', state: ledBy(state, next) };
  return electUnclean(state, view) ?? leaderless(state, kind);
}

/** Gives leadership back to the preferred replica. @returns undefined when it leads, or cannot now */
export function preferred(state: PartitionState, view: ElectionView): PartitionState | undefined {
  const first = state.replicas[0];
  if (first === undefined || first === state.leader || state.leader === null) return undefined;
  if (!isInSync(state, first, view) || view.isDraining(first)) return undefined;
  if (view.hasRefused(first) || view.hasLostData(first)) return undefined;
  return ledBy(state, first);
}

/** The same state with another leader, in an epoch of its own. */
export function ledBy(state: PartitionState, leader: string): PartitionState {
  return { ...state, leader, leaderEpoch: state.leaderEpoch + 1 };
}

function electUnclean(state: PartitionState, view: ElectionView): Election | undefined {
  // An in-sync one that is there has given the leadership back: it may lead again when it has been left alone for a while.
  if (!view.allowsUnclean || state.isr.some((id) => view.isLive(id))) return undefined;
  const leader = ordered(state.replicas, view)[0];
  return leader === undefined
    ? undefined
    : { kind: 'unclean', state: { ...ledBy(state, leader), isr: [leader] } };
}

function isInSync(state: PartitionState, nodeId: string, view: ElectionView): boolean {
  return state.isr.includes(nodeId) && view.isLive(nodeId);
}

function candidates(state: PartitionState, view: ElectionView): readonly string[] {
  const inSync = state.replicas.filter((id) => state.isr.includes(id));
  // A leader that drains is no successor of itself.
  return ordered(inSync, view).filter((id) => id !== state.leader || !view.isDraining(id));
}

/** Those that could lead, the best first: who drains, and then who has lost what it had, leads rather than nobody. */
function ordered(replicas: readonly string[], view: ElectionView): readonly string[] {
  const rank = (id: string): number => (view.isDraining(id) ? 1 : 0) + (view.hasLostData(id) ? 2 : 0);
  return replicas.filter((id) => view.isLive(id) && !view.hasRefused(id)).sort((a, b) => rank(a) - rank(b));
}

/**
 * Takes out of the in-sync replicas those that are gone, or have lost what they had, as long as a good one stays and enough do. Whom the controller sees
 * may be the one that is gone in truth: its membership only has not ended yet.
 * @see KIP-966
 */
function expel(state: PartitionState, view: ElectionView): PartitionState {
  const isGood = (id: string): boolean => view.isLive(id) && !view.hasLostData(id);
  if (!state.isr.some(isGood)) return state;
  const staying = new Set(state.isr.filter((id) => isGood(id) || (!view.isLive(id) && !view.mayExpel(id))));
  const going = state.isr.filter((id) => !staying.has(id));
  // Who has lost what it had leaves by itself; who is there and has not, as far as that can be told, is worth most.
  const worthiest = going.sort((a, b) => Number(view.isLive(b)) - Number(view.isLive(a)));
  for (const id of worthiest) if (staying.size < view.minInsync) staying.add(id);
  const isr = state.isr.filter((id) => staying.has(id));
  return isr.length === state.isr.length ? state : { ...state, isr };
}

function leaderless(state: PartitionState, kind: ElectionResult): Election {
  if (state.leader === null) return { kind, state };
  return { kind: 'leaderless', state: { ...state, leader: null } };
}

import type { PartitionState } from '../coordination/cluster.ts';
import type { Census } from './census.ts';
import type { Reason } from './plan-input.ts';
import type { PlacementNeed } from './placement.ts';

/** One partition whose replicas may have to change. */
export interface Replicated {
  readonly topicId: string;
  readonly factor: number;
  readonly state: PartitionState;
  /** The best nodes for it, beside those that are there. */
  choose(need: PlacementNeed): readonly string[];
}

/** Other replicas, and why. */
export interface ReplicaStep {
  readonly replicas: readonly string[];
  readonly reason: Extract<Reason, 'moved' | 'grown' | 'replaced' | 'moving'>;
}

/**
 * The next step of a partition's replicas to where they should be; undefined: none is needed, or it has to wait.
 *
 *     a b c          c is gone for good: d is to take its place
 *     a b d | c      d copies; when a, b and d are all in sync:
 *     a b d
 */
export function replicaStep(at: Replicated, census: Census): ReplicaStep | undefined {
  const { state, factor } = at;
  const wanted = state.replicas.slice(0, factor);
  const isThere = (id: string): boolean => census.isLive(id) && state.isr.includes(id);
  if (state.replicas.length > factor && wanted.every(isThere)) return { replicas: wanted, reason: 'moved' };
  const { leader } = state;
  // There is nobody to copy from.
  if (leader === null || !isThere(leader)) return undefined;
  return replaced(at, leader, census) ?? grown(at, census);
}

/** Puts other nodes in the places of those that are gone for good. */
function replaced(at: Replicated, leader: string, census: Census): ReplicaStep | undefined {
  const { replicas } = at.state;
  const lost = replicas.slice(0, at.factor).filter((id) => census.isLost(id));
  if (lost.length === 0 || !census.mayMove(leader)) return undefined;
  const chosen = at.choose(need(at, lost.length, lost, census));
  let next = replicas;
  for (const [index, nodeId] of chosen.entries()) {
    if (!census.mayCopy(nodeId)) continue;
    census.copies(nodeId);
    next = [...next.map((id) => (id === lost[index] ? nodeId : id)), lost[index]!];
  }
  if (next === replicas) return undefined;
  census.moves(leader);
  return { replicas: next, reason: 'replaced' };
}

/** Adds replicas where there are fewer than there should be. */
function grown(at: Replicated, census: Census): ReplicaStep | undefined {
  const { replicas } = at.state;
  const missing = at.factor - replicas.length;
  if (missing <= 0) return undefined;
  const added = at.choose(need(at, missing, [], census)).filter((nodeId) => census.mayCopy(nodeId));
  if (added.length === 0) return undefined;
  for (const nodeId of added) census.copies(nodeId);
  return { replicas: [...replicas, ...added], reason: 'grown' };
}

/** A need for nodes that are none of the replicas, in zones where those that stay are not. */
function need(at: Replicated, count: number, lost: readonly string[], census: Census): PlacementNeed {
  const { replicas } = at.state;
  const staying = replicas.slice(0, at.factor).filter((id) => !lost.includes(id));
  return { count, taken: replicas, zones: staying.flatMap((id) => census.zone(id) ?? []) };
}

/** Whether a partition is where it would be placed now, and otherwise the step to there if it can be taken. */
export function rebalanceStep(
  at: Replicated,
  census: Census,
): { readonly isBalanced: boolean; readonly step?: ReplicaStep | undefined } {
  const { factor, topicId } = at;
  const { replicas } = at.state;
  if (replicas.length > factor) return { isBalanced: false };
  const ideal = at.choose({ count: factor });
  // Too few nodes for a choice.
  if (ideal.length < replicas.length) return { isBalanced: true };
  if (replicas.some((id) => !ideal.includes(id)))
    return { isBalanced: false, step: moving(at, ideal, census) };
  const better = census.load.lessLoaded(topicId, replicas[0]!, replicas);
  if (better === undefined) return { isBalanced: true };
  if (!mayBegin(at, census)) return { isBalanced: false };
  return { isBalanced: false, step: { replicas: preferring(better, replicas), reason: 'moving' } };
}

/** Lets the ideal replicas take the places of those that are none. */
function moving(at: Replicated, ideal: readonly string[], census: Census): ReplicaStep | undefined {
  const { replicas, leader } = at.state;
  const out = replicas.filter((id) => !ideal.includes(id));
  const added = ideal.filter((id) => !replicas.includes(id)).slice(0, out.length);
  if (leader === null || !mayBegin(at, census)) return undefined;
  if (!census.mayMove(leader) || !added.every((id) => census.mayCopy(id))) return undefined;
  census.moves(leader);
  for (const id of added) census.copies(id);
  const next = replicas.map((id) => added[out.indexOf(id)] ?? id);
  const first = out.includes(replicas[0]!) ? census.load.least(at.topicId, next)! : next[0]!;
  return { replicas: [...preferring(first, next), ...out], reason: 'moving' };
}

/** What is not well, or may be by itself in a moment, is not moved. */
function mayBegin({ state }: Replicated, census: Census): boolean {
  return census.isSettled && state.replicas.every((id) => census.isLive(id) && state.isr.includes(id));
}

function preferring(first: string, replicas: readonly string[]): readonly string[] {
  return [first, ...replicas.filter((id) => id !== first)];
}

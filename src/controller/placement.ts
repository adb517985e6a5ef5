import { hashOf, lotOf } from '../kernel/lots.ts';

/** A node that may be given replicas. */
export interface PlacementNode {
  readonly nodeId: string;
  /** Nodes that fail together have one zone; empty: not said, so it counts as one of its own. */
  readonly zone: string;
  /** Share of the replicas it takes, relative to others; 0: none. */
  readonly capacity: number;
}

/** What a choice has to take into account. */
export interface PlacementNeed {
  /** Replicas wanted, beside those that are there. */
  readonly count: number;
  /** Nodes that are not to be chosen. */
  readonly taken?: readonly string[];
  /** Zones of replicas that stay, one entry each; see {@link zoneOf}. */
  readonly zones?: readonly string[];
}

interface Candidate {
  readonly nodeId: string;
  readonly zone: string;
  readonly capacity: number;
  readonly hash: number;
}

/** The zone of a node for the purpose of spreading: one of its own where it has not said one. */
export function zoneOf({ nodeId, zone }: Pick<PlacementNode, 'nodeId' | 'zone'>): string {
  // No zone of a node can look like this: it would have to be empty in front of the slash.
  return zone === '' ? `/${nodeId}` : zone;
}

/**
 * Which nodes keep a partition: weighted rendezvous hashing, spread over zones.
 *
 * Each node draws a lot for each partition, which depends on nothing but the two, and the best lots win. So a node that comes takes its share
 * from all others and moves nothing between them, and what a node that goes leaves behind is spread over all others. Of two nodes the one in the zone
 * that has fewer replicas of the partition yet goes first, whatever the lots say.
 *
 * @see kernel/lots.ts; weights: draft-ietf-bess-weighted-hrw
 */
export class Placement {
  readonly #candidates: readonly Candidate[];
  readonly #lots: Float64Array;
  readonly #inZone = new Map<string, number>();

  /** @param nodes those that may be given replicas, in any order; capacity 0 gets none */
  constructor(nodes: readonly PlacementNode[]) {
    this.#candidates = nodes
      .filter(({ capacity }) => capacity > 0)
      .map((node) => ({ ...node, zone: zoneOf(node), hash: hashOf(node.nodeId) }))
      .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
    this.#lots = new Float64Array(this.#candidates.length);
  }

  /** Nodes that may be given replicas. */
  get size(): number {
    return this.#candidates.length;
  }

  /**
   * The best nodes for a partition, best first; fewer when there are not so many.
   *
   * Chosen one after the other, so that `count` + 1 gives one more and changes nothing about the first `count`.
   */
  choose(topicId: string, partition: number, { count, taken = [], zones = [] }: PlacementNeed): string[] {
    this.#draw(topicId, partition, taken);
    this.#inZone.clear();
    for (const zone of zones) this.#inZone.set(zone, this.#replicasIn(zone) + 1);
    const chosen: string[] = [];
    while (chosen.length < count) {
      const best = this.#best();
      if (best < 0) break;
      const { nodeId, zone } = this.#candidates[best]!;
      chosen.push(nodeId);
      this.#inZone.set(zone, this.#replicasIn(zone) + 1);
      this.#lots[best] = NOT_TO_BE_CHOSEN;
    }
    return chosen;
  }

  #draw(topicId: string, partition: number, taken: readonly string[]): void {
    const hash = hashOf(`${topicId}/${partition}`);
    for (const [at, candidate] of this.#candidates.entries()) {
      const share = (lotOf(hash, candidate.hash) + 0.5) / 2 ** 32;
      const isTaken = taken.includes(candidate.nodeId);
      this.#lots[at] = isTaken ? NOT_TO_BE_CHOSEN : candidate.capacity / -Math.log(share);
    }
  }

  /** @returns index of the best lot in the emptiest zone; −1: there is none left */
  #best(): number {
    let best = -1;
    let leastReplicas = Infinity;
    for (const [at, { zone }] of this.#candidates.entries()) {
      const lot = this.#lots[at]!;
      if (lot === NOT_TO_BE_CHOSEN) continue;
      const replicas = this.#replicasIn(zone);
      // Of two that have drawn the same the first by id.
      if (replicas > leastReplicas || (replicas === leastReplicas && lot <= this.#lots[best]!)) continue;
      best = at;
      leastReplicas = replicas;
    }
    return best;
  }

  #replicasIn(zone: string): number {
    return this.#inZone.get(zone) ?? 0;
  }
}

/** Below every lot. */
const NOT_TO_BE_CHOSEN = -1;

import type { ClusterNode, PartitionEntry, PartitionState } from '../coordination/cluster.ts';
import type { TopicDefinition } from '../coordination/coordinator.ts';
import { LeaderLoad } from './leader-load.ts';
import type { PlanInput } from './plan-input.ts';
import { zoneOf } from './placement.ts';
import { isReady, keysOf } from './plan-input.ts';

/** One partition that should exist. */
export interface CensusPartition {
  readonly key: string;
  readonly topic: TopicDefinition;
  readonly partition: number;
  /** As stored; undefined: it is not yet. */
  readonly entry: PartitionEntry | undefined;
  /** As stored, or as it will be by the change that is under way. */
  readonly state: PartitionState | undefined;
}

/**
 * What is where, counted once for a plan, and kept up to date with what the plan adds.
 *
 * The first `replicationFactor` replicas of a state are *wanted*; what comes after them is *leaving*, once all those wanted are in sync. So a
 * replica moves with two changes of the state, and whoever is controller meanwhile knows how far it is.
 */
export class Census {
  readonly partitions: readonly CensusPartition[];
  /** Of preferred leaderships. */
  readonly load: LeaderLoad;
  /** Members that can lead and follow. */
  readonly #live: ReadonlyMap<string, ClusterNode>;
  readonly #input: PlanInput;
  /** Replicas that a node has to bring in sync. */
  readonly #copying = new Map<string, number>();
  /** Partitions that a node leads while they move. */
  readonly #moving = new Map<string, number>();
  readonly #replicaNodes = new Set<string>();
  #isSettled: boolean | undefined;

  constructor(input: PlanInput) {
    this.#input = input;
    const live = input.nodes.filter((node) => isReady(node));
    this.#live = new Map(live.map((node) => [node.nodeId, node]));
    this.load = new LeaderLoad((nodeId) => this.#live.get(nodeId)?.capacity ?? 0);
    const partitions: CensusPartition[] = [];
    for (const topic of input.topics) {
      for (const [partition, key] of keysOf(topic).entries()) {
        const entry = input.states.get(key);
        const state = input.underWay.get(key) ?? entry?.state;
        partitions.push({ key, topic, partition, entry, state });
        if (state) this.#count(topic, state);
      }
    }
    this.partitions = partitions;
  }

  /** A member that can lead and follow. */
  isLive(nodeId: string): boolean {
    return this.#live.has(nodeId);
  }

  /** A live node that wants to hand over what it leads. */
  isDraining(nodeId: string): boolean {
    return this.#live.get(nodeId)?.draining === true;
  }

  /** It has been gone for so long that nobody waits for it any more. */
  isLost(nodeId: string): boolean {
    return this.#input.memory.absentMs(nodeId) >= this.#input.policy.replaceAfterMs;
  }

  /** Live nodes that may be given replicas. */
  placeable(): readonly ClusterNode[] {
    return [...this.#live.values()].filter(({ draining, capacity }) => !draining && capacity > 0);
  }

  /** Of a live node, see `zoneOf`; undefined for others. */
  zone(nodeId: string): string | undefined {
    const node = this.#live.get(nodeId);
    return node && zoneOf(node);
  }

  /** Whether no node with replicas is away that is expected back. */
  get isSettled(): boolean {
    this.#isSettled ??= [...this.#replicaNodes].every((nodeId) => this.isLive(nodeId) || this.isLost(nodeId));
    return this.#isSettled;
  }

  /** Whether a node may begin to copy one more partition. */
  mayCopy(nodeId: string): boolean {
    return (this.#copying.get(nodeId) ?? 0) < this.#input.policy.movesPerNode;
  }

  /** Whether one more of the partitions that a node leads may begin to move. */
  mayMove(leader: string): boolean {
    return (this.#moving.get(leader) ?? 0) < this.#input.policy.movesPerNode;
  }

  /** The plan lets a node copy a partition. */
  copies(nodeId: string): void {
    add(this.#copying, nodeId);
  }

  /** The plan lets a partition move that a node leads. */
  moves(leader: string): void {
    add(this.#moving, leader);
  }

  #count({ id, settings: { replicationFactor } }: TopicDefinition, state: PartitionState): void {
    const { replicas, leader, isr } = state;
    for (const nodeId of replicas) this.#replicaNodes.add(nodeId);
    if (replicas[0] !== undefined) this.load.count(id, replicas[0], 1);
    // Without a leader nothing is copied, however long that lasts.
    if (leader === null || !this.isLive(leader)) return;
    if (replicas.length > replicationFactor) this.moves(leader);
    if (isr.length === replicas.length) return;
    for (const nodeId of replicas.slice(0, replicationFactor)) {
      if (this.isLive(nodeId) && !isr.includes(nodeId)) this.copies(nodeId);
    }
  }
}

function add(counts: Map<string, number>, nodeId: string): void {
  counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
}

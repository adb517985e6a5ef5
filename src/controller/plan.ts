import type { PartitionState } from '../coordination/cluster.ts';
import type { CensusPartition } from './census.ts';
import { Census } from './census.ts';
import type { ElectionView } from './election.ts';
import { elect, preferred } from './election.ts';
import { Placement } from './placement.ts';
import type { PlacementNeed, PlacementNode } from './placement.ts';
import type { Plan, PlanInput, PlannedUpdate, Reason } from './plan-input.ts';
import { REASONS } from './plan-input.ts';
import type { Replicated } from './replica-step.ts';
import { rebalanceStep, replicaStep } from './replica-step.ts';

interface Change {
  readonly state: PartitionState;
  readonly reason: Reason;
}

/**
 * What has to be done so that all partitions exist, are led, and are kept where they should be.
 *
 * The plan depends on nothing but its input; what is kept between two plans is only where partitions would be placed, because working that out for all of
 * them is the one thing that takes long.
 */
export class Planner {
  #placement = new Placement([]);
  #placedOn = '';
  /** Where partitions would be placed now, by key. */
  readonly #ideals = new Map<string, readonly string[]>();

  /** Each partition is changed by one step at most; the next one follows when that has been done. */
  plan(input: PlanInput): Plan {
    const census = new Census(input);
    this.#placeOn(census.placeable());
    const run = new PlanRun(input, census, (at, need) => this.#choose(at, need));
    return run.plan();
  }

  #placeOn(nodes: readonly PlacementNode[]): void {
    const placedOn = JSON.stringify(nodes.map(({ nodeId, zone, capacity }) => [nodeId, zone, capacity]));
    if (placedOn === this.#placedOn) return;
    this.#placedOn = placedOn;
    this.#placement = new Placement(nodes);
    this.#ideals.clear();
  }

  #choose({ key, topic, partition }: CensusPartition, need: PlacementNeed): readonly string[] {
    if (need.taken) return this.#placement.choose(topic.id, partition, need);
    let ideal = this.#ideals.get(key);
    if (ideal?.length !== Math.min(need.count, this.#placement.size)) {
      ideal = this.#placement.choose(topic.id, partition, need);
      this.#ideals.set(key, ideal);
    }
    return ideal;
  }
}

type Choose = (at: CensusPartition, need: PlacementNeed) => readonly string[];

/** One plan being made. */
class PlanRun {
  readonly #input: PlanInput;
  readonly #census: Census;
  readonly #choose: Choose;
  #isBalanced = true;
  #preferredLeft: number;

  constructor(input: PlanInput, census: Census, choose: Choose) {
    this.#input = input;
    this.#census = census;
    this.#choose = choose;
    this.#preferredLeft = input.preferredCount;
  }

  plan(): Plan {
    const byReason = new Map<Reason, PlannedUpdate[]>(REASONS.map((reason) => [reason, []]));
    for (const at of this.#census.partitions) {
      const isLeftAlone = this.#input.underWay.has(at.key) || this.#input.isResting(at.key);
      const change = isLeftAlone ? undefined : this.#changeOf(at);
      if (isLeftAlone || change) this.#isBalanced = false;
      if (!change) continue;
      byReason.get(change.reason)!.push({
        ...{ key: at.key, topicId: at.topic.id, partition: at.partition },
        ...{ expectedRevision: at.entry?.revision ?? 0, ...change },
      });
    }
    return { updates: [...byReason.values()].flat(), isBalanced: this.#isBalanced };
  }

  #changeOf(at: CensusPartition): Change | undefined {
    const { state } = at;
    if (!state) return this.#create(at);
    if (this.#isWell(at, state)) return this.#rebalance(at, state);
    const view = this.#viewOf(at, state);
    const step = replicaStep(this.#replicated(at, state), this.#census);
    const stepped = step ? withReplicas(state, step.replicas) : state;
    const election = elect(stepped, view);
    if (step) {
      const isMore = election.kind !== 'unchanged' && step.reason !== 'moved';
      return { state: election.state, reason: isMore ? election.kind : step.reason };
    }
    if (election.kind !== 'unchanged') return { state: election.state, reason: election.kind };
    return this.#rebalance(at, state) ?? this.#prefer(at, state, view);
  }

  /** Led by whom it should be, everything in sync: so it is with nearly all partitions at nearly all times. */
  #isWell({ key, topic }: CensusPartition, { replicas, leader, isr }: PartitionState): boolean {
    const { memory } = this.#input;
    const isMemory = topic.settings.storage === 'memory';
    return (
      leader !== null &&
      leader === replicas[0] &&
      replicas.length === topic.settings.replicationFactor &&
      isr.length === replicas.length &&
      !this.#census.isDraining(leader) &&
      replicas.every((id) => this.#census.isLive(id) && !(isMemory && memory.hasLostData(key, id)))
    );
  }

  #create(at: CensusPartition): Change | undefined {
    const { topic } = at;
    const { load } = this.#census;
    const chosen = this.#choose(at, { count: topic.settings.replicationFactor });
    const leader = load.least(topic.id, chosen);
    if (leader === undefined) return undefined;
    load.count(topic.id, leader, 1);
    const replicas = [leader, ...chosen.filter((id) => id !== leader)];
    return { state: { replicas, leader, leaderEpoch: 0, isr: replicas }, reason: 'created' };
  }

  #rebalance(at: CensusPartition, state: PartitionState): Change | undefined {
    if (!this.#input.isRebalancing) return undefined;
    const { isBalanced, step } = rebalanceStep(this.#replicated(at, state), this.#census);
    if (!isBalanced) this.#isBalanced = false;
    if (!step) return undefined;
    const { load } = this.#census;
    load.count(at.topic.id, state.replicas[0]!, -1);
    load.count(at.topic.id, step.replicas[0]!, 1);
    return { state: withReplicas(state, step.replicas), reason: step.reason };
  }

  #prefer(at: CensusPartition, state: PartitionState, view: ElectionView): Change | undefined {
    const { memory, policy, isRebalancing } = this.#input;
    const first = state.replicas[0];
    if (this.#preferredLeft <= 0 || first === undefined) return undefined;
    if (memory.presentMs(first) < policy.preferredAfterMs) return undefined;
    if (!isRebalancing && memory.quietMs(at.key) < policy.preferredAfterMs) return undefined;
    const next = preferred(state, view);
    if (!next) return undefined;
    this.#preferredLeft--;
    return { state: next, reason: 'preferred' };
  }

  #replicated(at: CensusPartition, state: PartitionState): Replicated {
    const factor = at.topic.settings.replicationFactor;
    return { topicId: at.topic.id, factor, state, choose: (need) => this.#choose(at, need) };
  }

  #viewOf({ key, topic }: CensusPartition, { isr }: PartitionState): ElectionView {
    const census = this.#census;
    const { memory, policy } = this.#input;
    const { storage, uncleanElection, minInsync } = topic.settings;
    return {
      isLive: (id) => census.isLive(id),
      isDraining: (id) => census.isDraining(id),
      hasLostData: (id) => storage === 'memory' && memory.hasLostData(key, id),
      hasRefused: (id) => memory.wasJustNamed(key, id),
      mayExpel: (id) => !memory.wasExpelled(key, id),
      minInsync,
      allowsUnclean: uncleanElection && isr.every((id) => memory.absentMs(id) >= policy.uncleanAfterMs),
    };
  }
}

function withReplicas(state: PartitionState, replicas: readonly string[]): PartitionState {
  return { ...state, replicas, isr: state.isr.filter((id) => replicas.includes(id)) };
}

import type { ControllerObserver } from '../../src/controller/controller.ts';
import { Controller } from '../../src/controller/controller.ts';
import type { ControllerPolicy } from '../../src/controller/policy.ts';
import type { PartitionState } from '../../src/coordination/cluster.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';
import { FakeCluster, nodeIds, nodeOf } from './fake-cluster.ts';

/** What has changed between two looks. */
export interface Difference {
  /** Replicas that were added, over all partitions. */
  readonly added: number;
  /** Replicas that were removed. */
  readonly removed: number;
  /** Partitions that are led by another node, or by one again. */
  readonly led: number;
}

/** One controller in a cluster whose nodes claim what they lead, and bring in sync what they follow. */
export class ControllerStage implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly cluster = new FakeCluster();
  readonly events: string[] = [];
  readonly controller: Controller;
  /** Followers catch up by themselves. */
  isReplicating = true;
  /** Told after each moment of simulated time. */
  onMoment: () => void = () => undefined;

  constructor(policy: Partial<ControllerPolicy> = {}, observer: Partial<ControllerObserver> = {}) {
    this.controller = new Controller({
      coordinator: this.cluster,
      clock: this.clock,
      policy,
      observer: {
        onElected: (term) => this.events.push(`elected ${term}`),
        onLost: () => this.events.push('lost'),
        onRebalanced: () => this.events.push('rebalanced'),
        ...observer,
      },
    });
  }

  /** Nodes become members, spread over `zones`; 0: they have none. */
  join(count: number, zones = 0, first = 0): void {
    for (const [at, nodeId] of nodeIds(count, first).entries()) {
      this.cluster.put(nodeOf(nodeId, { zone: zones > 0 ? `z${at % zones}` : '' }));
    }
  }

  /** Lets time pass, and all that it brings happen. */
  async pass(ms: number, momentMs = 25): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= momentMs) {
      this.clock.advance(Math.min(leftMs, momentMs));
      await turns(2);
      if (this.isReplicating) this.#replicate();
      this.onMoment();
    }
  }

  /** All states, by partition. */
  look(): Map<string, PartitionState> {
    return new Map([...this.cluster.states].map(([key, { state }]) => [key, state]));
  }

  /** Partitions for which something holds. */
  count(test: (state: PartitionState) => boolean): number {
    return [...this.cluster.states.values()].filter(({ state }) => test(state)).length;
  }

  /** Live nodes of which each partition is led by its preferred one, in sync and complete. */
  get isWell(): boolean {
    const isWell = ({ replicas, leader, isr }: PartitionState): boolean =>
      leader === replicas[0] && isr.length === 3 && replicas.length === 3;
    return this.count(isWell) === this.cluster.states.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.controller[Symbol.asyncDispose]();
  }

  /** What leaders and followers do in a moment. */
  #replicate(): void {
    for (const { topicId, partition, state } of [...this.cluster.states.values()]) {
      const { replicas, leader, isr } = state;
      if (leader === null || !this.cluster.has(leader) || isr.length === replicas.length) continue;
      const caughtUp = replicas.filter((id) => isr.includes(id) || this.cluster.has(id));
      if (caughtUp.length > isr.length) this.cluster.write(topicId, partition, { ...state, isr: caughtUp });
    }
  }
}

export function difference(
  before: ReadonlyMap<string, PartitionState>,
  after: ReadonlyMap<string, PartitionState>,
): Difference {
  let [added, removed, led] = [0, 0, 0];
  for (const [key, state] of after) {
    const old = before.get(key);
    added += state.replicas.filter((id) => !old?.replicas.includes(id)).length;
    removed += old?.replicas.filter((id) => !state.replicas.includes(id)).length ?? 0;
    if (old?.leader !== state.leader) led++;
  }
  return { added, removed, led };
}

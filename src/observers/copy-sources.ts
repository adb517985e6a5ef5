import type { Cluster, ClusterNode, PartitionState } from '../coordination/cluster.ts';
import { Backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import type { PartitionRef } from '../partition/replication.ts';

/** How long a node that failed is left alone, the first time and at most. */
const REST = { minMs: 50, maxMs: 2000 };
/** How long to wait while nobody has a copy; a change of the state ends it. */
const NOBODY_MS = 1000;

/** What the choice needs. */
export interface CopySourcesOptions {
  readonly cluster: Pick<Cluster, 'nodes' | 'partitionState'>;
  readonly selfId: string;
  /** Where this node is; empty: not said. */
  readonly zone: string;
  readonly clock: Clock;
  readonly random: Random;
}

interface Resting {
  readonly backoff: Backoff;
  untilMs: number;
}

/**
 * Which node's copy of one partition is read: an in-sync replica in the own zone if there is one, else any; the leader only where there
 * is no follower as near, so that what subscribers read costs it as little as possible. Among equals chance decides, once.
 *
 * Only replicas are read, never other observers: so there are no cycles.
 */
export class CopySources {
  readonly #options: CopySourcesOptions;
  readonly #ref: PartitionRef;
  readonly #resting = new Map<string, Resting>();
  #current: string | undefined;

  constructor(options: CopySourcesOptions, ref: PartitionRef) {
    this.#options = options;
    this.#ref = ref;
  }

  /** The node to read from now; undefined: none for {@link waitMs}. It stays the same while none is nearer. */
  current(): string | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const ready = this.#candidates().filter(
      ({ nodeId }) => (this.#resting.get(nodeId)?.untilMs ?? 0) <= nowMs,
    );
    const nearest = Math.min(...ready.map(({ distance }) => distance));
    const best = ready.filter(({ distance }) => distance === nearest);
    if (!best.some(({ nodeId }) => nodeId === this.#current)) {
      this.#current = best[Math.floor(this.#options.random.fraction() * best.length)]?.nodeId;
    }
    return this.#current;
  }

  /** Milliseconds until a node that has failed may be asked again, or until it is worth looking for one. */
  waitMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    const untilMs = this.#candidates().map(({ nodeId }) => this.#resting.get(nodeId)?.untilMs ?? 0);
    return untilMs.length === 0 ? NOBODY_MS : Math.max(0, Math.min(...untilMs) - nowMs);
  }

  /** Whether a node is one that could be read from. */
  has(nodeId: string): boolean {
    return this.#candidates().some((candidate) => candidate.nodeId === nodeId);
  }

  /** The node that leads, as far as is known here; null: none does. */
  get leader(): string | null {
    return this.#state?.leader ?? null;
  }

  /** Whether a node that speaks for an epoch leads in it: what it has not is not there, and nobody else can say so. */
  isLeader(nodeId: string, leaderEpoch: number): boolean {
    const state = this.#state;
    return state?.leader === nodeId && state.leaderEpoch === leaderEpoch;
  }

  /** It cannot be read from for a while; longer each time. */
  failed(nodeId: string): void {
    const { clock, random } = this.#options;
    const resting = this.#resting.get(nodeId) ?? { backoff: new Backoff(REST, random), untilMs: 0 };
    resting.untilMs = clock.monotonicMs() + resting.backoff.nextMs();
    this.#resting.set(nodeId, resting);
  }

  worked(nodeId: string): void {
    this.#resting.delete(nodeId);
  }

  get #state(): PartitionState | undefined {
    const { topicId, partition } = this.#ref;
    return this.#options.cluster.partitionState(topicId, partition)?.state;
  }

  #candidates(): { readonly nodeId: string; readonly distance: number }[] {
    const state = this.#state;
    if (!state) return [];
    const { cluster, selfId } = this.#options;
    return cluster
      .nodes()
      .filter(
        ({ nodeId, peerAddress }) => nodeId !== selfId && peerAddress !== null && state.isr.includes(nodeId),
      )
      .map((node) => ({ nodeId: node.nodeId, distance: this.#distance(node, state) }));
  }

  #distance({ nodeId, zone, draining }: ClusterNode, state: PartitionState): number {
    return (zone === this.#options.zone ? 0 : 4) + (draining ? 2 : 0) + (nodeId === state.leader ? 1 : 0);
  }
}

import type { Cluster, ClusterNode, PartitionState } from '../coordination/cluster.ts';
import { Backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import { hashOf, lotOf } from '../kernel/lots.ts';
import type { Random } from '../kernel/random.ts';
import type { PartitionRef } from '../partition/replication.ts';

/** How long a node that failed is left alone, the first time and at most. */
const REST = { minMs: 50, maxMs: 2000 };
/** What is in another zone than this node is so far away at least. */
const FAR = 4;
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

interface Candidate {
  readonly nodeId: string;
  readonly distance: number;
}

interface Resting {
  readonly backoff: Backoff;
  untilMs: number;
}

/**
 * Which node's copy of one partition is read: an in-sync replica in the own zone if there is one, else any; the leader only where there
 * is no follower as near, so that what subscribers read costs it as little as possible. Among equals in the own zone chance decides, once.
 *
 * Where the replicas are all in other zones, the nodes of one zone choose the same, by rendezvous hashing. That one tells them which of them reads it
 * already, and all others read from this one, their *relay*: so what is new crosses between the zones once.
 *
 *     zone x: replica ──> zone y: relay ──> zone y: all others
 *
 * A relay is one only while it is fed by a replica itself, and none from the moment on in which it asks another relay: so no two wait for each other.
 */
export class CopySources {
  readonly #options: CopySourcesOptions;
  readonly #ref: PartitionRef;
  readonly #resting = new Map<string, Resting>();
  #current: string | undefined;
  #relay: string | undefined;

  constructor(options: CopySourcesOptions, ref: PartitionRef) {
    this.#options = options;
    this.#ref = ref;
  }

  /** The node to be fed from now: the {@link replica}, or a relay that is nearer; undefined: none for {@link waitMs}. */
  current(): string | undefined {
    const replica = this.replica();
    const relay = this.#relay;
    if (relay === undefined || !this.#isReady(relay) || !this.#isMemberOfZone(relay)) return replica;
    return replica !== undefined && this.zoneOf(replica) === this.#options.zone ? replica : relay;
  }

  /** The replica to read from now; undefined: none for {@link waitMs}. In the own zone it stays the same while none is nearer. */
  replica(): string | undefined {
    const ready = this.#candidates().filter(({ nodeId }) => this.#isReady(nodeId));
    const nearest = Math.min(...ready.map(({ distance }) => distance));
    const best = ready.filter(({ distance }) => distance === nearest);
    if (nearest >= FAR) this.#current = this.#agreed(best);
    else if (!best.some(({ nodeId }) => nodeId === this.#current)) {
      this.#current = best[Math.floor(this.#options.random.fraction() * best.length)]?.nodeId;
    }
    return this.#current;
  }

  /** A replica has said which node of this zone reads from it already; undefined: none but this one does. */
  point(relay: string | undefined): void {
    this.#relay = relay;
  }

  /** Whether a node is read from although it is no replica, because it reads one itself. */
  isRelay(nodeId: string): boolean {
    return nodeId === this.#relay && !this.#candidates().some((candidate) => candidate.nodeId === nodeId);
  }

  /** Zone of a member; empty: it has not said one, or is none. */
  zoneOf(nodeId: string): string {
    return this.#options.cluster.nodes().find((node) => node.nodeId === nodeId)?.zone ?? '';
  }

  /** Milliseconds until a node that has failed may be asked again, or until it is worth looking for one. */
  waitMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    const untilMs = this.#candidates().map(({ nodeId }) => this.#resting.get(nodeId)?.untilMs ?? 0);
    return untilMs.length === 0 ? NOBODY_MS : Math.max(0, Math.min(...untilMs) - nowMs);
  }

  /** Whether a node is one that could be read from. */
  has(nodeId: string): boolean {
    if (nodeId === this.#relay && this.#isMemberOfZone(nodeId)) return true;
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

  #isReady(nodeId: string): boolean {
    return (this.#resting.get(nodeId)?.untilMs ?? 0) <= this.#options.clock.monotonicMs();
  }

  /** Who points to another node may see another cluster than this one does. */
  #isMemberOfZone(nodeId: string): boolean {
    const { cluster, selfId, zone } = this.#options;
    const node = cluster.nodes().find((one) => one.nodeId === nodeId);
    return zone !== '' && nodeId !== selfId && node?.zone === zone && node.peerAddress !== null;
  }

  /** Of those in other zones the one that all nodes of this zone choose. */
  #agreed(best: readonly Candidate[]): string | undefined {
    const { topicId, partition } = this.#ref;
    if (best.length < 2) return best[0]?.nodeId;
    const choice = hashOf(`${this.#options.zone}/${topicId}/${partition}`);
    const lots = best.map(({ nodeId }) => ({ nodeId, lot: lotOf(choice, hashOf(nodeId)) }));
    return lots.reduce((most, one) => (one.lot > most.lot ? one : most)).nodeId;
  }

  #candidates(): Candidate[] {
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
    return (zone === this.#options.zone ? 0 : FAR) + (draining ? 2 : 0) + (nodeId === state.leader ? 1 : 0);
  }
}

import type { PartitionEntry } from '../coordination/cluster.ts';
import type { Coordinator, PartitionClaim, TopicDefinition } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Following } from '../partition/fetcher.ts';
import type { Partition } from '../partition/partition.ts';
import type { Fetchers } from './fetchers.ts';
import { prepareToLead, reserveOf } from './leader-offsets.ts';
import type { ReplicaObserver } from './replica-observer.ts';

/** What giving roles takes. */
export interface RoleParts {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly fetchers: Fetchers;
  /** A follower that has not caught up for so long leaves the in-sync replicas, milliseconds. */
  readonly maxLagMs: number;
  readonly observer: Partial<ReplicaObserver>;
}

/** Whose roles they are. */
export interface RoleHost {
  readonly topic: TopicDefinition;
  /** The stored state, as far as it was told. */
  readonly entry: PartitionEntry | undefined;
  /** There is a newer state, perhaps one that was not told yet. */
  update(entry: PartitionEntry | undefined): void;
  /** The partition leads no more without having been told to. */
  onStepDown(reason: SluiceError): void;
  /** Before it begins to follow, while nobody else does anything to the log. @throws STORAGE_FAILED, STORAGE_FULL */
  beforeFollowing(): Promise<void>;
  /** It follows, and has everything that its leader has acknowledged. */
  onComplete(): void;
}

interface Followed {
  readonly leaderId: string;
  readonly epoch: number;
  readonly following: Following;
  isComplete: boolean;
}

/** The roles of one open partition: leads, follows or rests as a stored state says. */
export class PartitionRoles {
  readonly #parts: RoleParts;
  readonly #host: RoleHost;
  readonly #partition: Partition;
  #followed: Followed | undefined;
  /** Its log may have been begun without knowing which offsets had been given out before. */
  #isBlank = true;

  constructor(parts: RoleParts, host: RoleHost, partition: Partition) {
    this.#parts = parts;
    this.#host = host;
    this.#partition = partition;
  }

  /** @throws UNAVAILABLE, TIMEOUT and what else keeps a claim from being made */
  async take(entry: PartitionEntry): Promise<void> {
    const { leader } = entry.state;
    if (leader === this.#selfId) await this.#claimAndLead(entry);
    else if (leader === null) await this.#rest(entry.state.leaderEpoch);
    else await this.#follow(entry, leader);
    // Not `entry`: it may lead by a newer one already.
    if (this.#host.entry) this.#partition.stateChanged(this.#host.entry);
  }

  /** Leads in an epoch that this node has claimed, unless there is another already. @throws as {@link take} */
  async lead(claim: PartitionClaim): Promise<void> {
    const { coordinator, clock, maxLagMs } = this.#parts;
    const { topic } = this.#host;
    const { partition } = this.#partition;
    await prepareToLead(coordinator, topic, this.#partition, claim, this.#isBlank);
    // The lease that it was claimed with is over: it is claimed anew with the next.
    if (!coordinator.cluster.leaseHeld) throw new SluiceError('UNAVAILABLE', 'the lease has ended');
    const now = coordinator.cluster.partitionState(topic.id, partition);
    if (now?.state.leader === this.#selfId && now.state.leaderEpoch === claim.leaderEpoch) {
      this.#partition.lead({
        epoch: claim.leaderEpoch,
        selfId: this.#selfId,
        replicas: now.state.replicas,
        isr: now.state.isr,
        revision: now.revision,
        cluster: coordinator.cluster,
        minInsync: topic.settings.minInsync,
        maxLagMs,
        reserve: reserveOf(coordinator, clock, topic, partition, claim),
        onStepDown: (reason) => this.#host.onStepDown(reason),
      });
      this.#isBlank = false;
      this.#report();
    }
    this.#host.update(now);
  }

  /** Nobody can rely on what is acknowledged without a lease. */
  leaseLost(): void {
    if (this.#partition.role === 'leader') this.#enterIdle(0);
  }

  /** Follows nobody any more. @returns once nothing is done to the log on account of it */
  async unfollow(): Promise<void> {
    const followed = this.#followed;
    this.#followed = undefined;
    await followed?.following.stop();
  }

  /** Whether it follows, and had since it began to everything that its leader had acknowledged. */
  get isComplete(): boolean {
    return this.#followed?.isComplete === true;
  }

  get #selfId(): string {
    return this.#parts.coordinator.nodeId;
  }

  async #claimAndLead({ state }: PartitionEntry): Promise<void> {
    const { role, leaderEpoch } = this.#partition;
    if (role === 'leader' && leaderEpoch === state.leaderEpoch) return;
    await this.unfollow();
    if (role !== 'idle') this.#enterIdle(0);
    try {
      const { topic } = this.#host;
      const { coordinator } = this.#parts;
      await this.lead(await coordinator.claimPartition(topic.id, this.#partition.partition));
    } catch (error) {
      const { code } = asSluiceError(error);
      // Another state is there, or will be soon.
      if (code !== 'NOT_LEADER' && code !== 'TOPIC_NOT_FOUND') throw error;
    }
  }

  async #follow({ state }: PartitionEntry, leaderId: string): Promise<void> {
    const epoch = state.leaderEpoch;
    // In sync it has all that there is, also where that is nothing.
    if (state.isr.includes(this.#selfId)) this.#isBlank = false;
    if (this.#followed?.leaderId === leaderId && this.#followed.epoch === epoch) return;
    await this.unfollow();
    this.#partition.follow(epoch);
    await this.#host.beforeFollowing();
    const { topic } = this.#host;
    const place = { topic, partition: this.#partition.partition };
    const { fetchers, observer } = this.#parts;
    const following = fetchers.follow(leaderId, {
      topicId: topic.id,
      partition: place.partition,
      replica: this.#partition,
      epoch,
      onComplete: () => {
        followed.isComplete = true;
        this.#host.onComplete();
      },
      isInSync: () => this.#host.entry?.state.isr.includes(this.#selfId) === true,
      observer: {
        onTruncated: (from, to) => observer.onTruncated?.(place, from, to),
        onReset: (from, to) => observer.onReset?.(place, from, to),
        onPaused: (code) => observer.onPaused?.(place, code),
      },
    });
    const followed: Followed = { leaderId, epoch, following, isComplete: false };
    this.#followed = followed;
    this.#report();
  }

  async #rest(epoch: number): Promise<void> {
    await this.unfollow();
    if (this.#partition.role !== 'idle' || this.#partition.leaderEpoch !== epoch) this.#enterIdle(epoch);
  }

  #enterIdle(epoch: number): void {
    if (this.#partition.closed) return;
    this.#partition.idle(Math.max(epoch, this.#partition.leaderEpoch));
    this.#report();
  }

  #report(): void {
    const { role, leaderEpoch, partition } = this.#partition;
    this.#parts.observer.onRole?.({ topic: this.#host.topic, partition }, role, leaderEpoch);
  }
}

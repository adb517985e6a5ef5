import type { PartitionEntry } from '../coordination/cluster.ts';
import type { PartitionClaim, TopicDefinition } from '../coordination/coordinator.ts';
import { Backoff } from '../kernel/backoff.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { Partition } from '../partition/partition.ts';
import { LOG_BEGUN, giveBackOffsets } from './leader-offsets.ts';
import type { BuiltPartition, PartitionBuilder } from './partition-builder.ts';
import type { RoleHost, RoleParts } from './partition-roles.ts';
import { PartitionRoles } from './partition-roles.ts';
import type { Removals } from './removals.ts';
import { ReplicaLoss } from './replica-loss.ts';
import type { ReplicaLogs } from './replica-logs.ts';
import type { ReplicaListener, ReplicaPlace } from './replica-observer.ts';
import { stepAside } from './step-aside.ts';
import { StepRunner } from './step-runner.ts';

/** Waits after a log could not be opened. */
const OPEN_RETRY = { minMs: 1000, maxMs: 30_000 };
/** Waits after the coordinator could not be asked. */
const ROLE_RETRY = { minMs: 100, maxMs: 2000 };

/** What all partitions held by a node share. */
export interface HeldParts extends RoleParts {
  readonly random: Random;
  readonly logs: ReplicaLogs;
  readonly builder: PartitionBuilder;
  readonly listener: ReplicaListener;
  readonly removals: Removals;
}

/** What a removal of a partition is called; with `''` what all of a topic begin with. */
export function removalKey(topicId: string, partition: number | ''): string {
  return `${topicId}/${partition}`;
}

/** Whether other nodes have the partition, and none of its replicas is this one. */
export function isOthers({ isr, replicas }: PartitionEntry['state'], selfId: string): boolean {
  return isr.length > 0 && !replicas.includes(selfId);
}

interface OpenPartition extends BuiltPartition {
  readonly roles: PartitionRoles;
}

/**
 * One partition of which this node is a replica, kept as the stored state says it should be.
 *
 *     state ──> (data lost: leave the in-sync replicas) ──> open the log ──> leader is this node: claim, lead
 *                                                                            another: follow it
 *                                                                            nobody: rest
 *     no replica here any more ──> close, remove
 */
export class HeldPartition implements RoleHost {
  readonly partitionIndex: number;
  readonly #parts: HeldParts;
  readonly #runner: StepRunner;
  readonly #openBackoff: Backoff;
  readonly #roleBackoff: Backoff;
  #topic: TopicDefinition;
  #entry: PartitionEntry | undefined;
  #open: OpenPartition | undefined;
  #isAnnounced = false;
  /** Whether there was a log; undefined: nobody has looked yet. */
  #isThere: boolean | undefined;
  /** What was here before it became a replica again is still to be removed. */
  #isLeft = false;
  /** It became a replica while this process ran, so it can have had nothing before. */
  #isNew: boolean;
  readonly #loss: ReplicaLoss;

  /** @param isNew it became a replica of the partition while this process ran */
  constructor(parts: HeldParts, topic: TopicDefinition, partition: number, isNew: boolean) {
    this.#parts = parts;
    this.#topic = topic;
    this.partitionIndex = partition;
    this.#isNew = isNew;
    this.#loss = new ReplicaLoss(parts.coordinator);
    this.#openBackoff = new Backoff(OPEN_RETRY, parts.random);
    this.#roleBackoff = new Backoff(ROLE_RETRY, parts.random);
    this.#runner = new StepRunner({
      clock: parts.clock,
      step: () => this.#step(),
      waitMs: () => (this.#open ? this.#roleBackoff : this.#openBackoff).nextMs(),
      onFailed: (error) => parts.observer.onFailed?.(this.#place, error),
      onRecovered: () => {
        this.#openBackoff.reset();
        this.#roleBackoff.reset();
        parts.observer.onRecovered?.(this.#place);
      },
    });
  }

  get topic(): TopicDefinition {
    return this.#topic;
  }

  get entry(): PartitionEntry | undefined {
    return this.#entry;
  }

  /** Once it has had a role. */
  get partition(): Partition | undefined {
    return this.#isAnnounced ? this.#open?.partition : undefined;
  }

  /** Why it is not what it should be; it is tried again. */
  get failure(): SluiceError | undefined {
    return this.#runner.failure;
  }

  /** Whether nothing is kept here and nothing is to be. */
  get isGone(): boolean {
    return !this.#open && !this.#runner.isRunning && !this.#isHere();
  }

  /** The stored state is another; undefined: there is none any more. */
  update(entry: PartitionEntry | undefined): void {
    if (entry && entry.revision === this.#entry?.revision) return;
    this.#entry = entry;
    this.#runner.wake();
  }

  /** The topic is another. */
  configure(topic: TopicDefinition): void {
    this.#topic = topic;
    this.#open?.partition.configure(topic.settings);
    this.#open?.partition.log.configure(topic.settings);
  }

  leaseLost(): void {
    this.#open?.roles.leaseLost();
  }

  leaseGained(): void {
    this.#runner.wake();
  }

  onStepDown({ code }: SluiceError): void {
    // Before it looks, so that it does not claim again first.
    if (code === 'STORAGE_FAILED') this.#lose();
    this.#runner.wake();
  }

  async beforeFollowing(): Promise<void> {
    if (this.#open) await this.#loss.cut(this.#open);
  }

  onComplete(): void {
    if (this.#loss.isLost) this.#runner.wake();
  }

  /** Does not wait until it is time to try again. */
  retry(): void {
    if (this.failure) this.#runner.wake();
  }

  /** Resolves when all that it has been told is done. @throws {@link failure} */
  settled(): Promise<void> {
    return this.#runner.settled();
  }

  /**
   * Ends it, at once for who uses it; nothing is removed.
   * @param isOrderly the partition goes on without it: nobody waits for it, and offsets that were set aside are given back
   */
  async stop(isOrderly: boolean): Promise<void> {
    const partition = this.#open?.partition;
    const wasLeader = partition?.role === 'leader';
    this.#announceClosed();
    const closing = partition?.close();
    await this.#runner.stop();
    await this.#open?.roles.unfollow();
    const { coordinator } = this.#parts;
    const steppingAside = isOrderly && stepAside(coordinator, this.#topic, this.partitionIndex);
    await this.#close();
    await closing;
    await steppingAside;
    if (isOrderly && partition && wasLeader) await giveBackOffsets(coordinator, this.#topic, partition);
  }

  get #selfId(): string {
    return this.#parts.coordinator.nodeId;
  }

  get #removalKey(): string {
    return removalKey(this.#topic.id, this.partitionIndex);
  }

  get #place(): ReplicaPlace {
    return { topic: this.#topic, partition: this.partitionIndex };
  }

  #isHere(): boolean {
    return !this.#runner.isStopped && this.#entry?.state.replicas.includes(this.#selfId) === true;
  }

  async #step(): Promise<void> {
    const entry = this.#entry;
    if (!entry || !this.#isHere()) {
      await this.#close();
      if (entry) await this.#remove(entry);
      return;
    }
    await this.#dropLeft(entry);
    // The coordinator was set back to an older state.
    if (this.#open && entry.state.leaderEpoch < this.#open.partition.leaderEpoch) await this.#close();
    if (this.#isThere === undefined) await this.#look(entry);
    if (this.#open) await this.#loss.stand(this.#open);
    if (await this.#loss.leaveInsync(entry, this.#open, (now) => this.update(now))) return;
    if (this.#open) await this.#takeRole(this.#open, entry);
    else await this.#begin(entry);
  }

  /**
   * What was to be removed and is there still is not gone on with: the others may have compacted away what deletes a part of it.
   * @throws why it cannot be removed
   */
  async #dropLeft({ state }: PartitionEntry): Promise<void> {
    const { removals, logs } = this.#parts;
    if (await removals.drop(this.#removalKey)) this.#isLeft = true;
    if (!this.#isLeft) return;
    if (!state.isr.includes(this.#selfId)) await logs.removePartition(this.#topic, this.partitionIndex);
    this.#isLeft = false;
  }

  /** Before a log is begun: after that it looks as if nothing had been lost. */
  async #look({ state }: PartitionEntry): Promise<void> {
    const isThere = await this.#parts.logs.has(this.#topic, this.partitionIndex);
    const hadSomething = !this.#isNew && state.leaderEpoch > 0;
    const isCounted = state.isr.includes(this.#selfId);
    if (!isThere && hadSomething) this.#lose(isCounted);
    this.#isThere = isThere;
  }

  /** @param isCounted somebody may rely on what it lacks */
  #lose(isCounted = true): void {
    if (isCounted && !this.#loss.isLost) this.#parts.observer.onLost?.(this.#place);
    this.#loss.note();
  }

  async #begin(entry: PartitionEntry): Promise<void> {
    const { storage, uncleanElection } = this.#topic.settings;
    const isAlone = entry.state.isr.includes(this.#selfId);
    if (storage === 'memory' || this.#isThere === true || !this.#loss.isLost || !isAlone) {
      await this.#openLog(this.#isThere === true);
      this.#runner.wake();
      return;
    }
    // Nobody else is in sync. Whether there ever was anything is known only to who claims.
    if (entry.state.leader !== this.#selfId) return;
    const claim = await this.#parts.coordinator.claimPartition(this.#topic.id, this.partitionIndex);
    const open = await this.#openLog(claim.offsetCeiling >= LOG_BEGUN && !uncleanElection);
    await this.#leadAtOnce(open, claim);
  }

  async #leadAtOnce(open: OpenPartition, claim: PartitionClaim): Promise<void> {
    await open.roles.lead(claim);
    this.#runner.wake();
  }

  async #openLog(isKnown: boolean): Promise<OpenPartition> {
    const onLoss = (): void => {
      this.#lose();
      this.#runner.wake();
    };
    const { isLost } = this.#loss;
    const built = await this.#parts.builder.build({ ...this.#place, isKnown, isLost }, onLoss);
    const { partition, isIntact } = built;
    const open = { ...built, roles: new PartitionRoles(this.#parts, this, partition) };
    this.#open = open;
    this.#isThere = true;
    if (!isIntact) this.#lose();
    // It may have been altered meanwhile.
    this.configure(this.#topic);
    return open;
  }

  async #takeRole(open: OpenPartition, entry: PartitionEntry): Promise<void> {
    await open.roles.take(entry);
    this.#announceOpened(open.partition);
    await this.#loss.settle(open);
  }

  async #close(): Promise<void> {
    this.#announceClosed();
    const open = this.#open;
    this.#open = undefined;
    this.#isThere = undefined;
    // What was in memory is gone.
    if (open) this.#isNew = false;
    await open?.roles.unfollow();
    await open?.partition.close();
  }

  /** What this node keeps of a partition that others have now; what cannot be removed is tried again, also when nobody holds this any more. */
  async #remove({ state }: PartitionEntry): Promise<void> {
    if (!isOthers(state, this.#selfId)) return;
    const { logs, observer, removals } = this.#parts;
    const [topic, partition] = [this.#topic, this.partitionIndex];
    removals.begin(this.#removalKey, {
      remove: () => logs.removePartition(topic, partition),
      onFailed: (error) => observer.onRemoveFailed?.(topic, partition, error),
    });
    await removals.settled(this.#removalKey);
  }

  #announceOpened(partition: Partition): void {
    if (this.#isAnnounced || partition.closed) return;
    this.#isAnnounced = true;
    this.#parts.listener.onOpened(this.#topic, partition);
  }

  #announceClosed(): void {
    if (!this.#isAnnounced || !this.#open) return;
    this.#isAnnounced = false;
    this.#parts.listener.onClosed(this.#topic, this.#open.partition);
  }
}

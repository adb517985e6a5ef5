import type { PartitionEntry } from '../coordination/cluster.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Partition } from '../partition/partition.ts';
import type { BuiltPartition } from './partition-builder.ts';
import type { PartitionRoles } from './partition-roles.ts';

/** A partition that is open, as far as a loss is concerned. */
export interface LosingReplica extends Pick<BuiltPartition, 'lostFrom' | 'markWhole'> {
  readonly partition: Pick<Partition, 'role' | 'isr' | 'logStart' | 'logEnd' | 'truncateTo' | 'resetTo'>;
  readonly roles: Pick<PartitionRoles, 'isComplete' | 'unfollow'>;
}

/**
 * What becomes of a replica that may lack what others count on.
 *
 *     lost ──> leave the in-sync replicas ──> follow: cut off what lies behind a gap, fetch until nothing is lacking ──> whole
 *       └────> nobody else is in sync: lead; what is here is all there is ────────────────────────────────────────────────┘
 *
 * Until it is whole it leaves the in-sync replicas each time that it is named there: the leader may have proposed it before it knew.
 */
export class ReplicaLoss {
  readonly #coordinator: Coordinator;
  #isLost = false;
  /** Nothing is behind what it lacks. */
  #isCut = true;
  #losses = 0;

  constructor(coordinator: Coordinator) {
    this.#coordinator = coordinator;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  note(): void {
    this.#isLost = true;
    this.#isCut = false;
    this.#losses++;
  }

  /**
   * @param update told the state that is there then
   * @returns whether there is another state to look at now
   * @throws UNAVAILABLE, TIMEOUT and what else keeps a state from being changed
   */
  async leaveInsync(
    entry: PartitionEntry,
    replica: LosingReplica | undefined,
    update: (entry: PartitionEntry | undefined) => void,
  ): Promise<boolean> {
    if (!this.#isLost || (replica && this.#isOver(replica))) return false;
    const { cluster } = this.#coordinator;
    const { topicId, partition, revision, state } = entry;
    const isr = state.isr.filter((id) => id !== this.#selfId);
    if (isr.length === 0 || isr.length === state.isr.length) return false;
    const leader = state.leader === this.#selfId ? null : state.leader;
    await cluster.updatePartition(topicId, partition, revision, { ...state, leader, isr });
    const now = cluster.partitionState(topicId, partition);
    if (now?.revision === revision) throw new SluiceError('UNAVAILABLE', 'the state cannot be changed now');
    update(now);
    return true;
  }

  /** After a loss it follows nobody, who would take it for in sync again, until it has left the in-sync replicas. */
  async stand({ roles }: LosingReplica): Promise<void> {
    if (!this.#isCut) await roles.unfollow();
  }

  /** Before it follows: what lies behind a gap would never be fetched. @throws STORAGE_FAILED, STORAGE_FULL */
  async cut(replica: LosingReplica): Promise<void> {
    if (this.#isCut) return;
    const losses = this.#losses;
    const { partition } = replica;
    const lostFrom = replica.lostFrom?.();
    if (lostFrom !== undefined && lostFrom < partition.logEnd) {
      if (lostFrom > partition.logStart) await partition.truncateTo(lostFrom);
      else await partition.resetTo(lostFrom);
    }
    if (losses === this.#losses) this.#isCut = true;
  }

  /** Ends it where nothing is lacking any more. @throws STORAGE_FAILED, STORAGE_FULL */
  async settle(replica: LosingReplica): Promise<void> {
    if (!this.#isLost || !this.#isOver(replica)) return;
    const losses = this.#losses;
    await replica.markWhole?.();
    if (losses !== this.#losses) return;
    this.#isLost = false;
    this.#isCut = true;
  }

  get #selfId(): string {
    return this.#coordinator.nodeId;
  }

  #isOver({ partition, roles }: LosingReplica): boolean {
    // Claimed with that state: whatever was proposed before has no effect any more.
    const leadsAlone = partition.role === 'leader' && partition.isr.every((id) => id === this.#selfId);
    return leadsAlone || (this.#isCut && roles.isComplete);
  }
}

import type { PartitionEntry } from '../coordination/cluster.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { Acks } from './acknowledgements.ts';
import { FollowerProgress } from './follower-progress.ts';
import { FreshAnswer } from './fresh-answer.ts';
import type { InsyncStart } from './insync-set.ts';
import { InsyncSet } from './insync-set.ts';
import type { OffsetReserve } from './offset-reserve.ts';

/** What a node begins to lead with. */
export interface LeadershipStart extends InsyncStart {
  /** In-sync replicas, the leader counted, that `acks: all` needs; never more than there are replicas. */
  readonly minInsync: number;
  /** A follower that has not caught up for so long leaves the in-sync replicas, milliseconds. */
  readonly maxLagMs: number;
  /** Undefined for a log that survives a restart itself. */
  readonly reserve: OffsetReserve | undefined;
  /**
   * Told when it ends by itself: another leader or epoch is stored, or the log has lost what others have. The partition is idle by then and has
   * answered UNAVAILABLE to whom waited.
   */
  readonly onStepDown: (reason: SluiceError) => void;
}

/** How far one of the other replicas is behind the leader. */
export interface FollowerLag {
  readonly nodeId: string;
  /** Offsets that it has not said to have; all, as long as it has said nothing in this epoch. */
  readonly records: number;
  /** Milliseconds since it last had all that there was, and nothing that was deleted; 0 when that is so. */
  readonly ms: number;
}

/** The partition that is led, as its leadership sees it. */
export interface LeadershipHost {
  readonly topicId: string;
  readonly partition: number;
  readonly clock: Clock;
  readonly log: Pick<PartitionLog, 'durableEnd' | 'logEnd' | 'logStart'>;
  /** When it begins. */
  readonly highWatermark: number;
  /** It has risen. */
  onHighWatermark(offset: number): void;
  /** The in-sync replicas are others. */
  onInsync(): void;
  /** It has ended by itself. */
  onEnd(reason: SluiceError): void;
}

/**
 * One epoch of leading a partition: how far the followers are, who is in sync, and the high watermark that follows from it.
 *
 * The watermark is the smallest durable end among all replicas that may be in the stored set of in-sync replicas, so what is
 * below it is with each of them, whatever becomes of a proposal that is under way.
 *
 * @see KIP-497 and Kafka's `Partition` for the maximal in-sync set
 */
export class Leadership {
  readonly epoch: number;
  readonly #host: LeadershipHost;
  readonly #start: LeadershipStart;
  readonly #insync: InsyncSet;
  /** Whoever has got so far has all that was there when the epoch began. */
  readonly #firstOffset: number;
  /**
   * What is below it was deleted before the epoch began, or somebody has been told or waits to be told that it is. Whoever may bring it back must not
   * get into the in-sync replicas.
   */
  #deletedTo: number;
  readonly #followers = new Map<string, FollowerProgress>();
  /** Those who hold the watermark back; this node does too, always. */
  #gate: readonly FollowerProgress[] = [];
  #minInsync: number;
  /** Stored in-sync replicas that are not behind for too long, this one counted. */
  #keepingUp = 0;
  #highWatermark: number;
  #durableEnd: number;
  readonly #stored = new FreshAnswer(() => this.#isStored());
  #lagTimer: Timer | undefined;
  #ended = false;

  constructor(start: LeadershipStart, host: LeadershipHost) {
    this.epoch = start.epoch;
    this.#start = start;
    this.#host = host;
    this.#minInsync = start.minInsync;
    this.#highWatermark = host.highWatermark;
    this.#firstOffset = host.log.logEnd;
    this.#deletedTo = host.log.logStart;
    this.#durableEnd = host.log.durableEnd;
    this.#insync = new InsyncSet(start, {
      clock: host.clock,
      topicId: host.topicId,
      partition: host.partition,
      insyncChanged: () => this.#insyncChanged(),
      superseded: (reason) => this.#endWith(reason),
    });
    this.#takeReplicas();
    this.#keepingUp = this.#countKeepingUp();
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  get replicas(): readonly string[] {
    return this.#insync.replicas;
  }

  /** As stored, as far as is known here. */
  get isr(): readonly string[] {
    return this.#insync.stored;
  }

  /** How far each of the other replicas is behind, in sync or not. */
  get followers(): FollowerLag[] {
    const end = this.#host.log.durableEnd;
    const nowMs = this.#host.clock.monotonicMs();
    return [...this.#followers.values()].map((follower) => ({
      nodeId: follower.nodeId,
      records: Math.max(0, end - Math.max(0, follower.durableOffset)),
      ms: follower.lagMs(end, nowMs),
    }));
  }

  /** Why nothing is acknowledged now; undefined: nothing is against it. Costs nothing. */
  refusal(acks: Acks): SluiceError | undefined {
    if (this.#ended || !this.#start.cluster.leaseHeld) {
      return new SluiceError('NOT_LEADER', `${this.#start.selfId} does not lead now; ask for the leader`);
    }
    if (acks < 2 || this.#keepingUp >= Math.min(this.#minInsync, this.#insync.replicas.length)) {
      return undefined;
    }
    return new SluiceError(
      'NOT_ENOUGH_REPLICAS',
      `${this.#keepingUp} replicas are in sync and keep up, ${this.#minInsync} have to`,
    );
  }

  /**
   * Whether this node leads in this epoch at some moment after the call, so that nobody else has acknowledged anything before it that is not
   * here. False also where that cannot be found out.
   */
  async isConfirmed(): Promise<boolean> {
    return !this.#ended && (await this.#stored.get());
  }

  /** Lets the watermark rise to where it may. Call when the log's durable end has moved, and to begin with. */
  advance(): void {
    const end = this.#host.log.durableEnd;
    if (this.#gate.length > 0 && end !== this.#durableEnd) this.#noteMove(end);
    this.#durableEnd = end;
    let next = end;
    for (const { durableOffset } of this.#gate) if (durableOffset < next) next = durableOffset;
    if (this.#ended || next <= this.#highWatermark) return;
    this.#highWatermark = next;
    this.#host.onHighWatermark(next);
  }

  /**
   * Takes in how far a follower is in this epoch; it is taken into the in-sync replicas when it has come far enough.
   * @param durableOffset -1: it has what is not here, or too little to go on
   * @param durableStart nothing below it comes back there
   * @returns whether more is deleted there for good than before
   */
  report(nodeId: string, durableOffset: number, durableStart: number): boolean {
    const follower = this.#followers.get(nodeId);
    if (!follower || this.#ended) return false;
    const { log, clock } = this.#host;
    const end = log.durableEnd;
    const isFurther = follower.report(Math.min(durableOffset, end), durableStart, end, clock.monotonicMs());
    this.advance();
    if (!this.isInsync(nodeId)) this.#consider(follower);
    else if (this.#keepingUp < this.#insync.stored.length) this.#recount();
    return isFurther;
  }

  /** A follower that has not caught up for so long leaves the in-sync replicas, milliseconds. */
  get maxLagMs(): number {
    return this.#start.maxLagMs;
  }

  /** What is below `offset` has been deleted here. A follower that does not say so too is behind from now on, though nothing is appended. */
  deletedBelow(offset: number): void {
    this.#deletedTo = Math.max(this.#deletedTo, offset);
    const nowMs = this.#host.clock.monotonicMs();
    for (const follower of this.#followers.values()) follower.deletedBelow(offset, nowMs);
    this.#watchLag(nowMs);
  }

  /**
   * Whether what is below `offset` cannot come back on any other replica that may be in sync, so that no leader to come has it, as long as one of the
   * in-sync ones is elected.
   * @see KIP-107
   */
  isDeletedBelow(offset: number): boolean {
    return this.#gate.every(({ durableStart }) => durableStart >= offset);
  }

  isInsync(nodeId: string): boolean {
    return this.#insync.stored.includes(nodeId);
  }

  /** @param minInsync for what is acknowledged from now on */
  configure(minInsync: number): void {
    this.#minInsync = minInsync;
    this.#host.onInsync();
    if (!this.#ended) this.#consider();
  }

  stateChanged(entry: PartitionEntry): void {
    this.#insync.take(entry);
  }

  /**
   * The log has lost what it had promised and ends at `end` now. A replica on its own goes on from there; where others may have what is
   * lost it must not, because it would give those offsets to other records in the same epoch.
   */
  lost(end: number): void {
    if (this.#followers.size > 0) {
      this.#endWith(new SluiceError('STORAGE_FAILED', `the log has lost what is above ${end}`));
      return;
    }
    this.#highWatermark = Math.min(this.#highWatermark, end);
    this.#durableEnd = this.#host.log.durableEnd;
  }

  /** Idempotent; nobody is told anything any more. */
  end(): void {
    this.#ended = true;
    this.#insync.end();
    this.#lagTimer?.cancel();
    this.#lagTimer = undefined;
  }

  async #isStored(): Promise<boolean> {
    const { cluster, selfId, epoch } = this.#start;
    const { topicId, partition } = this.#host;
    try {
      const entry = await cluster.readPartition(topicId, partition);
      return entry?.state.leader === selfId && entry.state.leaderEpoch === epoch;
    } catch {
      return false;
    }
  }

  #endWith(reason: SluiceError): void {
    if (this.#ended) return;
    this.end();
    this.#host.onEnd(reason);
  }

  #insyncChanged(): void {
    this.#takeReplicas();
    this.#keepingUp = this.#countKeepingUp();
    this.advance();
    this.#host.onInsync();
    if (!this.#ended) this.#consider();
  }

  #recount(): void {
    const before = this.#keepingUp;
    this.#keepingUp = this.#countKeepingUp();
    if (this.#keepingUp !== before) this.#host.onInsync();
  }

  #countKeepingUp(): number {
    return this.#insync.stored.filter((nodeId) => {
      const follower = this.#followers.get(nodeId);
      return !follower || !this.#isOut(follower);
    }).length;
  }

  #takeReplicas(): void {
    const { replicas, maximal } = this.#insync;
    const nowMs = this.#host.clock.monotonicMs();
    for (const nodeId of this.#followers.keys()) {
      if (!replicas.includes(nodeId)) this.#followers.delete(nodeId);
    }
    for (const nodeId of replicas) {
      if (nodeId === this.#start.selfId || this.#followers.has(nodeId)) continue;
      this.#followers.set(nodeId, new FollowerProgress(nodeId, nowMs));
    }
    this.#gate = [...this.#followers.values()].filter(({ nodeId }) => maximal.includes(nodeId));
    this.#watchLag(nowMs);
  }

  #noteMove(end: number): void {
    const nowMs = this.#host.clock.monotonicMs();
    for (const follower of this.#gate) follower.leaderMoved(this.#durableEnd, nowMs);
    this.#durableEnd = end;
    this.#watchLag(nowMs);
  }

  /** Proposes other in-sync replicas when there should be others. @param joining who has just said how far it is */
  #consider(joining?: FollowerProgress): void {
    if (this.#insync.isBusy) return;
    const { stored, replicas } = this.#insync;
    const fit = replicas.filter((nodeId) => {
      const follower = this.#followers.get(nodeId);
      return (
        !follower ||
        (stored.includes(nodeId) ? !this.#isOut(follower) : follower === joining && this.#isFit(joining))
      );
    });
    const isr = this.#enough(fit);
    const isSame = isr.length === stored.length && isr.every((nodeId) => stored.includes(nodeId));
    if (isSame && !this.#insync.isUnsure) return;
    this.#insync.propose(isr);
    this.#takeReplicas();
  }

  /**
   * With those who are behind as long as there are too few: a set of fewer than `minInsync` could be lost with fewer nodes than what was
   * acknowledged is promised to survive.
   * @see KIP-966
   */
  #enough(fit: readonly string[]): readonly string[] {
    const { stored, replicas } = this.#insync;
    const missing = Math.min(this.#minInsync, stored.length) - fit.length;
    if (missing <= 0) return fit;
    const behind = [...this.#followers.values()]
      .filter(({ nodeId }) => stored.includes(nodeId) && !fit.includes(nodeId))
      .sort((a, b) => b.durableOffset - a.durableOffset)
      .slice(0, missing);
    return replicas.filter((id) => fit.includes(id) || behind.some(({ nodeId }) => nodeId === id));
  }

  #isOut(follower: FollowerProgress): boolean {
    const { log, clock } = this.#host;
    return follower.lagMs(log.durableEnd, clock.monotonicMs()) >= this.#start.maxLagMs;
  }

  #isFit({ durableOffset, durableStart }: FollowerProgress): boolean {
    return (
      durableOffset >= this.#highWatermark &&
      durableOffset >= this.#firstOffset &&
      durableStart >= this.#deletedTo
    );
  }

  /** One timer for all, and none while nobody is behind. */
  #watchLag(nowMs: number): void {
    if (this.#lagTimer || this.#insync.isBusy || this.#ended) return;
    let longestMs = -1;
    for (const follower of this.#gate) {
      if (!follower.isBehind(this.#host.log.durableEnd)) continue;
      const lagMs = follower.lagMs(this.#host.log.durableEnd, nowMs);
      // That of one who stays all the same has been looked at.
      if (lagMs < this.#start.maxLagMs) longestMs = Math.max(longestMs, lagMs);
    }
    if (longestMs < 0) return;
    this.#lagTimer = this.#host.clock.setTimer(Math.max(1, this.#start.maxLagMs - longestMs), () => {
      this.#lagTimer = undefined;
      this.#consider();
      this.#recount();
      this.#watchLag(this.#host.clock.monotonicMs());
    });
  }
}

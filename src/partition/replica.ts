import type { PartitionEntry, PartitionState } from '../coordination/cluster.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { LeadershipHost, LeadershipStart } from './leadership.ts';
import { Leadership } from './leadership.ts';
import type { LeaderPosition, PartitionRole } from './partition-parts.ts';

/** The partition whose replica it is. */
export interface ReplicaHost extends Pick<LeadershipHost, 'topicId' | 'partition' | 'clock'> {
  readonly log: PartitionLog;
  /** There is more below the high watermark. */
  onRisen(): void;
  /** What was at and above `end` is lost, or not the leader's. */
  onFallen(end: number): void;
  /** What was appended above the log's durable end will not become durable. */
  onLogFailed(error: SluiceError): void;
  /** The durable end, the watermark, the role or the in-sync replicas may be others. */
  onNews(): void;
}

const NOTHING_TOLD: LeaderPosition = { highWatermark: 0, logStart: 0 };

/** What a node is to a partition, and how far its readers may see from that. */
export class Replica {
  readonly #host: ReplicaHost;
  readonly #log: PartitionLog;
  #role: PartitionRole = 'idle';
  #epoch = 0;
  #state: Pick<PartitionState, 'replicas' | 'isr'> = { replicas: [], isr: [] };
  #leadership: Leadership | undefined;
  /** Follower: as the leader told it last. */
  #told = NOTHING_TOLD;
  #highWatermark: number;
  #unconfirmedEnd = 0;
  #isAwaitingLog = false;
  /** One for all batches: it is called for the first of those that become durable next. */
  readonly #onDurable = (error: SluiceError | undefined): void => {
    this.#isAwaitingLog = false;
    if (error) this.#host.onLogFailed(error);
    this.logMoved();
  };

  constructor(host: ReplicaHost) {
    this.#host = host;
    this.#log = host.log;
    this.#highWatermark = host.log.logStart;
  }

  get role(): PartitionRole {
    return this.#role;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get leadership(): Leadership | undefined {
    return this.#leadership;
  }

  get replicas(): readonly string[] {
    return (this.#leadership ?? this.#state).replicas;
  }

  get isr(): readonly string[] {
    return (this.#leadership ?? this.#state).isr;
  }

  /** Whether all replicas are in sync, and so have what is below the high watermark; as far as is known here. */
  get isComplete(): boolean {
    const { replicas, isr } = this;
    return replicas.length > 0 && replicas.every((nodeId) => isr.includes(nodeId));
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  /**
   * Exclusive: which of the records below it all in-sync replicas ever had is not known here, and they are gone from the log: retention
   * in memory waits for no follower.
   */
  get unconfirmedEnd(): number {
    const { logStart } = this.#log;
    return logStart > this.#highWatermark ? logStart : this.#unconfirmedEnd;
  }

  /** @throws TypeError when the epoch is not later than the last */
  lead(start: LeadershipStart): void {
    if (start.epoch <= this.#epoch) throw new TypeError(`epoch ${start.epoch} after ${this.#epoch}`);
    this.#enter('leader', start.epoch);
    const { topicId, partition, clock } = this.#host;
    this.#leadership = new Leadership(start, {
      ...{ topicId, partition, clock, log: this.#log, highWatermark: this.#highWatermark },
      onHighWatermark: (offset) => this.#raise(offset),
      onInsync: () => this.#host.onNews(),
      onEnd: (reason) => {
        this.#enter('idle', start.epoch);
        start.onStepDown(reason);
      },
    });
    this.logMoved();
  }

  /** Ends leading. An epoch that is over is none. */
  follow(epoch: number): void {
    if (epoch < this.#epoch) return;
    this.#told = NOTHING_TOLD;
    this.#enter('follower', epoch);
  }

  /** Ends leading. An epoch that is over is none. */
  idle(epoch: number): void {
    if (epoch >= this.#epoch) this.#enter('idle', epoch);
  }

  stateChanged(entry: PartitionEntry): void {
    this.#state = entry.state;
    this.#leadership?.stateChanged(entry);
  }

  /** Follower: how far its leader is; counts with the next {@link logMoved}. */
  tell(leader: LeaderPosition): void {
    this.#told = leader;
  }

  /**
   * Call when the log has more. The watermark follows what is durable, not what is appended: readers see nothing that a crash could take back.
   */
  logMoved(): void {
    const { durableEnd, logEnd } = this.#log;
    if (durableEnd < logEnd && !this.#isAwaitingLog) {
      this.#isAwaitingLog = true;
      this.#log.whenDurable(durableEnd + 1, this.#onDurable);
    }
    if (this.#leadership) this.#leadership.advance();
    else if (this.#role === 'follower') this.#followLeader();
    this.#host.onNews();
  }

  /** Leader: see `Leadership.report`. */
  report(nodeId: string, durableOffset: number, durableStart: number): void {
    const before = this.#highWatermark;
    const isFurther = this.#leadership?.report(nodeId, durableOffset, durableStart);
    if (isFurther === true || this.#highWatermark > before) this.#host.onNews();
  }

  truncateTo(offset: number): void | Promise<void> {
    this.#fall(offset);
    const cutting = this.#log.truncate(offset);
    // From the batch on that holds it.
    const cut = (): void => this.#fall(this.#log.logEnd);
    if (cutting) return cutting.then(cut);
    cut();
  }

  resetTo(offset: number): void | Promise<void> {
    this.#fall(offset);
    const resetting = this.#log.reset(offset);
    const begin = (): void => this.#raise(offset);
    if (resetting) return resetting.then(begin);
    begin();
  }

  /** A log that was not synced has come back shorter than it was. */
  lose(end: number): void {
    this.#fall(end);
    this.#leadership?.lost(end);
    this.#host.onNews();
  }

  /** Nothing is told any more. */
  close(): void {
    this.#leadership?.end();
  }

  #enter(role: PartitionRole, epoch: number): void {
    this.#state = { replicas: this.replicas, isr: this.isr };
    this.#leadership?.end();
    this.#leadership = undefined;
    this.#role = role;
    this.#epoch = epoch;
    this.#host.onNews();
  }

  #followLeader(): void {
    const { highWatermark, logStart } = this.#told;
    const { durableEnd } = this.#log;
    this.#raise(Math.min(highWatermark, durableEnd));
    if (logStart > this.#log.logStart) this.#log.deleteBefore(Math.min(logStart, durableEnd));
  }

  #raise(offset: number): void {
    if (offset <= this.#highWatermark) return;
    // A follower that begins where the log begins lifts it over what nobody may have had.
    this.#unconfirmedEnd = this.unconfirmedEnd;
    this.#highWatermark = offset;
    this.#host.onRisen();
  }

  #fall(offset: number): void {
    if (offset >= this.#highWatermark) return;
    this.#highWatermark = offset;
    // What is stored there from now on has nothing to do with what was gone.
    this.#unconfirmedEnd = Math.min(this.#unconfirmedEnd, offset);
    this.#host.onFallen(offset);
  }
}

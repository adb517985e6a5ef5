import type { SluiceError } from '../../src/kernel/errors.ts';
import type { LeaderEpoch } from '../../src/log/partition-log.ts';
import { LeaderEpochs } from '../../src/log/leader-epochs.ts';
import type { FollowingReplica } from '../../src/partition/follower.ts';
import { batchBaseOffset, batchLeaderEpoch, batchNextOffset } from '../../src/wire/record-batch.ts';

type Waiting = readonly [offset: number, callback: (error: SluiceError | undefined) => void];

/** A replica whose disk does what a test says: what is appended is durable once `sync` is called, unless `isSlow` is off. */
export class ScriptedReplica implements FollowingReplica {
  batches: Buffer[] = [];
  logStart = 0;
  logEnd = 0;
  durableEnd = 0;
  failure: SluiceError | undefined;
  /** Whether appends wait for {@link sync}. */
  isSlow = false;
  /** What it was told of the leader last. */
  leader = { highWatermark: 0, logStart: 0 };
  /** Set: truncating and resetting wait for it. */
  gate: Promise<void> | undefined;
  /** Set: where the log begins is durable once it resolves. */
  startGate: Promise<void> | undefined;
  isRead = false;
  onRead: (() => void) | undefined;
  readonly calls: string[] = [];
  #waiting: Waiting[] = [];

  get log(): FollowingReplica['log'] {
    return {
      logStart: this.logStart,
      logEnd: this.logEnd,
      durableEnd: this.durableEnd,
      leaderEpochs: this.leaderEpochs,
      failure: this.failure,
      whenDurable: (offset, callback) => {
        if (offset <= this.durableEnd) callback(undefined);
        else this.#waiting.push([offset, callback]);
      },
      whenStartDurable: () => this.startGate,
    };
  }

  get leaderEpochs(): readonly LeaderEpoch[] {
    const epochs = new LeaderEpochs([]);
    for (const batch of this.batches) epochs.add(batchLeaderEpoch(batch), batchBaseOffset(batch));
    return epochs.entries;
  }

  appendReplicated(batches: readonly Buffer[], leader: { highWatermark: number; logStart: number }): void {
    if (this.failure) throw this.failure;
    for (const batch of batches) {
      if (batchBaseOffset(batch) < this.logEnd) throw new TypeError('below the end');
      this.batches.push(batch);
      this.logEnd = batchNextOffset(batch);
    }
    if (!this.isSlow) this.durableEnd = this.logEnd;
    this.leader = { highWatermark: leader.highWatermark, logStart: leader.logStart };
  }

  truncateTo(offset: number): void | Promise<void> {
    this.calls.push(`truncate ${offset}`);
    if (this.gate) return this.gate.then(() => this.cut(offset));
    this.cut(offset);
  }

  resetTo(offset: number): void | Promise<void> {
    this.calls.push(`reset ${offset}`);
    if (this.gate) return this.gate.then(() => this.#empty(offset));
    this.#empty(offset);
  }

  /** All that was appended is durable. */
  sync(): void {
    this.durableEnd = this.logEnd;
    const ready = this.#waiting;
    this.#waiting = [];
    for (const [, callback] of ready) callback(undefined);
  }

  /** What is not durable is lost, and nothing is taken until {@link failure} is taken back. */
  fail(error: SluiceError): void {
    this.failure = error;
    this.cut(this.durableEnd);
    const lost = this.#waiting;
    this.#waiting = [];
    for (const [, callback] of lost) callback(error);
  }

  /** Goes back to the beginning of the batch that holds `offset`. */
  cut(offset: number): void {
    this.batches = this.batches.filter((batch) => batchNextOffset(batch) <= offset);
    this.logEnd = this.batches.length > 0 ? batchNextOffset(this.batches.at(-1)!) : this.logStart;
    this.durableEnd = Math.min(this.durableEnd, this.logEnd);
  }

  #empty(offset: number): void {
    this.batches = [];
    this.logStart = offset;
    this.logEnd = offset;
    this.durableEnd = offset;
  }
}

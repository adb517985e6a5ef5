import type { ReceiveResponse } from '../../gen/sluice/client/v1/groups_pb.ts';
import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { Clock } from '../../kernel/clock.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import type { Events } from '../events.ts';
import type { AskGroup, AskOptions, GroupQuestion } from '../group-requests.ts';
import type { ReceivedRecord } from '../record.ts';
import type { QueueEvents } from './events.ts';
import type { JobOwner } from './job.ts';
import { Job } from './job.ts';
import type { Lease, Settling } from './lease.ts';
import type { LeasedRecords } from './leased-records.ts';
import type { QueuePlan } from './options.ts';
import { Settlements } from './settlements.ts';

/** What was leased. */
export interface Received extends Pick<ReceiveResponse, 'batches'> {
  /**
   * When the leases began at the earliest, by the monotonic clock, milliseconds. The answer may have been on its way for long, or have waited here
   * while something else was done: meanwhile they have run.
   */
  readonly beganMs: number;
}

/** The records that a consumer has leased and handed out, and how they are settled. */
export class Jobs implements JobOwner {
  readonly #ask: AskGroup;
  readonly #clock: Clock;
  readonly #plan: QueuePlan;
  readonly #events: Events<QueueEvents>;
  readonly #settlements: Settlements;
  readonly #inHand = new Set<Job>();
  readonly #onRoom: () => void;

  /** @param onRoom called when a job was settled, and when that was answered: there may be room for another */
  constructor(ask: AskGroup, clock: Clock, plan: QueuePlan, events: Events<QueueEvents>, onRoom: () => void) {
    this.#ask = ask;
    this.#clock = clock;
    this.#plan = plan;
    this.#events = events;
    this.#onRoom = onRoom;
    const { topic, group } = plan;
    this.#settlements = new Settlements({
      topic,
      group,
      ask,
      clock,
      unsettled: (event) => this.#events.emit('unsettled', event),
      answered: onRoom,
    });
  }

  /** Handed out and not settled. */
  get inHand(): number {
    return this.#inHand.size;
  }

  /** Records whose settlement is not answered. */
  get unconfirmed(): number {
    return this.#settlements.unconfirmed;
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Asks for records, and tells of gaps in the answer. */
  async receive(
    question: GroupQuestion<'receive'>,
    options: Pick<AskOptions, 'waitMs' | 'signal'>,
  ): Promise<Received> {
    let askedMs = this.nowMs();
    const onAgain = (): void => void (askedMs = this.nowMs());
    const { batches, gaps, waitedMs } = await this.#ask('receive', question, { ...options, onAgain });
    this.#tellGaps(gaps);
    return { batches, beganMs: Math.min(this.nowMs(), askedMs + waitedMs) };
  }

  /** The next record. Those of a batch that cannot be read are rejected: they would never be done. */
  jobOf(records: LeasedRecords): Job | undefined {
    const { lease } = records;
    let record: ReceivedRecord | undefined;
    try {
      // Where compaction took a record there is nothing to do.
      record = records.next(({ first, end }) => void this.#settlements.add(lease, first, end, ACK));
    } catch (error) {
      const known = asSluiceError(error, 'CORRUPT_BATCH');
      for (const { first, end } of records.takeRest()) {
        const settling = {
          kind: SettlementKind.REJECT,
          delayMs: undefined,
          reason: known.message.slice(0, 200),
        };
        void this.#settlements.add(lease, first, end, settling);
        this.#events.emit('unsettled', { partition: lease.partition, first, end, error: known });
      }
    }
    if (record === undefined) return undefined;
    const job = new Job(record, records.attempt, lease, this);
    this.#inHand.add(job);
    return job;
  }

  /** Gives back what was not handed out. */
  giveBack(records: LeasedRecords): void {
    for (const { first, end } of records.takeRest()) {
      void this.#settlements.add(records.lease, first, end, RELEASE);
    }
  }

  settle(job: Job, lease: Lease, settling: Settling): Promise<void> {
    this.#inHand.delete(job);
    const { offset } = job.record;
    const done = this.#settlements.add(lease, offset, offset + 1, settling);
    this.#onRoom();
    return done;
  }

  extend(job: Job, lease: Lease, leaseMs: number | undefined): Promise<void> {
    const { offset } = job.record;
    const settling = { kind: SettlementKind.EXTEND, delayMs: leaseMs, reason: '' };
    if (leaseMs !== undefined) lease.deadlineMs = Math.min(lease.deadlineMs, this.nowMs() + leaseMs);
    return this.#settlements.add(lease, offset, offset + 1, settling);
  }

  /** Gives back what was handed out and is not settled. */
  releaseAll(): void {
    for (const job of [...this.#inHand]) void job.release();
  }

  /** Sends what was settled so far, unless that is done as soon as what was sent before is answered. */
  flush(): void {
    this.#settlements.flush();
  }

  /** Resolves when everything is answered. */
  idle(): Promise<void> {
    return this.#settlements.idle();
  }

  #tellGaps(gaps: ReceiveResponse['gaps']): void {
    for (const { partition, from, to } of gaps) {
      const span = { from: offsetFromWire(from), to: offsetFromWire(to) };
      this.#events.emit('gap', { topic: this.#plan.topic, partition, ...span, reason: 'retention' });
    }
  }
}

const ACK: Settling = { kind: SettlementKind.ACK, delayMs: undefined, reason: '' };
const RELEASE: Settling = { kind: SettlementKind.RELEASE, delayMs: undefined, reason: '' };

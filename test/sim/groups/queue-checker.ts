import { Violation } from '../violation.ts';

/** A lease as its consumer was told. */
export interface ToldLease {
  readonly consumer: string;
  readonly partition: number;
  readonly offset: number;
  readonly grant: number;
  readonly attempt: number;
  /** When the consumer asked, true time. */
  readonly sentMs: number;
  /** When the coordinator answered, true time. */
  readonly answeredMs: number;
  /** True time up to which the lease certainly lasts. */
  readonly untilMs: number;
}

/** A record that was found in the dead-letter topic. */
export interface FoundDeadLetter {
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
  readonly attempts: number;
}

/** A lease as it was, in true time. */
interface Span {
  readonly consumer: string;
  readonly grant: number;
  readonly fromMs: number;
  /** Earlier when its consumer has said what shall become of the record: from then on anybody may have it. */
  untilMs: number;
  /** Given back unbegun: it counts as no attempt. */
  isReleased: boolean;
}

interface RecordTruth {
  /** Leases that somebody was told of, in whatever order their answers came. */
  readonly spans: Span[];
  isAckSent: boolean;
  isRejectSent: boolean;
  /** When its acknowledgement was answered, true time. */
  ackedMs: number;
  deadLetters: number;
}

/** What a consumer does with a lease. */
export type SettlingKind = 'ack' | 'nack' | 'reject' | 'release' | 'extend';

/** Knows what the consumers of one queue were told and have said, and throws when a promise about a record is broken. */
export class QueueChecker {
  readonly name: string;
  readonly #maxAttempts: number;
  readonly #records = new Map<string, RecordTruth>();
  /** When coordinators have answered grants, true time, by partition and grant. */
  readonly #answers = new Map<string, number>();
  /** Leases that somebody was told of. */
  leases = 0;
  /** Records that were delivered again. */
  redeliveries = 0;

  constructor(name: string, maxAttempts: number) {
    this.name = name;
    this.#maxAttempts = maxAttempts;
  }

  /** A coordinator answers with a grant. */
  answered(partition: number, grant: number, nowMs: number): void {
    this.#answers.set(`${partition}/${grant}`, nowMs);
  }

  /** When a grant was answered by its coordinator, true time. */
  answeredMs(partition: number, grant: number): number {
    const found = this.#answers.get(`${partition}/${grant}`);
    if (found === undefined) throw new TypeError(`nobody has answered grant ${grant} of ${partition}`);
    return found;
  }

  /** A consumer has a lease. */
  told(lease: ToldLease): void {
    const { partition, offset, attempt, consumer, grant, answeredMs, untilMs } = lease;
    const record = this.#record(partition, offset);
    const who = `${this.name} ${partition}@${offset} to ${consumer} by grant ${grant}`;
    const other = record.spans.find((span) => span.fromMs < untilMs && span.untilMs > answeredMs);
    if (other) {
      throw new Violation(
        'a record is leased to one consumer at a time',
        `${who} from ${answeredMs.toFixed(0)}, ${other.consumer} has it by ${other.grant} from ${other.fromMs.toFixed(0)} to ${other.untilMs.toFixed(0)}`,
      );
    }
    if (record.ackedMs < lease.sentMs) {
      throw new Violation(
        'what is acknowledged does not come again',
        `${who}, acknowledged at ${record.ackedMs.toFixed(0)}`,
      );
    }
    record.spans.push({ consumer, grant, fromMs: answeredMs, untilMs, isReleased: false });
    this.leases++;
    if (attempt > 1) this.redeliveries++;
    this.#checkAttempts(record, lease, who);
  }

  /**
   * A consumer says what shall become of a record.
   * @param nowMs true time
   * @param untilMs of an extension, true time: no longer than that, whatever the answer
   */
  settles(
    partition: number,
    offset: number,
    grant: number,
    kind: SettlingKind,
    nowMs: number,
    untilMs = nowMs,
  ): void {
    const record = this.#record(partition, offset);
    if (kind === 'ack') record.isAckSent = true;
    if (kind === 'reject') record.isRejectSent = true;
    const span = record.spans.find((one) => one.grant === grant);
    if (!span) return;
    span.untilMs = Math.min(span.untilMs, kind === 'extend' ? untilMs : nowMs);
    // Whether that is heard or not: it may be.
    if (kind === 'release') span.isReleased = true;
  }

  /** All of the range was settled. @param untilMs of an extension, true time */
  settled(
    partition: number,
    offset: number,
    grant: number,
    kind: SettlingKind,
    nowMs: number,
    untilMs = nowMs,
  ): void {
    const record = this.#record(partition, offset);
    if (kind === 'ack') record.ackedMs = Math.min(record.ackedMs, nowMs);
    const span = record.spans.find((one) => one.grant === grant);
    if (kind === 'extend' && span) span.untilMs = untilMs;
  }

  /** A dead letter of this queue is stored. */
  foundDeadLetter({ partition, offset, reason, attempts }: FoundDeadLetter): void {
    const record = this.#record(partition, offset);
    const what = `${this.name} ${partition}@${offset}`;
    if (++record.deadLetters > 1) throw new Violation('a dead letter comes once', what);
    if (record.ackedMs < Infinity) throw new Violation('what is acknowledged is no dead letter', what);
    if (reason === 'rejected' && !record.isRejectSent) {
      throw new Violation('a dead letter has a reason', `${what} was rejected by nobody`);
    }
    if (reason === 'max-attempts' && attempts !== this.#maxAttempts) {
      throw new Violation('a dead letter has a reason', `${what} after ${attempts} attempts`);
    }
  }

  /** All is done. @param ends of the partitions that the queue has read @throws Violation for a record that is neither acknowledged nor a dead letter */
  checkAll(ends: readonly number[]): void {
    ends.forEach((end, partition) => {
      for (let offset = 0; offset < end; offset++) {
        const { isAckSent, deadLetters } = this.#record(partition, offset);
        if (isAckSent || deadLetters === 1) continue;
        throw new Violation('no record is lost', `${this.name} ${partition}@${offset}`);
      }
    });
  }

  #checkAttempts({ spans }: RecordTruth, { attempt, answeredMs }: ToldLease, who: string): void {
    const earlier = spans.filter(({ fromMs, isReleased }) => fromMs <= answeredMs && !isReleased).length;
    if (attempt > this.#maxAttempts || earlier > this.#maxAttempts) {
      throw new Violation(
        'attempts are at most the maximum',
        `${who}: attempt ${attempt}, delivery ${earlier} of ${this.#maxAttempts}`,
      );
    }
    if (attempt < earlier) {
      throw new Violation('attempts are counted', `${who}: attempt ${attempt}, delivery ${earlier}`);
    }
  }

  #record(partition: number, offset: number): RecordTruth {
    const key = `${partition}@${offset}`;
    let record = this.#records.get(key);
    if (!record) {
      record = {
        spans: [],
        isAckSent: false,
        isRejectSent: false,
        ackedMs: Infinity,
        deadLetters: 0,
      };
      this.#records.set(key, record);
    }
    return record;
  }
}

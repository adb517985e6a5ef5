import type { GroupAnswer } from '../../../src/groups/api.ts';
import { SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { asSluiceError } from '../../../src/kernel/errors.ts';
import { batchBaseOffset, batchNextOffset } from '../../../src/wire/record-batch.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Machine } from '../machine.ts';
import { Violation } from '../violation.ts';
import type { GroupCluster } from './group-cluster.ts';
import { SOURCE } from './group-cluster.ts';
import type { QueueChecker, SettlingKind } from './queue-checker.ts';
import { SimClient } from './sim-client.ts';
import { SURE_SHARE } from './sim-member.ts';

/** What a consumer does. */
export interface SimConsumerPlan {
  readonly name: string;
  /** Group of the queue. */
  readonly queue: string;
  readonly maxRecords: number;
  readonly maxWaitMs: number;
  readonly leaseMs: number;
}

/** Records that are leased together and share their fate. */
interface Range {
  readonly partition: number;
  readonly grant: number;
  readonly first: number;
  readonly end: number;
}

const KINDS: Readonly<Record<SettlingKind, SettlementKind>> = {
  ack: SettlementKind.ACK,
  nack: SettlementKind.NACK,
  reject: SettlementKind.REJECT,
  release: SettlementKind.RELEASE,
  extend: SettlementKind.EXTEND,
};
const RETRY_MS = 100;
const RETRIES = 3;
/** Each so manyth record is one that nobody can work on. */
const POISON_EVERY = 13;

/** A consumer of a queue: it works on records, for longer than it may at times, and says what became of them. */
export class SimConsumer extends SimClient {
  readonly plan: SimConsumerPlan;
  readonly #checker: QueueChecker;
  #isCalm = false;

  constructor(
    plan: SimConsumerPlan,
    cluster: GroupCluster,
    machine: Machine,
    random: SeededRandom,
    nowMs: () => number,
  ) {
    super(plan.name, cluster, machine, random, nowMs);
    this.plan = plan;
    this.#checker = cluster.queues.get(plan.queue)!;
  }

  /** Begins to work in the process that runs now. */
  start(): void {
    this.#run().catch((error: unknown) => this.cluster.fail(error));
  }

  /** Ends the process at once. */
  crash(): void {
    this.machine.stop();
  }

  /** Acknowledges what it can from now on. */
  calm(): void {
    this.#isCalm = true;
  }

  async #run(): Promise<never> {
    for (;;) {
      await this.#receive();
      await this.pause(10 + 2 * RETRY_MS * this.random.fraction());
    }
  }

  async #receive(): Promise<void> {
    const { queue, maxRecords, maxWaitMs, leaseMs } = this.plan;
    try {
      const { answer, sentMs } = await this.ask(
        'receive',
        { topic: SOURCE, group: queue, consumerId: this.name, maxRecords, maxWaitMs, leaseMs },
        maxWaitMs,
      );
      this.#take(answer, sentMs);
    } catch (thrown) {
      if (thrown instanceof Violation) throw thrown;
      this.cluster.trace(() => `${this.name} receives nothing: ${asSluiceError(thrown).code}`);
      await this.pause(RETRY_MS);
    }
  }

  #take({ batches, gaps }: GroupAnswer<'receive'>, sentMs: number): void {
    if (gaps.length > 0) throw new Violation('no record is lost', `${this.name} is told of a gap`);
    for (const { partition, batch, grant, leases, leaseMs } of batches) {
      for (const { first, end, attempt } of leases) {
        const range = { partition, grant: Number(grant), first: Number(first), end: Number(end) };
        this.#checkIn(Buffer.from(batch), range);
        this.cluster.trace(
          () =>
            `${this.name} has ${this.plan.queue} ${partition}@${range.first}-${range.end} by grant ${range.grant}, attempt ${attempt}`,
        );
        const answeredMs = this.#checker.answeredMs(partition, range.grant);
        for (let offset = range.first; offset < range.end; offset++) {
          this.#checker.told({
            ...{ consumer: this.name, partition, offset, grant: range.grant, attempt, sentMs, answeredMs },
            untilMs: answeredMs + leaseMs * SURE_SHARE,
          });
        }
        this.#work(range, leaseMs);
      }
    }
  }

  #checkIn(batch: Buffer, { partition, first, end }: Range): void {
    if (first >= batchBaseOffset(batch) && end <= batchNextOffset(batch) && first < end) return;
    throw new Violation('a lease is of its batch', `${this.name} ${partition}@${first}-${end}`);
  }

  /** Each record on its own, or all of them at once. */
  #work(range: Range, leaseMs: number): void {
    const fail = (error: unknown): void => this.cluster.fail(error);
    if (this.random.chance(0.3)) {
      this.#settleLater(range, leaseMs).catch(fail);
      return;
    }
    for (let first = range.first; first < range.end; first++) {
      this.#settleLater({ ...range, first, end: first + 1 }, leaseMs).catch(fail);
    }
  }

  async #settleLater(range: Range, leaseMs: number): Promise<void> {
    const kind = this.#choose(range);
    await this.pause(
      this.#isCalm ? 1 : leaseMs * (this.random.chance(0.1) ? 2 : 0.5) * this.random.fraction(),
    );
    if (kind === 'extend') {
      await this.#settle(range, kind, this.random.between(200, 1500));
      await this.pause(leaseMs * this.random.fraction());
      await this.#settle(range, 'ack');
    } else if (kind !== 'forget') await this.#settle(range, kind);
  }

  #choose({ first, end }: Range): SettlingKind | 'forget' {
    if (end - first === 1 && first % POISON_EVERY === 0) return 'nack';
    if (this.#isCalm) return 'ack';
    const kinds = ['ack', 'ack', 'ack', 'ack', 'ack', 'ack', 'nack', 'extend', 'release', 'forget'] as const;
    return this.random.chance(0.03) ? 'reject' : this.random.pick(kinds);
  }

  /** Says it again while it is not answered. */
  async #settle(range: Range, kind: SettlingKind, delayMs?: number): Promise<void> {
    const { partition, grant, first, end } = range;
    for (let retry = 0; retry < RETRIES; retry++) {
      const untilMs = this.nowMs + (delayMs ?? 0) * SURE_SHARE;
      for (let offset = first; offset < end && retry === 0; offset++) {
        this.#checker.settles(partition, offset, grant, kind, this.nowMs, untilMs);
      }
      try {
        const { answer } = await this.ask('settle', {
          ...{ topic: SOURCE, group: this.plan.queue },
          settlements: [
            {
              ...{ partition, grant: BigInt(grant), first: BigInt(first), end: BigInt(end) },
              ...{ kind: KINDS[kind], reason: kind === 'ack' ? '' : 'as it is', delayMs },
            },
          ],
        });
        const isDone = answer.results[0]!.errorCode === 0;
        this.cluster.trace(
          () =>
            `${this.name} ${kind} ${partition}@${first}-${end} by ${grant}: ${isDone ? 'done' : 'too late'}`,
        );
        for (let offset = first; offset < end && isDone; offset++) {
          this.#checker.settled(partition, offset, grant, kind, this.nowMs, untilMs);
        }
        return;
      } catch (thrown) {
        if (thrown instanceof Violation) throw thrown;
        this.cluster.trace(() => `${this.name} ${kind} ${partition}@${first}: ${asSluiceError(thrown).code}`);
      }
      await this.pause(RETRY_MS);
    }
  }
}

import type { Job } from '../../../src/client/queues/job.ts';
import type { Queue } from '../../../src/client/queues/queue.ts';
import type { QueueOptions } from '../../../src/client/queues/options.ts';
import type { ReceiveRequest, SettleRequest } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import type { ErrorCode } from '../../../src/kernel/errors.ts';
import { ERRORS } from '../../../src/kernel/errors.ts';
import { turns } from '../../support/turns.ts';
import type { Answer, RequestBody } from '../fake-broker.ts';
import { batchOf, FakeBroker } from '../fake-broker.ts';

const KINDS = new Map(
  Object.entries(SettlementKind).map(([name, kind]) => [kind as number, name.toLowerCase()]),
);

/** Records that are leased in one batch. */
export interface Leased {
  readonly partition?: number;
  readonly grant?: number;
  /** Offset of the first value. */
  readonly base?: number;
  readonly values: readonly string[];
  /** `[first, end, attempt]`; left out: all, for the first time. */
  readonly leases?: readonly (readonly [number, number, number])[];
  readonly leaseMs?: number;
  readonly bytes?: Buffer;
}

interface Receive {
  readonly request: ReceiveRequest;
  answer(answer: NonNullable<Answer>): void;
}

/** A broker that plays the coordinator of a queue: what it leases is the test's choice. */
export class QueueStage implements AsyncDisposable {
  readonly broker: FakeBroker;
  /** Requests for records that are not answered. */
  readonly receives: Receive[] = [];
  readonly settles: SettleRequest[] = [];
  /** How each settlement is answered. */
  refuse: ErrorCode | undefined;
  /** How requests to settle are answered. */
  refuseRequest: ErrorCode | undefined;
  /** Settlements are answered when the test says so. */
  hold = false;
  /** How long questions for records say that they waited. */
  waitedMs = 0;
  #held: (() => void)[] = [];

  private constructor(broker: FakeBroker) {
    this.broker = broker;
    broker.onRequest = (request, _connection, later) =>
      request.case === 'group' ? this.#group(request.value.body, later) : broker.defaultAnswer(request);
  }

  static async open(): Promise<QueueStage> {
    return new QueueStage(await FakeBroker.open());
  }

  async queue(options: QueueOptions = {}): Promise<Queue> {
    const client = await this.broker.client();
    return client.queue('q', options);
  }

  /** Answers the oldest request that waits. */
  async lease(...batches: Leased[]): Promise<void> {
    await turns(4);
    this.receives.shift()!.answer(received(batches, this.waitedMs));
    await turns(4);
  }

  async refuseReceive(error: ErrorCode): Promise<void> {
    await turns(4);
    this.receives.shift()!.answer({ error });
    await turns(4);
  }

  /** What was settled, request by request: `ack 0.1 [5, 7)` for partition, grant and range. */
  get settled(): string[] {
    return this.settles.map(({ settlements }) =>
      settlements
        .map(({ kind, partition, grant, first, end, delayMs, reason }) => {
          const after = delayMs === undefined ? '' : ` ${delayMs} ms`;
          const why = reason === '' ? '' : ` ${reason}`;
          return `${KINDS.get(kind)} ${partition}.${grant} [${first}, ${end})${after}${why}`;
        })
        .join('; '),
    );
  }

  /**
   * Acknowledges; the answer is lost, and asked again, which takes part of `passMs`, there is no such lease.
   * @returns the code that it fails with; undefined: it succeeds
   */
  async repeatedAck(job: Job, passMs: number): Promise<string | undefined> {
    this.hold = true;
    const done = job.ack().then(
      () => undefined,
      (error: unknown) => (error as { code: string }).code,
    );
    await turns(4);
    this.broker.last.cut();
    this.hold = false;
    this.refuse = 'LEASE_EXPIRED';
    await this.broker.pass(passMs);
    return done;
  }

  release(): void {
    this.hold = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.broker[Symbol.asyncDispose]();
  }

  #group(
    question: Extract<RequestBody, { case: 'group' }>['value']['body'],
    later: (answer: NonNullable<Answer>) => void,
  ): Answer {
    if (question.case === 'receive') {
      this.receives.push({ request: question.value, answer: later });
      return undefined;
    }
    if (question.case !== 'settle') return { error: 'UNSUPPORTED' };
    this.settles.push(question.value);
    const answer = this.#settle(question.value);
    if (!this.hold) return answer;
    this.#held.push(() => later(answer));
    return undefined;
  }

  #settle({ settlements }: SettleRequest): NonNullable<Answer> {
    if (this.refuseRequest !== undefined) return { error: this.refuseRequest };
    const errorCode = this.refuse === undefined ? 0 : ERRORS[this.refuse].wire;
    const results = settlements.map(() => ({ errorCode, errorMessage: '' }));
    return { case: 'group', value: { body: { case: 'settle', value: { results } } } };
  }
}

/** An answer that leases these. */
function received(batches: readonly Leased[], waitedMs: number): NonNullable<Answer> {
  const leased = batches.map(
    ({ partition = 0, grant = 1, base = 0, values, leases, leaseMs = 30_000, bytes }) => ({
      partition,
      grant: BigInt(grant),
      batch: bytes ?? batchOf(base, values),
      leases: (leases ?? [[base, base + values.length, 1]]).map(([first, end, attempt]) => ({
        first: BigInt(first),
        end: BigInt(end),
        attempt,
      })),
      leaseMs,
    }),
  );
  return { case: 'group', value: { body: { case: 'receive', value: { batches: leased, waitedMs } } } };
}

/** Texts `from`, `from + 1`, …, `count` of them. */
export function numbers(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => String(from + index));
}

import { create } from '@bufbuild/protobuf';
import type {
  GroupAnswerInit,
  GroupCase,
  GroupQuestion,
  GroupQuestionInit,
} from '../../../src/groups/api.ts';
import { BatchMemory } from '../../../src/groups/queue/batch-memory.ts';
import { PartitionBudget } from '../../../src/groups/queue/partition-budget.ts';
import { StateBudget } from '../../../src/groups/queue/state-budget.ts';
import { Queues } from '../../../src/groups/queue/queues.ts';
import {
  BrowseQueueRequestSchema,
  ConfigureQueueRequestSchema,
  DescribeQueueRequestSchema,
  DiscardRecordsRequestSchema,
  MoveRecordsRequestSchema,
  ReceiveRequestSchema,
  SettleRequestSchema,
  SettlementKind,
} from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import type { ErrorCode } from '../../../src/kernel/errors.ts';
import { SluiceError, errorCodeFromWire } from '../../../src/kernel/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import { FakeStateLog } from './fake-log.ts';
import type { PlainRecord } from './fake-topics.ts';
import { FakeTopics, plainRecords } from './fake-topics.ts';

/** A record that somebody has leased. */
export interface Job extends PlainRecord {
  readonly partition: number;
  readonly grant: number;
  readonly attempt: number;
}

/** What one receive gave. */
export interface Received {
  readonly jobs: Job[];
  readonly gaps: { readonly partition: number; readonly from: number; readonly to: number }[];
}

type Question<C extends GroupCase> = Partial<Omit<GroupQuestion<C>, '$typeName'>>;

/** Queues of one coordinator on fakes, with short ways to ask them. Topic `jobs`, unless said otherwise. */
export class QueueStage {
  readonly clock: FakeClock;
  readonly topics: FakeTopics;
  readonly log: FakeStateLog;
  readonly budget: PartitionBudget;
  readonly stateBudget: StateBudget;
  readonly batchMemory: BatchMemory;
  readonly failures: unknown[] = [];
  /** What it would have another coordinator release. */
  readonly untold: GroupQuestionInit<'settle'>[] = [];
  /** What work has failed, and with what. */
  readonly troubles: string[] = [];
  readonly queues: Queues;

  constructor(
    topics = new FakeTopics().make('jobs'),
    log = new FakeStateLog(),
    clock = new FakeClock(),
    budget = new PartitionBudget(1000),
    stateBudget = new StateBudget(Infinity),
    batchMemory = new BatchMemory(32 * 1024 * 1024),
  ) {
    this.batchMemory = batchMemory;
    this.budget = budget;
    this.stateBudget = stateBudget;
    this.topics = topics;
    this.log = log;
    this.clock = clock;
    this.queues = new Queues({
      log,
      topics,
      clock,
      random: new SeededRandom(1),
      budget: this.budget,
      stateBudget,
      batchMemory,
      term: log.leaderEpoch,
      releaseUntold: (release) => this.untold.push(release),
      nodeId: 'n1',
      onFailure: (error) => {
        this.failures.push(error);
        this.queues.close();
      },
      onTrouble: ({ work, topic, group, partition, error }) => {
        this.troubles.push(`${work} of ${topic}/${group}/${partition}: ${error.code}`);
      },
    });
    for (const { key, value } of log.records) this.queues.load(key.split('/'), value);
    this.queues.start();
  }

  /** This node is no leader any more, or has crashed: another one goes on with what is stored. */
  succeed(): QueueStage {
    this.queues.close();
    const { topics, log, clock, budget, stateBudget, batchMemory } = this;
    return new QueueStage(topics, log.next(), clock, budget, stateBudget, batchMemory);
  }

  ask<C extends GroupCase>(
    name: C,
    question: GroupQuestion<C>,
    signal?: AbortSignal,
  ): Promise<GroupAnswerInit<C>> {
    return this.queues.ask(name, question, signal);
  }

  async receive(question: Question<'receive'> = {}, signal?: AbortSignal): Promise<Received> {
    const request = create(ReceiveRequestSchema, { topic: 'jobs', maxRecords: 10_000, ...question });
    return received(await this.ask('receive', request, signal));
  }

  /** Receives, and gives the values. */
  async values(question: Question<'receive'> = {}): Promise<(string | null)[]> {
    return (await this.receive(question)).jobs.map(({ value }) => value);
  }

  /** Settles jobs one by one. @returns a code for each that failed */
  async settle(
    kind: keyof typeof SettlementKind,
    jobs: readonly Job[],
    { delayMs, reason = '', topic = 'jobs' }: { delayMs?: number; reason?: string; topic?: string } = {},
  ): Promise<(ErrorCode | undefined)[]> {
    const settlements = jobs.map(({ partition, grant, offset }) => ({
      partition,
      grant: BigInt(grant),
      first: BigInt(offset),
      end: BigInt(offset + 1),
      kind: SettlementKind[kind],
      reason,
      ...(delayMs === undefined ? {} : { delayMs }),
    }));
    const { results = [] } = await this.ask('settle', create(SettleRequestSchema, { topic, settlements }));
    return results.map(({ errorCode = 0 }) => (errorCode === 0 ? undefined : errorCodeFromWire(errorCode)));
  }

  configure(
    settings: NonNullable<Question<'configureQueue'>['settings']> | object,
    topic = 'jobs',
  ): Promise<unknown> {
    return this.ask('configureQueue', create(ConfigureQueueRequestSchema, { topic, settings }));
  }

  describe(topic = 'jobs'): Promise<GroupAnswerInit<'describeQueue'>> {
    return this.ask('describeQueue', create(DescribeQueueRequestSchema, { topic }));
  }

  /** Ready, leased and delayed records of all partitions. */
  async counted(topic = 'jobs'): Promise<{ ready: number; leased: number; delayed: number }> {
    const sum = { ready: 0, leased: 0, delayed: 0 };
    for (const { ready, leased, delayed } of (await this.describe(topic)).partitions ?? []) {
      sum.ready += Number(ready);
      sum.leased += Number(leased);
      sum.delayed += Number(delayed);
    }
    return sum;
  }

  async browse(question: Question<'browseQueue'> = {}): Promise<{
    jobs: Omit<Job, 'grant'>[];
    next: { partition: number; offset: bigint }[];
  }> {
    const request = create(BrowseQueueRequestSchema, { topic: 'jobs', maxRecords: 10_000, ...question });
    const { batches = [], next = [] } = await this.ask('browseQueue', request);
    const jobs = batches.flatMap(({ partition = 0, batch, records = [] }) =>
      records.flatMap(({ first, end, attempt = 0 }) =>
        plainRecords(Buffer.from(batch!), Number(first), Number(end)).map((record) => ({
          ...record,
          partition,
          attempt,
        })),
      ),
    );
    return { jobs, next: next.map(({ partition = 0, offset = 0n }) => ({ partition, offset })) };
  }

  async move(question: Question<'moveRecords'> = {}, signal?: AbortSignal): Promise<number> {
    const request = create(MoveRecordsRequestSchema, { topic: 'jobs', ...question });
    return Number((await this.ask('moveRecords', request, signal)).moved);
  }

  async discard(question: Question<'discardRecords'> = {}): Promise<number> {
    const request = create(DiscardRecordsRequestSchema, { topic: 'jobs', ...question });
    return Number((await this.ask('discardRecords', request)).discarded);
  }

  /** Moves time on, and lets everything happen that follows. */
  async pass(ms: number): Promise<void> {
    await turns();
    this.clock.advance(ms);
    await turns();
  }
}

/** The code that a question fails with. */
export async function codeOf(asked: Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await asked;
    return undefined;
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
}

function received({ batches = [], gaps = [] }: GroupAnswerInit<'receive'>): Received {
  const jobs = batches.flatMap(({ partition = 0, batch, grant = 0n, leases = [] }) =>
    leases.flatMap(({ first, end, attempt = 0 }) =>
      plainRecords(Buffer.from(batch!), Number(first), Number(end)).map((record) => ({
        ...record,
        partition,
        grant: Number(grant),
        attempt,
      })),
    ),
  );
  return {
    jobs,
    gaps: gaps.map(({ partition = 0, from, to }) => ({ partition, from: Number(from), to: Number(to) })),
  };
}

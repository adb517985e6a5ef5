import { SluiceError } from '../../kernel/errors.ts';
import type { GroupAnswerInit, GroupCase, GroupQuestion } from '../api.ts';
import { DEAD_LETTER_PREFIX } from '../api.ts';
import type { GroupPart, GroupPartCounts, GroupPartOptions } from '../group-part.ts';
import { notCoordinator } from '../not-coordinator.ts';
import { StateWriter } from '../state-writer.ts';
import { RecordBatchEncoder } from '../../wire/record-batch-encoder.ts';
import { momentOf } from './moment.ts';
import type { QueueContext } from './queue-context.ts';
import { queueCounters } from './queue-context.ts';
import type { Queue } from './queue.ts';
import { changeSettings, settingsToWire } from './queue-settings.ts';
import { browseRecords, discardRecords, moveRecords, queueTails } from './queue-records.ts';
import type { QueueName } from './queue-table.ts';
import { QueueTable } from './queue-table.ts';
import { StoredQueues } from './stored-queues.ts';
import { releaseUntold } from './untold-leases.ts';

type QueueCase = Exclude<
  GroupCase,
  'joinGroup' | 'leaveGroup' | 'commitOffsets' | 'describeGroup' | 'listGroups' | 'resetGroup' | 'deleteGroup'
>;

type Handlers = {
  readonly [C in QueueCase]: (
    question: GroupQuestion<C>,
    signal: AbortSignal | undefined,
  ) => Promise<GroupAnswerInit<C>>;
};

/** What is taken back of an answer that nobody gets. */
type TakenBack = {
  readonly [C in GroupCase]?: (question: GroupQuestion<C>, answer: GroupAnswerInit<C>) => void;
};

/** Their answers come only when what they say is stored. */
const STORED_WHEN_ANSWERED: ReadonlySet<GroupCase> = new Set(['receive', 'settle']);

/** The queues of one coordinator: topics whose records are leased one by one. @see docs/groups.md */
export class Queues implements GroupPart {
  readonly #context: QueueContext;
  readonly #table: QueueTable;
  readonly #stored = new StoredQueues();
  #isClosed = false;

  constructor({ log, onFailure, ...options }: GroupPartOptions) {
    const writer = new StateWriter(log, onFailure);
    const encoder = new RecordBatchEncoder();
    this.#context = { ...options, writer, encoder, counters: queueCounters() };
    this.#table = new QueueTable(this.#context);
  }

  load(key: readonly string[], value: Buffer | null): void {
    this.#stored.load(key, value);
  }

  start(): void {
    this.#table.start(this.#stored.take());
  }

  async ask<C extends GroupCase>(
    name: C,
    question: GroupQuestion<C>,
    signal?: AbortSignal,
  ): Promise<GroupAnswerInit<C>> {
    if (this.#isClosed) throw notCoordinator();
    const handlers: Partial<Record<GroupCase, unknown>> = this.#handlers;
    const handler = handlers[name] as
      | ((question: GroupQuestion<C>, signal: AbortSignal | undefined) => Promise<GroupAnswerInit<C>>)
      | undefined;
    if (!handler) throw new SluiceError('INVALID_ARGUMENT', `${name} is no question for queues`);
    const answer = await handler(question, signal);
    // Nobody is told what is not stored. Those who see to that themselves wait no more: the leases that they tell of have begun.
    if (!STORED_WHEN_ANSWERED.has(name)) await this.#context.writer.stored();
    return answer;
  }

  undelivered<C extends GroupCase>(name: C, question: GroupQuestion<C>, answer: GroupAnswerInit<C>): void {
    this.#takenBack[name]?.(question, answer);
  }

  close(): void {
    this.#isClosed = true;
    this.#table.close(notCoordinator());
    this.#context.writer.close();
  }

  counts(): GroupPartCounts {
    let waiting = 0;
    let refused = 0;
    let partitions = 0;
    let heldBytes = 0;
    const now = momentOf(this.#context.clock);
    const records = { ready: 0, delayed: 0, leased: 0, moving: 0 };
    for (const queue of this.#table.all()) {
      waiting += queue.waiting;
      for (const work of queue.works()) {
        const counts = work.counts(now);
        partitions += 1;
        heldBytes += work.runner.state.heldBytes;
        records.ready += counts.ready;
        records.delayed += counts.delayed;
        records.leased += counts.leased;
        records.moving += counts.moving;
        refused += work.deadLetters.refusedCount;
      }
    }
    return {
      queues: this.#table.all().length,
      partitions,
      heldBytes,
      waiting,
      ...records,
      refusedDeadLetters: refused,
      ...this.#context.counters,
    };
  }

  readonly #takenBack: TakenBack = {
    receive: (question, answer) => releaseUntold(this.#context, question, answer),
  };

  readonly #handlers: Handlers = {
    receive: async (question, signal) => (await this.#table.make(question)).receive(question, signal),
    settle: (question) => this.#table.get(question).settle(question),
    configureQueue: (question) => this.#configure(question),
    describeQueue: (question) => this.#describe(question),
    listQueues: async () => ({
      queues: await Promise.all(this.#table.all().map((queue) => this.#summary(queue))),
    }),
    deleteQueue: (question) => {
      this.#table.delete(this.#table.get(question));
      return Promise.resolve({});
    },
    browseQueue: (question, signal) =>
      this.#workOn(question, (queue) => browseRecords(this.#context, queue, question, signal)),
    moveRecords: (question, signal) =>
      this.#workOn(question, (queue) => moveRecords(this.#context, queue, question, signal)),
    discardRecords: (question, signal) =>
      this.#workOn(question, (queue) => discardRecords(this.#context, queue, question, signal)),
  };

  async #workOn<T>(name: QueueName, work: (queue: Queue) => Promise<T>): Promise<T> {
    const queue = await this.#table.getOrMake(name);
    try {
      return await work(queue);
    } catch (error) {
      // A queue that was deleted is not to be made, and worked on, again.
      throw queue.closedWith ?? error;
    }
  }

  async #configure(question: GroupQuestion<'configureQueue'>): Promise<GroupAnswerInit<'configureQueue'>> {
    const queue = await this.#table.make(question, question.settings);
    queue.configure(changeSettings(queue.topic, queue.given, question.settings));
    return { settings: settingsToWire(queue.settings) };
  }

  async #describe(question: GroupQuestion<'describeQueue'>): Promise<GroupAnswerInit<'describeQueue'>> {
    // Dead letters can be counted before anybody has looked at them.
    const isOfDeadLetters = question.topic.startsWith(DEAD_LETTER_PREFIX);
    const queue = isOfDeadLetters ? await this.#table.getOrMake(question) : this.#table.get(question);
    const works = queue.works();
    const tails = await queueTails(this.#context, queue, works);
    const now = momentOf(this.#context.clock);
    return {
      topic: queue.topic,
      group: queue.group,
      settings: settingsToWire(queue.settings),
      partitions: works.map((work, at) => {
        const { state, partition } = work.runner;
        const { ready, delayed, leased, moving } = work.counts(now);
        const { end, unseen } = tails[at]!;
        return {
          partition,
          floor: BigInt(state.floor),
          cursor: BigInt(state.cursor),
          end: BigInt(end),
          ready: BigInt(ready + unseen),
          leased: BigInt(leased),
          delayed: BigInt(delayed + moving),
        };
      }),
      coordinatorNodeId: this.#context.nodeId,
      waitingConsumers: queue.waiting,
    };
  }

  async #summary(queue: Queue): Promise<NonNullable<GroupAnswerInit<'listQueues'>['queues']>[number]> {
    const works = queue.works();
    // A partition that cannot be asked for its end now is one more reason to want the list.
    const tails = await queueTails(this.#context, queue, works).catch(() => []);
    const now = momentOf(this.#context.clock);
    let [ready, leased, delayed] = [0, 0, 0];
    for (const [at, work] of works.entries()) {
      const counts = work.counts(now);
      ready += counts.ready + (tails[at]?.unseen ?? 0);
      leased += counts.leased;
      delayed += counts.delayed + counts.moving;
    }
    return {
      topic: queue.topic,
      group: queue.group,
      ready: BigInt(ready),
      leased: BigInt(leased),
      delayed: BigInt(delayed),
      coordinatorNodeId: this.#context.nodeId,
    };
  }
}

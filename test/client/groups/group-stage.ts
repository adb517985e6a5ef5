import type { GroupConsumer } from '../../../src/client/groups/consumer.ts';
import type { GroupOptions } from '../../../src/client/groups/options.ts';
import type { ReceivedRecord } from '../../../src/client/record.ts';
import type { CommitOffsetsRequest, JoinGroupRequest } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import type { ErrorCode } from '../../../src/kernel/errors.ts';
import { ERRORS } from '../../../src/kernel/errors.ts';
import { turns } from '../../support/turns.ts';
import type { Answer, FakeDelivery, RequestBody } from '../fake-broker.ts';
import { FakeBroker } from '../fake-broker.ts';

interface Assigned {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
}

/** A broker that plays the coordinator of one group with one member: what it assigns is the test's choice. */
export class GroupStage implements AsyncDisposable {
  readonly broker: FakeBroker;
  readonly joins: JoinGroupRequest[] = [];
  readonly commits: CommitOffsetsRequest[] = [];
  /** Names of the group requests, in the order they came. */
  readonly asked: string[] = [];
  leaves = 0;
  generation = 1;
  /** What the next join is answered with instead. */
  refuseJoin: ErrorCode | undefined;
  /** How commits are answered. */
  refuseCommit: ErrorCode | undefined;
  /** Commits are answered when the test says so. */
  holdCommits = false;
  #assigned: Assigned[] = [];
  #waiting: ((answer: NonNullable<Answer>) => void) | undefined;
  #heldCommits: (() => void)[] = [];

  private constructor(broker: FakeBroker) {
    this.broker = broker;
    broker.onRequest = (request, _connection, later) =>
      request.case === 'group' ? this.#group(request.value.body, later) : broker.defaultAnswer(request);
  }

  static async open(): Promise<GroupStage> {
    return new GroupStage(await FakeBroker.open());
  }

  async member(options: Partial<GroupOptions> = {}): Promise<GroupConsumer> {
    const client = await this.broker.client();
    const member = client.group('g', { topics: ['t'], ...options });
    await turns(5);
    return member;
  }

  /** From now on the member has these partitions of topic `t`, each beginning at its offset. */
  async assign(partitions: Readonly<Record<number, number>>): Promise<void> {
    this.#assigned = Object.entries(partitions).map(([partition, offset]) => ({
      topic: 't',
      partition: Number(partition),
      offset: BigInt(offset),
    }));
    this.generation += 1;
    this.#waiting?.(this.#joined());
    this.#waiting = undefined;
    await turns(8);
  }

  /** Partitions that the member said it has, when it last said so. */
  get owned(): number[] | undefined {
    return this.joins
      .at(-1)
      ?.owned.map(({ partition }) => partition)
      .sort();
  }

  /** What was committed, as `partition@offset`, request by request. */
  get committed(): string[] {
    return this.commits.map(({ offsets }) =>
      offsets.map(({ partition, offset }) => `${partition}@${offset}`).join(' '),
    );
  }

  releaseCommits(): void {
    this.holdCommits = false;
    for (const answer of this.#heldCommits.splice(0)) answer();
  }

  /** Opens the delivery stream of a partition, for the newest subscription to it. */
  deliver(partition: number, offset: number): FakeDelivery {
    const subscribe = this.broker.last.subscribes.findLast(({ partitions }) => partitions[0] === partition);
    return this.broker.last.deliver('t', partition, offset, subscribe!.subscriptionId);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.broker[Symbol.asyncDispose]();
  }

  #group(
    question: Extract<RequestBody, { case: 'group' }>['value']['body'],
    later: (answer: NonNullable<Answer>) => void,
  ): Answer {
    this.asked.push(question.case ?? '');
    switch (question.case) {
      case 'joinGroup':
        return this.#join(question.value, later);
      case 'commitOffsets':
        return this.#commit(question.value, later);
      case 'leaveGroup':
        this.leaves += 1;
        return { case: 'group', value: { body: { case: 'leaveGroup', value: {} } } };
      default:
        return { error: 'UNSUPPORTED' };
    }
  }

  #join(join: JoinGroupRequest, later: (answer: NonNullable<Answer>) => void): Answer {
    this.joins.push(join);
    const error = this.refuseJoin;
    this.refuseJoin = undefined;
    if (error !== undefined) return { error };
    const wanted = this.#assigned.map(({ partition }) => partition).sort();
    if (join.generation === 0 || this.owned!.join() !== wanted.join()) return this.#joined();
    this.#waiting = later;
    return undefined;
  }

  #joined(): NonNullable<Answer> {
    const value = { generation: this.generation, assigned: this.#assigned, sessionTimeoutMs: 10_000 };
    return { case: 'group', value: { body: { case: 'joinGroup', value } } };
  }

  #commit(commit: CommitOffsetsRequest, later: (answer: NonNullable<Answer>) => void): Answer {
    this.commits.push(commit);
    const errorCode = this.refuseCommit === undefined ? 0 : ERRORS[this.refuseCommit].wire;
    const results = commit.offsets.map(() => ({ errorCode, errorMessage: '' }));
    const answer: NonNullable<Answer> = {
      case: 'group',
      value: { body: { case: 'commitOffsets', value: { results } } },
    };
    if (!this.holdCommits) return answer;
    this.#heldCommits.push(() => later(answer));
    return undefined;
  }
}

/** Reads one record at a time; `undefined` where none is there. */
export class Reading {
  readonly #iterator: AsyncIterator<ReceivedRecord, undefined>;
  #next: Promise<IteratorResult<ReceivedRecord, undefined>> | undefined;

  constructor(member: GroupConsumer) {
    this.#iterator = member[Symbol.asyncIterator]();
  }

  /** As `partition:offset=value`; `end` when the iterator is done. */
  async next(): Promise<string | undefined> {
    this.#next ??= this.#iterator.next();
    const result = await Promise.race([this.#next, turns(5)]);
    if (result === undefined) return undefined;
    this.#next = undefined;
    if (result.done === true) return 'end';
    return `${result.value.partition}:${result.value.offset}=${result.value.text()}`;
  }

  /** Until there is nothing more. */
  async all(): Promise<string[]> {
    const seen: string[] = [];
    for (let text = await this.next(); text !== undefined && text !== 'end'; text = await this.next())
      seen.push(text);
    return seen;
  }

  /** As `break` does. */
  async break(): Promise<void> {
    await this.#iterator.return!();
  }
}

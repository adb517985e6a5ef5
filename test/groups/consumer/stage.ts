import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { GroupAnswerInit } from '../../../src/groups/api.ts';
import { NO_ASKER } from '../../../src/groups/api.ts';
import { BatchMemory } from '../../../src/groups/queue/batch-memory.ts';
import { PartitionBudget } from '../../../src/groups/queue/partition-budget.ts';
import { StateBudget } from '../../../src/groups/queue/state-budget.ts';
import { ConsumerGroups } from '../../../src/groups/consumer/consumer-groups.ts';
import {
  CommitOffsetsRequestSchema,
  DeleteGroupRequestSchema,
  DescribeGroupRequestSchema,
  JoinGroupRequestSchema,
  LeaveGroupRequestSchema,
  ListGroupsRequestSchema,
  ResetGroupRequestSchema,
} from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import type { ErrorCode } from '../../../src/kernel/errors.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { StoppableClock } from './stoppable-clock.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { turns } from '../../support/turns.ts';
import type { FakeStateLog } from './fake-state-log.ts';
import { FakeStatePartition } from './fake-state-log.ts';
import { FakeTopics } from './fake-topics.ts';

/** A join answer as tests look at it: `topic/partition` to the offset. */
export interface Joined {
  readonly generation: number;
  readonly assigned: ReadonlyMap<string, number>;
}

/** What a join asks for beside what every one does. */
export type Question = Omit<MessageInitShape<typeof JoinGroupRequestSchema>, '$typeName'>;

/** One partition of `__groups` with whoever coordinates it. */
export class Stage {
  readonly clock = new StoppableClock();
  readonly topics = new FakeTopics();
  readonly state = new FakeStatePartition();
  readonly failures: unknown[] = [];
  /** Who joins, leaves and commits from now on. */
  asker = NO_ASKER;
  log!: FakeStateLog;
  groups!: ConsumerGroups;

  constructor() {
    this.lead();
  }

  /** Another node leads: it loads what is stored. */
  lead(): void {
    const log = this.state.lead();
    const before = this.groups as ConsumerGroups | undefined;
    this.log = log;
    this.groups = new ConsumerGroups({
      ...{ log, topics: this.topics, clock: this.clock, random: new SeededRandom(1), nodeId: 'node-1' },
      budget: new PartitionBudget(1),
      stateBudget: new StateBudget(1),
      batchMemory: new BatchMemory(1),
      onFailure: (error) => {
        this.failures.push(error);
      },
      term: 0,
      releaseUntold: () => undefined,
      onTrouble: () => undefined,
    });
    for (const { key, value } of this.state.stored) this.groups.load(key.split('/'), value);
    before?.close();
    this.groups.start();
  }

  /** Joins, or says that the member is alive. Waits for nothing unless it says so. */
  async join(memberId: string, question: Question = {}, signal?: AbortSignal): Promise<Joined> {
    const init = { group: 'g', memberId, filters: ['t'], start: START.earliest, ...question };
    const answer = await this.groups.ask(
      'joinGroup',
      create(JoinGroupRequestSchema, init),
      signal,
      this.asker,
    );
    const assigned = (answer.assigned ?? []).map(
      ({ topic, partition, offset }) => [`${topic}/${partition}`, Number(offset)] as const,
    );
    return { generation: answer.generation ?? 0, assigned: new Map(assigned) };
  }

  /** Asks with what it has, as if it read all that it is assigned. */
  again(memberId: string, { generation, assigned }: Joined, question: Question = {}): Promise<Joined> {
    return this.join(memberId, { generation, owned: [...assigned.keys()].map(placeOf), ...question });
  }

  async leave(memberId: string, returning = false): Promise<void> {
    const question = create(LeaveGroupRequestSchema, { group: 'g', memberId, returning });
    await this.groups.ask('leaveGroup', question, undefined, this.asker);
  }

  /** Commits one offset of `topic/partition`. @returns the code it was refused with, 0: it was not */
  async commit(memberId: string, generation: number, place: string, offset: number): Promise<number> {
    const { topic, partition } = placeOf(place);
    const offsets = [{ topic, partition, offset: BigInt(offset), metadata: 'mine' }];
    const question = create(CommitOffsetsRequestSchema, { group: 'g', memberId, generation, offsets });
    const answer = await this.groups.ask('commitOffsets', question, undefined, this.asker);
    return answer.results?.[0]?.errorCode ?? 0;
  }

  describe(group = 'g'): Promise<GroupAnswerInit<'describeGroup'>> {
    return this.groups.ask('describeGroup', create(DescribeGroupRequestSchema, { group }));
  }

  list(): Promise<GroupAnswerInit<'listGroups'>> {
    return this.groups.ask('listGroups', create(ListGroupsRequestSchema));
  }

  reset(question: MessageInitShape<typeof ResetGroupRequestSchema>): Promise<GroupAnswerInit<'resetGroup'>> {
    return this.groups.ask('resetGroup', create(ResetGroupRequestSchema, question));
  }

  async delete(group = 'g'): Promise<void> {
    await this.groups.ask('deleteGroup', create(DeleteGroupRequestSchema, { group }));
  }

  /** What is committed, by `topic/partition`. */
  async committed(): Promise<Record<string, number>> {
    const { offsets = [] } = await this.describe();
    return Object.fromEntries(
      offsets.map(({ topic, partition, committed }) => [`${topic}/${partition}`, Number(committed)]),
    );
  }

  /** Lets everything happen that only waits for its turn, after `ms`. */
  async pass(ms = 0): Promise<void> {
    await turns(3);
    this.clock.advance(ms);
    await turns(3);
  }
}

/** Where to begin, as a message. */
export const START = {
  earliest: { at: { case: 'earliest', value: true } },
  latest: { at: { case: 'latest', value: true } },
} as const;

/** `topic/partition` as it is in requests. */
export function placeOf(place: string): { topic: string; partition: number } {
  const slash = place.lastIndexOf('/');
  return { topic: place.slice(0, slash), partition: Number(place.slice(slash + 1)) };
}

/** What a promise comes to: the code of its error, or nothing. */
export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
}

/** Whether a promise has come to something by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  await turns(3);
  return settled;
}

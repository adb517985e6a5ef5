import { SluiceError } from '../../kernel/errors.ts';
import { Turns } from '../../kernel/turns.ts';
import type { GroupAsker, GroupAnswerInit, GroupCase, GroupQuestion } from '../api.ts';
import { NO_ASKER } from '../api.ts';
import type { GroupPart, GroupPartCounts, GroupPartOptions } from '../group-part.ts';
import { notCoordinator } from '../not-coordinator.ts';
import { StateWriter } from '../state-writer.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { describeGroup, summarizeGroup } from './describe.ts';
import { FirstOffsets } from './first-offsets.ts';
import type { GroupSurroundings, GroupTotals } from './group-surroundings.ts';
import { checkGroupName, checkJoin } from './join-question.ts';
import type { MemberFilters } from './member-filters.ts';
import { Places } from './place.ts';
import { StateReader } from './stored-state.ts';
import { TopicNumbers } from './topic-numbers.ts';
import type { TopicWatcher } from './topic-watch.ts';
import { TopicWatch } from './topic-watch.ts';

/** Groups of one coordinator; they stay until they are deleted. */
const GROUPS_MAX = 10_000;

type ConsumerCase =
  | 'joinGroup'
  | 'leaveGroup'
  | 'commitOffsets'
  | 'describeGroup'
  | 'listGroups'
  | 'resetGroup'
  | 'deleteGroup';

type Answers = {
  readonly [C in ConsumerCase]: (
    question: GroupQuestion<C>,
    asker: GroupAsker,
    signal?: AbortSignal,
  ) => Promise<GroupAnswerInit<C>> | GroupAnswerInit<C>;
};

type Answer = (question: GroupQuestion, asker: GroupAsker, signal?: AbortSignal) => Promise<GroupAnswerInit>;

/** The consumer groups that one coordinator looks after. @see docs/groups.md */
export class ConsumerGroups implements GroupPart {
  readonly #options: GroupPartOptions;
  readonly #with: GroupSurroundings;
  /** Until all is loaded. */
  #reader = new StateReader();
  readonly #groups = new Map<string, ConsumerGroup>();
  readonly #answers: Answers = {
    joinGroup: (question, asker, signal) => this.#join(question, asker, signal),
    leaveGroup: async (question, asker) => {
      await this.#groups.get(checkGroupName(question.group))?.leave(question, asker);
      return {};
    },
    commitOffsets: async (question, asker) => ({ results: await this.#commit(question, asker) }),
    describeGroup: ({ group }) => {
      const { topics, clock, nodeId } = this.#options;
      return describeGroup(this.#group(group), topics, clock.monotonicMs(), nodeId);
    },
    listGroups: () => {
      const { nodeId } = this.#options;
      return { groups: Array.from(this.#groups.values(), (group) => summarizeGroup(group, nodeId)) };
    },
    resetGroup: (question) => this.#group(question.group).reset(question),
    deleteGroup: async ({ group: name }) => {
      const group = this.#group(name);
      await group.delete(() => this.#groups.delete(name));
      return {};
    },
  };
  readonly #totals: GroupTotals = { rebalances: 0, expiredMembers: 0, commits: 0, staleCommits: 0 };
  #watch: TopicWatch | undefined;
  #isClosed = false;

  constructor(options: GroupPartOptions) {
    const { log, topics, clock, random, onFailure } = options;
    this.#options = options;
    this.#with = {
      ...{ topics, clock, onFailure, totals: this.#totals },
      writer: new StateWriter(log, onFailure),
      places: new Places(),
      numbers: new TopicNumbers(),
      turns: new Turns(),
      firstOffsets: new FirstOffsets(topics, clock, random),
    };
  }

  load(key: readonly string[], value: Buffer | null): void {
    this.#reader.take(key, value);
  }

  start(): void {
    for (const [name, loaded] of this.#reader.groups()) this.#make(name).restore(loaded);
    this.#reader = new StateReader();
    this.#watch = new TopicWatch(this.#options.topics, this.#options.clock, this.#watcher());
    // Topics may have changed while nobody coordinated.
    for (const group of this.#groups.values()) group.topicsChanged();
  }

  async ask<C extends GroupCase>(
    name: C,
    question: GroupQuestion<C>,
    signal?: AbortSignal,
    asker = NO_ASKER,
  ): Promise<GroupAnswerInit<C>> {
    if (this.#isClosed) throw notCoordinator();
    const answer = (this.#answers as Partial<Record<GroupCase, unknown>>)[name] as Answer | undefined;
    if (!answer) throw new SluiceError('UNSUPPORTED', `${name} is not a question to consumer groups`);
    return (await answer(question, asker, signal)) as GroupAnswerInit<C>;
  }

  /** Members that were not answered ask again, or are put out. */
  undelivered(): void {
    return;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#with.writer.close();
    this.#with.firstOffsets.close();
    this.#watch?.close();
    for (const group of this.#groups.values()) group.close();
  }

  counts(): GroupPartCounts {
    const { rebalances, expiredMembers, commits, staleCommits } = this.#totals;
    const states = Array.from(this.#groups.values(), ({ state }) => state);
    const sum = (count: (state: (typeof states)[number]) => number): number =>
      states.reduce((total, state) => total + count(state), 0);
    return {
      groups: states.length,
      members: sum(({ members }) => members.size),
      offsets: sum(({ offsets }) => offsets.size),
      unassigned_partitions: sum(({ unassigned }) => unassigned),
      rebalances,
      expired_members: expiredMembers,
      commits,
      stale_commits: staleCommits,
    };
  }

  async #join(
    question: GroupQuestion<'joinGroup'>,
    asker: GroupAsker,
    signal?: AbortSignal,
  ): Promise<GroupAnswerInit<'joinGroup'>> {
    const name = checkGroupName(question.group);
    const facts = checkJoin(question, asker, this.#with.numbers);
    if (facts.generation === 0) {
      await this.#makeTopics(facts.filters);
      // What it takes may be new to the coordinator, which may have ended meanwhile.
      if (this.#isClosed) throw notCoordinator();
      return (this.#groups.get(name) ?? this.#makeNew(name)).join(facts, signal);
    }
    const group = this.#groups.get(name);
    if (!group) throw new SluiceError('UNKNOWN_MEMBER', `there is no group ${name}: join it again`);
    return group.join(facts, signal);
  }

  /** Offsets may be committed before anybody joins, so that it goes on there. */
  async #commit(
    question: GroupQuestion<'commitOffsets'>,
    asker: GroupAsker,
  ): ReturnType<ConsumerGroup['commit']> {
    const name = checkGroupName(question.group);
    const group = this.#groups.get(name);
    if (group) return group.commit(question, asker);
    if (question.memberId !== '') {
      throw new SluiceError('UNKNOWN_MEMBER', `there is no group ${name}: join it again`);
    }
    const made = this.#makeNew(name);
    const results = await made.commit(question, asker);
    // It may have been deleted meanwhile, and made again.
    if (made.isNothing && this.#groups.get(name) === made) this.#groups.delete(name);
    return results;
  }

  /** Topics that a member names are made when they are first used, as when one subscribes to them. */
  async #makeTopics({ names }: MemberFilters): Promise<void> {
    const { topics } = this.#options;
    await Promise.all(
      [...names].filter((name) => !topics.find(name)).map((name) => topics.findOrCreate(name)),
    );
  }

  #group(name: string): ConsumerGroup {
    const group = this.#groups.get(checkGroupName(name));
    if (!group) throw new SluiceError('GROUP_NOT_FOUND', `there is no group ${name}`);
    return group;
  }

  /** @throws OVERLOADED when there are too many */
  #makeNew(name: string): ConsumerGroup {
    if (this.#groups.size < GROUPS_MAX) return this.#make(name);
    throw new SluiceError('OVERLOADED', `${GROUPS_MAX} groups are too many here: delete some`);
  }

  #make(name: string): ConsumerGroup {
    const group = new ConsumerGroup(name, this.#with);
    this.#groups.set(name, group);
    return group;
  }

  #watcher(): TopicWatcher {
    const groups = this.#groups;
    const { places } = this.#with;
    return {
      onMade: (topic) => groups.forEach((group) => group.topicMade(topic)),
      onChanged: () => groups.forEach((group) => group.topicsChanged()),
      onGone: (topicId) => {
        for (const group of groups.values()) group.topicGone(topicId);
        places.forget(topicId);
      },
      kept: () => Array.from(groups.values(), ({ state }) => state.places()).flat(),
    };
  }
}

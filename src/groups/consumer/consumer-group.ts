import type { Timer } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { offsetToWire } from '../../wire/offset.ts';
import type { GroupAsker, GroupAnswerInit, GroupQuestion } from '../api.ts';
import { notCoordinator } from '../not-coordinator.ts';
import type { TopicFacts } from '../ports.ts';
import { compareFilters } from './compare-filters.ts';
import { GroupCommits } from './group-commits.ts';
import type { Step } from './group-state.ts';
import { GroupState } from './group-state.ts';
import type { GroupSurroundings } from './group-surroundings.ts';
import type { JoinFacts } from './join-question.ts';
import { Member } from './member.ts';
import { checkOwner } from './member-owner.ts';
import { MemberPoll } from './member-poll.ts';
import type { Place } from './place.ts';
import { SessionTimer } from './session-timer.ts';
import type { LoadedGroup } from './stored-state.ts';

const MAX_MEMBERS = 10_000;
/** Partitions whose beginnings are found within that time are given out together. */
const GATHER_MS = 25;

/** Who waits for a step to be stored. */
interface Settling {
  readonly step: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One consumer group: its members' requests, and what is stored of them.
 *
 * Requests change the state in memory. A loop plans what follows from all changes since the last time, stores that, and then tells who waits: so
 * what comes while something is stored is planned together, and nobody is told what is not stored.
 */
export class ConsumerGroup {
  readonly state: GroupState;
  readonly #with: GroupSurroundings;
  readonly #commits: GroupCommits;
  readonly #sessions: SessionTimer;
  /** Partitions of which is being found out where they begin. */
  readonly #asked = new Set<Place>();
  #settling: Settling[] = [];
  #gathering: Timer | undefined;
  #plannedSteps = 0;
  #storedGeneration: number;
  #isStoring = false;
  #isClosed = false;

  constructor(name: string, surroundings: GroupSurroundings) {
    this.#with = surroundings;
    this.state = new GroupState(name);
    this.#storedGeneration = this.state.generation;
    this.#commits = new GroupCommits(this.state, surroundings);
    this.#sessions = new SessionTimer(surroundings.clock, this.state.members, (members) => {
      surroundings.totals.expiredMembers += members.length;
      for (const member of members) this.#expel(member);
      this.wake();
    });
  }

  /** The generation that may be told. */
  get generation(): number {
    return this.#storedGeneration;
  }

  /** Takes what was stored. Time-outs begin now. */
  restore(loaded: LoadedGroup): void {
    const { places, numbers, clock } = this.#with;
    this.state.restore(loaded, { places, numbers }, clock.monotonicMs());
    this.#storedGeneration = this.state.generation;
    for (const member of this.state.members.values()) this.#sessions.note(member);
  }

  /**
   * @param facts with a member id that no other client uses at the same time
   * @throws UNKNOWN_MEMBER, OVERLOADED; FORBIDDEN for a member, or a static one's place, of somebody else; CANCELLED when the asker has gone, or asks again; NOT_LEADER
   */
  join(facts: JoinFacts, signal: AbortSignal | undefined): Promise<GroupAnswerInit<'joinGroup'>> {
    const { clock } = this.#with;
    const member = facts.generation === 0 ? this.#admit(facts) : this.#member(facts.memberId, facts);
    // Of a group of that name that was deleted.
    if (facts.generation > this.#storedGeneration) throw unknownMember(facts.memberId);
    member.heardMs = clock.monotonicMs();
    this.state.update(member, facts);
    this.#sessions.note(member);
    // One that has not seen yet what was taken from it says nothing about that.
    if (facts.generation >= member.changedGeneration) {
      this.state.giveUp(member, ({ topic, partition }) => facts.owned.has(`${topic}/${partition}`));
    }
    this.wake();
    member.poll?.fail(new SluiceError('CANCELLED', 'the member has asked again'));
    const onWaited = (): void => this.#tell(member, true);
    const poll = new MemberPoll(facts.generation, { clock, maxWaitMs: facts.maxWaitMs, onWaited, signal });
    member.poll = poll;
    this.#tell(member);
    return poll.answer;
  }

  /**
   * Who is no member, has left.
   * @param asker whose member it is, or who administers the node
   * @throws FORBIDDEN, NOT_LEADER
   */
  async leave({ memberId, returning }: GroupQuestion<'leaveGroup'>, asker: GroupAsker): Promise<void> {
    const member = this.state.members.get(memberId);
    if (member && !asker.administers) checkOwner(member, asker);
    if (member && returning && member.instanceId !== '') {
      member.heardMs = this.#with.clock.monotonicMs();
      member.poll?.fail(new SluiceError('CANCELLED', 'the member leaves'));
    } else if (member) {
      this.#expel(member);
      await this.settled();
    }
  }

  /**
   * @returns how each of the offsets ended
   * @throws UNKNOWN_MEMBER, GROUP_NOT_EMPTY; FORBIDDEN for a member of somebody else; NOT_LEADER
   */
  commit(
    { memberId, generation, offsets }: GroupQuestion<'commitOffsets'>,
    asker: GroupAsker,
  ): ReturnType<GroupCommits['commit']> {
    if (memberId === '') {
      this.checkEmpty();
      return this.#commits.commit(offsets);
    }
    const member = this.#member(memberId, asker);
    member.heardMs = this.#with.clock.monotonicMs();
    // Of a group of that name that was deleted.
    const isKnown = generation <= this.#storedGeneration;
    return this.#commits.commit(offsets, { member, generation: isKnown ? generation : 0 });
  }

  /** Sets where the group goes on. @throws GROUP_NOT_EMPTY, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND; NOT_LEADER; what `Topics.offsetAt` throws */
  async reset(question: GroupQuestion<'resetGroup'>): Promise<GroupAnswerInit<'resetGroup'>> {
    this.checkEmpty();
    const found = await this.#commits.find(question);
    // Somebody may have come meanwhile.
    if (this.#isClosed) throw notCoordinator();
    this.checkEmpty();
    await this.#commits.set(found);
    return {
      offsets: found.map(([{ topic, partition }, offset]) => ({
        ...{ topic, partition },
        offset: offsetToWire(offset),
      })),
    };
  }

  /**
   * Forgets all that the group has committed.
   * @param onDeleted called as soon as nobody can join any more
   * @throws GROUP_NOT_EMPTY; NOT_LEADER
   */
  async delete(onDeleted: () => void): Promise<void> {
    this.checkEmpty();
    await this.settled();
    this.checkEmpty();
    this.close();
    onDeleted();
    await this.#with.writer.append(this.state.delete());
  }

  /** Whether there is nothing of it to be kept. */
  get isNothing(): boolean {
    return this.state.members.size === 0 && this.state.offsets.isNothing && !this.#isStoring;
  }

  /** @throws GROUP_NOT_EMPTY while it has members */
  checkEmpty(): void {
    const { size } = this.state.members;
    if (size > 0) throw new SluiceError('GROUP_NOT_EMPTY', `group ${this.state.name} has ${size} members`);
  }

  topicsChanged(): void {
    this.state.topicsChanged();
    this.wake();
  }

  topicMade(facts: TopicFacts): void {
    this.state.topicMade(facts);
    this.wake();
  }

  topicGone(topicId: string): void {
    const records = this.state.topicGone(topicId);
    // When it fails the coordinator ends; nobody waits for this.
    if (records.length > 0) this.#with.writer.append(records).catch(() => undefined);
    this.wake();
  }

  /** Sees to it that what has changed is planned and stored. */
  wake(): void {
    if (this.state.isDirty && !this.#isStoring && !this.#isClosed) void this.#storeAll();
  }

  /** Resolves when all that has changed is stored. @throws NOT_LEADER */
  settled(): Promise<void> {
    this.wake();
    if (!this.#isStoring) return Promise.resolve();
    const step = this.#plannedSteps + (this.state.isDirty ? 1 : 0);
    return new Promise((resolve, reject) => {
      this.#settling.push({ step, resolve, reject });
    });
  }

  /** Who waits is told NOT_LEADER. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#sessions.cancel();
    this.#gathering?.cancel();
    for (const { poll } of this.state.members.values()) poll?.fail(notCoordinator());
    this.#refuse(notCoordinator());
  }

  async #storeAll(): Promise<void> {
    const { writer, topics, places, clock } = this.#with;
    this.#isStoring = true;
    try {
      // What else comes in this turn is planned with it.
      await Promise.resolve();
      while (this.state.isDirty && !this.#isClosed) {
        await compareFilters(this.state, this.#with, () => this.#isClosed);
        this.#plannedSteps += 1;
        const step = this.state.plan(topics, places, clock.now());
        this.#ask(step);
        if (step.records.length > 0) await writer.append(step.records);
        this.#publish(step);
      }
    } catch (error) {
      this.#refuse(error);
      // Without effect where it could not be stored: that ends the coordinator already.
      this.#with.onFailure(error);
    } finally {
      this.#isStoring = false;
    }
  }

  #refuse(error: unknown): void {
    for (const { reject } of this.#settling) reject(error);
    this.#settling = [];
  }

  /** Finds out where partitions begin. */
  #ask({ unknown }: Step): void {
    for (const [place, start] of unknown) {
      if (this.#asked.has(place)) continue;
      this.#asked.add(place);
      const isWanted = (): boolean => this.state.ownership.target.has(place) && !this.#isClosed;
      this.#with.firstOffsets.find(place, start, isWanted, (offset) => {
        this.#asked.delete(place);
        if (offset !== undefined && isWanted()) this.state.found.set(place, offset);
        this.#wakeSoon();
      });
    }
  }

  /** At once when nothing more is being found out. */
  #wakeSoon(): void {
    const wake = (): void => {
      this.#gathering?.cancel();
      this.#gathering = undefined;
      this.state.isDirty ||= this.state.found.size > 0;
      this.wake();
    };
    if (this.#asked.size === 0) wake();
    else this.#gathering ??= this.#with.clock.setTimer(GATHER_MS, wake);
  }

  #publish({ generation, told, begun }: Step): void {
    const { clock, totals } = this.#with;
    if (generation > this.#storedGeneration) totals.rebalances += 1;
    this.#storedGeneration = generation;
    for (const [place, committed] of begun) this.state.offsets.set(place, committed);
    for (const [member, assignment] of told) {
      if (!member.told) member.heardMs = clock.monotonicMs();
      member.told = assignment;
      if (this.state.members.get(member.id) === member) this.#sessions.note(member);
      this.#tell(member);
    }
    for (const { step, resolve } of this.#settling) if (step <= this.#plannedSteps) resolve();
    this.#settling = this.#settling.filter(({ step }) => step > this.#plannedSteps);
  }

  /** Answers a member's request when there is something that it has not seen. @param isWaited also when there is not */
  #tell(member: Member, isWaited = false): void {
    const { poll, told, sessionTimeoutMs } = member;
    if (!poll || !told) return;
    if (poll.generation !== 0 && poll.generation >= told.generation && !isWaited) return;
    member.poll = undefined;
    const assigned = told.places.flatMap((place) => {
      const committed = this.state.offsets.get(place);
      const { topic, partition } = place;
      return committed ? { topic, partition, offset: offsetToWire(committed.offset) } : [];
    });
    poll.end({ generation: this.#storedGeneration, assigned, sessionTimeoutMs });
  }

  /** @param of who says it is that member */
  #member(id: string, of: Pick<GroupAsker, 'principal'>): Member {
    const member = this.state.members.get(id);
    if (!member) throw unknownMember(id);
    checkOwner(member, of);
    return member;
  }

  /** Who joins: a new member, one that begins anew, or a static one in the place of its predecessor. */
  #admit(facts: JoinFacts): Member {
    const { state } = this;
    const before = state.members.get(facts.memberId);
    if (before) checkOwner(before, facts);
    if (before?.instanceId === facts.instanceId) return before;
    const old = state.instance(facts.instanceId);
    if (old) checkOwner(old, facts);
    if (before) this.#expel(before);
    if (!old && state.members.size >= MAX_MEMBERS) {
      throw new SluiceError(
        'OVERLOADED',
        `group ${state.name} has ${MAX_MEMBERS} members, and can have no more`,
      );
    }
    const member = new Member(facts.memberId, facts, this.#with.clock.monotonicMs());
    if (old) {
      state.replace(old, member);
      old.poll?.fail(unknownMember(old.id));
    } else {
      state.add(member);
    }
    return member;
  }

  #expel(member: Member): void {
    this.state.remove(member);
    member.poll?.fail(unknownMember(member.id));
  }
}

function unknownMember(id: string): SluiceError {
  return new SluiceError('UNKNOWN_MEMBER', `${JSON.stringify(id)} is no member of the group: join again`);
}

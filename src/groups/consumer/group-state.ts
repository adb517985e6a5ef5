import type { StoredGroup } from '../../gen/sluice/groups/v1/consumer_state_pb.ts';
import type { StateRecord, TopicFacts, Topics } from '../ports.ts';
import type { TopicPlaces } from './assignor.ts';
import { assign } from './assignor.ts';
import type { Committed } from './group-offsets.ts';
import { GroupOffsets } from './group-offsets.ts';
import type { MemberFacts, ToldAssignment } from './member.ts';
import { Member } from './member.ts';
import { MemberFilters } from './member-filters.ts';
import { Ownership } from './ownership.ts';
import type { Place, Places } from './place.ts';
import type { OffsetStart } from './start.ts';
import { offsetStartFromWire } from './start.ts';
import type { LoadedGroup } from './stored-state.ts';
import type { TopicNumbers } from './topic-numbers.ts';
import { groupKey, groupRecord, memberKey, memberRecord, offsetKey, offsetRecord } from './stored-state.ts';

/** Partitions that one group shares at most. */
const MAX_PLACES = 65_536;
/** Who says 0 has seen none. */
const FIRST_GENERATION = 1;

/** What has to be stored next, and what holds once it is. */
export interface Step {
  readonly records: readonly StateRecord[];
  readonly generation: number;
  readonly told: ReadonlyMap<Member, ToldAssignment>;
  /** Where partitions begin that somebody gets now. */
  readonly begun: readonly (readonly [Place, Committed])[];
  /** Partitions that somebody shall have once it is known where they begin. */
  readonly unknown: readonly (readonly [Place, OffsetStart])[];
}

/**
 * The members of one group and what each has. All changes are made in memory at once; {@link plan} then says what follows from all of them,
 * and what is to be stored. What `told` and `offsets` say is stored.
 */
export class GroupState {
  readonly name: string;
  readonly members = new Map<string, Member>();
  readonly ownership = new Ownership();
  readonly offsets = new GroupOffsets();
  /** Where partitions begin that nobody has got yet; what is added here makes nothing dirty. */
  readonly found = new Map<Place, number>();
  /** Of this, nothing has been planned yet. */
  isDirty = false;
  readonly #byInstance = new Map<string, Member>();
  /** Partitions by id of topics that members have taken. Those beyond are new, and nothing of them is left out. */
  readonly #known = new Map<string, number>();
  /** What members took when all was stored, until it was looked whether there are more such topics now. */
  #filtersBefore: readonly MemberFilters[] = [];
  readonly #unstored = new Set<Member>();
  readonly #removed = new Set<string>();
  #mustStoreGroup = true;
  #mustAssign = false;
  #generation = FIRST_GENERATION;

  constructor(name: string) {
    this.name = name;
  }

  /** Of the assignment; may be ahead of what is stored. Rises with each change of what anybody may read. */
  get generation(): number {
    return this.#generation;
  }

  /** Partitions that members could have, and for which there is no room. */
  unassigned = 0;

  /** Takes what was stored, before anything else. Members are heard of now. */
  restore(
    loaded: LoadedGroup,
    { places, numbers }: { readonly places: Places; readonly numbers: TopicNumbers },
    nowMs: number,
  ): void {
    for (const { topic, topicId, partition, ...committed } of loaded.offsets.values()) {
      const place = places.of(topicId, topic, partition);
      this.offsets.expect(place);
      this.offsets.set(place, committed);
    }
    for (const stored of loaded.members.values()) {
      const { memberId, changedGeneration, held } = stored;
      const filters = new MemberFilters(stored.filters, numbers);
      const member = new Member(
        memberId,
        { ...stored, filters, start: offsetStartFromWire(stored.start) },
        nowMs,
      );
      this.#add(member);
      member.changedGeneration = changedGeneration;
      for (const { topic, topicId, partitions, since, revoking } of held) {
        for (const [at, partition] of partitions.entries()) {
          const place = places.of(topicId, topic, partition);
          this.ownership.restore(place, member, since[at] ?? 0, revoking.includes(partition));
        }
      }
      member.told = { generation: changedGeneration, places: [...member.held.keys()] };
    }
    this.ownership.settle();
    this.#unstored.clear();
    if (loaded.group) this.#restoreGroup(loaded.group);
  }

  /** Who is static with that name. */
  instance(instanceId: string): Member | undefined {
    return instanceId === '' ? undefined : this.#byInstance.get(instanceId);
  }

  /** A new member. The one with the same instance id must be removed, or replaced by it. */
  add(member: Member): void {
    this.#add(member);
    this.#mustAssign = true;
  }

  /** A new static member goes on with what another has, which is out. */
  replace(old: Member, member: Member): void {
    this.remove(old, () => this.ownership.takeOver(old, member, this.#generation + 1));
    this.add(member);
  }

  /** A member is out. */
  remove(member: Member, release = (): void => this.ownership.drop(member)): void {
    release();
    this.members.delete(member.id);
    if (this.instance(member.instanceId) === member) this.#byInstance.delete(member.instanceId);
    this.#unstored.delete(member);
    this.#removed.add(member.id);
    this.#mustAssign = this.isDirty = true;
    if (this.members.size === 0) this.found.clear();
  }

  /** Takes what a member says of itself now. */
  update(member: Member, facts: MemberFacts): void {
    const { isChanged, takesOthers } = member.update(facts);
    if (!isChanged) return;
    this.#unstored.add(member);
    this.isDirty = true;
    this.#mustAssign ||= takesOthers;
  }

  /** A member that has seen all of its assignment reads only some of what was taken from it. */
  giveUp(member: Member, isOwned: (place: Place) => boolean): void {
    for (const place of member.revoking.keys()) {
      if (isOwned(place)) continue;
      this.ownership.giveUp(member, place);
      this.#unstored.add(member);
      this.isDirty = true;
    }
  }

  /** Topics, or their partitions, are others now. */
  topicsChanged(): void {
    if (this.members.size > 0) this.#mustAssign = this.isDirty = true;
  }

  /** A topic was made while members wait for it: it is read from its beginning. */
  topicMade({ id, name }: TopicFacts): void {
    if (!this.filterSets().some((filters) => filters.takes(name))) return;
    // One that is known has only not been heard of for a while.
    if (!this.#known.has(id)) this.#know(id, 0);
    this.topicsChanged();
  }

  /** A topic is gone, with all that was committed of it. @returns what to store for that */
  topicGone(topicId: string): StateRecord[] {
    this.ownership.dropTopic(topicId);
    for (const place of this.found.keys()) if (place.topicId === topicId) this.found.delete(place);
    if (this.#known.delete(topicId)) this.#mustStoreGroup = this.isDirty = true;
    this.topicsChanged();
    return this.#forget((place) => place.topicId === topicId);
  }

  /** All is gone; there must be no members. @returns what to store for that */
  delete(): StateRecord[] {
    // Last, since with it all that is before it is gone.
    return [...this.#forget(() => true), { key: groupKey(this.name), value: null }];
  }

  /**
   * The filters of all members, and those that were stored until they were looked at. Equal ones are one object from now on, so that what is found out
   * about a topic counts for all.
   */
  filterSets(): MemberFilters[] {
    const sets = new Map(this.#filtersBefore.map((filters) => [filters.text, filters]));
    for (const member of this.members.values()) {
      const filters = sets.get(member.filterText);
      if (filters) member.filters = filters;
      else sets.set(member.filterText, member.filters);
    }
    return [...sets.values()];
  }

  /** Of what something is kept. */
  places(): Place[] {
    return [...this.ownership.owned(), ...this.offsets.places()];
  }

  /** What follows from all changes since the last call. */
  plan(topics: Topics, places: Places, nowMs: number): Step {
    this.isDirty = false;
    const { ownership } = this;
    if (this.#mustAssign) this.#assign(topics, places);
    const next = this.#generation + 1;
    const begun: [Place, Committed][] = [];
    const unknown: [Place, OffsetStart][] = [];
    for (const [place, member] of ownership.ungranted()) {
      const offset = this.found.get(place);
      if (offset === undefined && !this.offsets.has(place)) {
        unknown.push([place, this.#startOf(place, member)]);
        continue;
      }
      if (offset !== undefined && !this.offsets.has(place)) {
        this.offsets.expect(place);
        begun.push([place, { offset, metadata: '', committedMs: nowMs }]);
      }
      this.found.delete(place);
      ownership.grant(place, member, next);
    }
    this.#noteKnown();
    const changed = [...ownership.changed].filter(({ id }) => this.members.has(id));
    ownership.changed.clear();
    if (changed.length > 0) {
      this.#generation = next;
      this.#mustStoreGroup = true;
    }
    for (const member of changed) {
      member.changedGeneration = next;
      this.#unstored.add(member);
    }
    return { ...this.#takeUnstored(begun), generation: this.#generation, begun, unknown };
  }

  #restoreGroup({ generation, known, knowsTaken }: StoredGroup): void {
    this.#generation = generation;
    for (const { topicId, partitions } of known) this.#known.set(topicId, partitions);
    if (knowsTaken) this.#filtersBefore = this.filterSets();
    this.#mustStoreGroup = !knowsTaken;
  }

  #add(member: Member): void {
    this.members.set(member.id, member);
    if (member.instanceId !== '') this.#byInstance.set(member.instanceId, member);
    this.#unstored.add(member);
    this.isDirty = true;
  }

  #forget(isGone: (place: Place) => boolean): StateRecord[] {
    return this.offsets.forget(isGone).map((place) => ({ key: offsetKey(this.name, place), value: null }));
  }

  #assign(topics: Topics, places: Places): void {
    this.#mustAssign = false;
    const members = [...this.members.values()];
    const before = this.#filtersBefore;
    this.#filtersBefore = [];
    const taken = takenTopics(topics, this.filterSets(), this.ownership.target);
    const shared: TopicPlaces[] = [];
    let count = 0;
    this.unassigned = 0;
    for (const facts of taken) {
      const room = Math.min(facts.partitions, MAX_PLACES - count);
      shared.push({ topic: facts.name, places: places.all(facts).slice(0, room) });
      count += room;
      this.unassigned += facts.partitions - room;
      if (this.#known.has(facts.id)) continue;
      // Made while nobody coordinated, when it was taken before.
      this.#know(facts.id, before.some((filters) => filters.takes(facts.name)) ? 0 : facts.partitions);
    }
    this.ownership.retarget(assign(members, shared, this.ownership.target));
  }

  #startOf({ topicId, partition }: Place, { start }: Member): OffsetStart {
    const isNew = partition >= (this.#known.get(topicId) ?? Infinity);
    return isNew && start.at === 'latest' ? { at: 'earliest' } : start;
  }

  /** New partitions are new until it is known where each of their topic begins. */
  #noteKnown(): void {
    const counts = new Map<string, number>();
    const waiting = new Set<string>();
    for (const place of this.ownership.target.keys()) {
      const { topicId, partition } = place;
      if (!this.offsets.has(place)) waiting.add(topicId);
      counts.set(topicId, Math.max(counts.get(topicId) ?? 0, partition + 1));
    }
    for (const [topicId, count] of counts) {
      if (!waiting.has(topicId) && count > (this.#known.get(topicId) ?? 0)) this.#know(topicId, count);
    }
  }

  #know(topicId: string, partitions: number): void {
    this.#known.set(topicId, partitions);
    this.#mustStoreGroup = true;
  }

  #takeUnstored(begun: readonly (readonly [Place, Committed])[]): Pick<Step, 'records' | 'told'> {
    // After a crash there may be only the first of them: no partition is known of which it is not known where it begins, no member whose topics are not.
    const records = begun.map(([place, committed]) => offsetRecord(this.name, place, committed));
    if (this.#mustStoreGroup) records.push(groupRecord(this.name, this.#generation, this.#known));
    for (const id of this.#removed) {
      if (!this.members.has(id)) records.push({ key: memberKey(this.name, id), value: null });
    }
    const told = new Map<Member, ToldAssignment>();
    for (const member of this.#unstored) {
      records.push(memberRecord(this.name, member));
      told.set(member, { generation: member.changedGeneration, places: [...member.held.keys()] });
    }
    this.#mustStoreGroup = false;
    this.#removed.clear();
    this.#unstored.clear();
    return { records, told };
  }
}

/** Topics that members take. Those that are shared already come first, so that a new one cannot push them out. */
function takenTopics(
  topics: Topics,
  filters: readonly MemberFilters[],
  target: ReadonlyMap<Place, Member>,
): TopicFacts[] {
  const before = new Set(Array.from(target.keys(), ({ topicId }) => topicId));
  const taken = topics.all().filter(({ name }) => filters.some((filter) => filter.takes(name)));
  const rank = ({ id }: TopicFacts): number => (before.has(id) ? 0 : 1);
  return taken.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

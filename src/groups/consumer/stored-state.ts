import { fromBinary, toBinary, create } from '@bufbuild/protobuf';
import type { StoredGroup, StoredMember } from '../../gen/sluice/groups/v1/consumer_state_pb.ts';
import {
  StoredGroupSchema,
  StoredMemberSchema,
  StoredOffsetSchema,
} from '../../gen/sluice/groups/v1/consumer_state_pb.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { startToWire } from '../../partition/start-wire.ts';
import { offsetFromWire, offsetToWire } from '../../wire/offset.ts';
import type { StateRecord } from '../ports.ts';
import type { Committed } from './group-offsets.ts';
import type { Member } from './member.ts';
import type { Place } from './place.ts';

/** A committed offset as it was found in the log. */
export interface LoadedOffset extends Committed {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

/** What was found in the log of one group. */
export interface LoadedGroup {
  /** Undefined: nobody has joined yet. */
  group: StoredGroup | undefined;
  /** By key. */
  readonly members: Map<string, StoredMember>;
  /** By `<topic>/<partition>`. */
  readonly offsets: Map<string, LoadedOffset>;
}

/** Collects the facts of consumer groups, in the order of the log. */
export class StateReader {
  readonly #groups = new Map<string, LoadedGroup>();

  /**
   * @param key `['g', group]`, `['g', group, member]` or `['o', group, topic, partition]`
   * @throws CORRUPT_LOG
   */
  take(key: readonly string[], value: Buffer | null): void {
    try {
      this.#take(key, value);
    } catch (error) {
      throw new SluiceError('CORRUPT_LOG', `the fact ${key.join('/')} cannot be read`, { cause: error });
    }
  }

  /** All groups of which something is left. */
  groups(): ReadonlyMap<string, LoadedGroup> {
    for (const [name, { group, members, offsets }] of this.#groups) {
      if (!group && members.size === 0 && offsets.size === 0) this.#groups.delete(name);
    }
    return this.#groups;
  }

  #take([kind, name, first, partition]: readonly string[], value: Buffer | null): void {
    if (name === undefined) throw new TypeError('no group is named');
    if (kind === 'g' && first === undefined && value === null) {
      this.#groups.delete(name);
      return;
    }
    const group = this.#group(name);
    if (kind === 'g' && first !== undefined) takeMember(group, first, value);
    else if (kind === 'g' && value) group.group = fromBinary(StoredGroupSchema, value);
    else if (kind === 'o' && partition !== undefined) takeOffset(group, first!, Number(partition), value);
    else throw new TypeError('a key of this kind is not known');
  }

  #group(name: string): LoadedGroup {
    let group = this.#groups.get(name);
    if (!group) {
      group = { group: undefined, members: new Map(), offsets: new Map() };
      this.#groups.set(name, group);
    }
    return group;
  }
}

/** The fact that there is a group. @param known topics that its members have taken: partitions by topic id */
export function groupRecord(
  group: string,
  generation: number,
  known: ReadonlyMap<string, number>,
): StateRecord {
  const topics = Array.from(known, ([topicId, partitions]) => ({ topicId, partitions }));
  const stored = create(StoredGroupSchema, { generation, known: topics, knowsTaken: true });
  return { key: groupKey(group), value: Buffer.from(toBinary(StoredGroupSchema, stored)) };
}

/** Key of the fact that there is a group. */
export function groupKey(group: string): string {
  return `g/${group}`;
}

/** What is remembered of a member. */
export function memberRecord(group: string, member: Member): StateRecord {
  const stored = create(StoredMemberSchema, {
    memberId: member.id,
    instanceId: member.instanceId,
    clientId: member.clientId,
    filters: [...member.filters.texts],
    sessionTimeoutMs: member.sessionTimeoutMs,
    start: startToWire(member.start),
    changedGeneration: member.changedGeneration,
    held: heldTopics(member),
    principal: member.principal,
  });
  return { key: memberKey(group, member.id), value: Buffer.from(toBinary(StoredMemberSchema, stored)) };
}

/** Key of what is remembered of a member. */
export function memberKey(group: string, memberId: string): string {
  return `g/${group}/${Buffer.from(memberId).toString('base64url')}`;
}

/** A committed offset. */
export function offsetRecord(group: string, place: Place, committed: Committed): StateRecord {
  const stored = create(StoredOffsetSchema, {
    topicId: place.topicId,
    offset: offsetToWire(committed.offset),
    metadata: committed.metadata,
    committedMs: BigInt(committed.committedMs),
  });
  return { key: offsetKey(group, place), value: Buffer.from(toBinary(StoredOffsetSchema, stored)) };
}

/** Key of a committed offset. */
export function offsetKey(group: string, { topic, partition }: Omit<Place, 'topicId'>): string {
  return `o/${group}/${topic}/${partition}`;
}

interface HeldTopicInit {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: number[];
  readonly since: number[];
  readonly revoking: number[];
}

function heldTopics({ held, revoking }: Member): HeldTopicInit[] {
  const topics = new Map<string, HeldTopicInit>();
  for (const [place, since] of [...held, ...revoking]) {
    const { topic, topicId, partition } = place;
    let entry = topics.get(topicId);
    if (!entry) topics.set(topicId, (entry = { topic, topicId, partitions: [], since: [], revoking: [] }));
    entry.partitions.push(partition);
    entry.since.push(since);
    if (revoking.has(place)) entry.revoking.push(partition);
  }
  return [...topics.values()];
}

function takeMember({ members }: LoadedGroup, key: string, value: Buffer | null): void {
  if (value) members.set(key, fromBinary(StoredMemberSchema, value));
  else members.delete(key);
}

function takeOffset({ offsets }: LoadedGroup, topic: string, partition: number, value: Buffer | null): void {
  const key = `${topic}/${partition}`;
  if (!value) {
    offsets.delete(key);
    return;
  }
  const { topicId, offset, metadata, committedMs } = fromBinary(StoredOffsetSchema, value);
  const committed = { offset: offsetFromWire(offset), metadata, committedMs: Number(committedMs) };
  offsets.set(key, { topic, topicId, partition, ...committed });
}

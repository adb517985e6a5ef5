import { offsetToWire } from '../../wire/offset.ts';
import type { GroupAnswerInit } from '../api.ts';
import type { Topics } from '../ports.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import type { GroupState } from './group-state.ts';
import type { Member } from './member.ts';
import type { Place } from './place.ts';

/** What is known of a group now. The end of a partition that cannot be asked about is 0, and so is its lag. */
export async function describeGroup(
  group: ConsumerGroup,
  topics: Topics,
  nowMs: number,
  nodeId: string,
): Promise<GroupAnswerInit<'describeGroup'>> {
  const { state } = group;
  const members = toldMembers(state);
  const holders = new Map(members.flatMap((member) => placesOf(member).map((place) => [place, member.id])));
  const places = [...state.offsets.places()].sort(inOrder);
  const answer = {
    ...{ group: state.name, state: stateOf(state), generation: group.generation, coordinatorNodeId: nodeId },
    members: members.map((member) => ({
      ...{ memberId: member.id, instanceId: member.instanceId, clientId: member.clientId },
      assigned: toWire(member.told?.places ?? []),
      revoking: toWire(member.revoking.keys()),
      idleMs: BigInt(Math.max(0, Math.trunc(nowMs - member.heardMs))),
      filters: [...member.filters.texts],
    })),
    offsets: places.map((place) => {
      const { offset = 0, metadata = '', committedMs = 0 } = state.offsets.get(place) ?? {};
      return { place, offset, metadata, committedMs, memberId: holders.get(place) ?? '' };
    }),
  };
  const ends = await endsOf(places, topics);
  return {
    ...answer,
    offsets: answer.offsets.map(({ place, offset, metadata, committedMs, memberId }) => {
      const end = ends.get(place) ?? 0;
      return {
        ...{ topic: place.topic, partition: place.partition, metadata, memberId },
        committed: offsetToWire(offset),
        committedMs: BigInt(committedMs),
        end: offsetToWire(end),
        lag: offsetToWire(Math.max(0, end - offset)),
      };
    }),
  };
}

/** A group in a list. */
export function summarizeGroup(
  { state }: ConsumerGroup,
  nodeId: string,
): NonNullable<GroupAnswerInit<'listGroups'>['groups']>[number] {
  const topics = new Set(state.places().map(({ topic }) => topic));
  return {
    ...{ group: state.name, state: stateOf(state), members: state.members.size, coordinatorNodeId: nodeId },
    topics: [...topics].sort(),
  };
}

function stateOf({ members, ownership, isDirty }: GroupState): 'empty' | 'stable' | 'rebalancing' {
  if (members.size === 0) return 'empty';
  return isDirty || ownership.isMoving ? 'rebalancing' : 'stable';
}

function toldMembers({ members }: GroupState): Member[] {
  return [...members.values()].filter(({ told }) => told);
}

function placesOf({ told, revoking }: Member): Place[] {
  return [...(told?.places ?? []), ...revoking.keys()];
}

function toWire(places: Iterable<Place>): { topic: string; partition: number }[] {
  return [...places].sort(inOrder).map(({ topic, partition }) => ({ topic, partition }));
}

function inOrder(a: Place, b: Place): number {
  if (a.topic === b.topic) return a.partition - b.partition;
  return a.topic < b.topic ? -1 : 1;
}

/** What cannot be asked about now is left out. */
async function endsOf(places: readonly Place[], topics: Topics): Promise<Map<Place, number>> {
  const ends = new Map<Place, number>();
  const ask = async (topic: string, some: readonly Place[]): Promise<void> => {
    const found = await topics.ends(
      topic,
      some.map(({ partition }) => partition),
    );
    for (const [at, place] of some.entries()) ends.set(place, found[at] ?? 0);
  };
  const askOneByOne = async (topic: string, some: readonly Place[]): Promise<void> => {
    await Promise.allSettled(some.map((place) => ask(topic, [place])));
  };
  const byTopic = Map.groupBy(places, ({ topic }) => topic);
  await Promise.all(
    Array.from(byTopic, ([topic, some]) => ask(topic, some).catch(() => askOneByOne(topic, some))),
  );
  return ends;
}

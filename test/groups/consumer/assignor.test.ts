import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Candidate, TopicPlaces } from '../../../src/groups/consumer/assignor.ts';
import { assign } from '../../../src/groups/consumer/assignor.ts';
import type { Place } from '../../../src/groups/consumer/place.ts';
import { Places } from '../../../src/groups/consumer/place.ts';

interface Named extends Candidate {
  readonly id: string;
}

type Assigned = ReadonlyMap<Place, Named>;

const places = new Places();

function candidate(id: string, topics: readonly string[]): Named {
  return { id, filterText: [...topics].sort().join(), takes: (topic) => topics.includes(topic) };
}

function topicOf(topic: string, partitions: number): TopicPlaces {
  return { topic, places: places.all({ id: topic, name: topic, partitions }) };
}

function countsOf(assigned: Assigned, candidates: readonly Named[]): number[] {
  const counts = new Map(candidates.map((one) => [one, 0]));
  for (const one of assigned.values()) counts.set(one, counts.get(one)! + 1);
  return [...counts.values()];
}

function moved(before: Assigned, after: Assigned): number {
  return [...after].filter(([place, who]) => before.get(place) !== who).length;
}

/** Whether partitions could go from hand to hand from one to another who has at least two fewer; the naive way. */
function canBeEvener(assigned: Assigned, candidates: readonly Named[]): boolean {
  const counts = new Map(candidates.map((one) => [one, 0]));
  for (const one of assigned.values()) counts.set(one, counts.get(one)! + 1);
  return candidates.some((poor) => {
    const reached = new Set([poor]);
    for (const one of reached) {
      for (const [place, holder] of assigned) if (one.takes(place.topic)) reached.add(holder);
    }
    return [...reached].some((rich) => counts.get(rich)! >= counts.get(poor)! + 2);
  });
}

const TOPICS = ['a', 'b', 'c', 'd'];

const filters = fc.subarray(TOPICS, { minLength: 0 });
const groupOf = (maxMembers: number): fc.Arbitrary<Named[]> =>
  fc.array(filters, { maxLength: maxMembers }).map((all) => all.map((each, at) => candidate(`m${at}`, each)));
const topicsOf = (maxPartitions: number): fc.Arbitrary<TopicPlaces[]> =>
  fc
    .tuple(...TOPICS.map(() => fc.nat(maxPartitions)))
    .map((counts) => counts.map((count, at) => topicOf(TOPICS[at]!, count)));

describe('the assignor', () => {
  it('gives each partition that somebody takes to one who takes it', () => {
    fc.assert(
      fc.property(groupOf(8), topicsOf(12), (group, topics) => {
        const assigned = assign(group, topics, new Map<Place, Named>());
        for (const { topic, places: all } of topics) {
          for (const place of all) {
            const who = assigned.get(place);
            expect(who ? who.takes(topic) : !group.some((one) => one.takes(topic))).toBe(true);
          }
        }
      }),
    );
  });

  it('is as even as filters allow, whatever was before', () => {
    fc.assert(
      fc.property(
        groupOf(8),
        topicsOf(12),
        fc.array(fc.nat(), { minLength: 48, maxLength: 48 }),
        (group, topics, picks) => {
          const before = new Map<Place, Named>();
          for (const [at, place] of topics.flatMap((topic) => topic.places).entries()) {
            const who = group[picks[at]! % (group.length + 1)];
            if (who) before.set(place, who);
          }
          expect(canBeEvener(assign(group, topics, before), group)).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('changes nothing where nothing has changed', () => {
    fc.assert(
      fc.property(groupOf(8), topicsOf(12), (group, topics) => {
        const before = assign(group, topics, new Map<Place, Named>());
        expect(moved(before, assign(group, topics, before))).toBe(0);
      }),
    );
  });

  it('moves no more than evenness needs among members with equal filters', () => {
    const who = fc.record({ before: fc.nat(8), stay: fc.nat(8), come: fc.nat(8), partitions: fc.nat(60) });
    fc.assert(
      fc.property(who, ({ before, stay, come, partitions }) => {
        const old = Array.from({ length: before }, (_, at) => candidate(`m${at}`, ['a']));
        const fresh = Array.from({ length: come }, (_, at) => candidate(`n${at}`, ['a']));
        const topics = [topicOf('a', partitions)];
        const first = assign(old, topics, new Map<Place, Named>());
        const group = [...old.slice(0, stay), ...fresh];
        const second = assign(group, topics, first);
        const counts = countsOf(second, group);
        if (group.length > 0) expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        // Those who stay keep what they have up to their share: the greater shares go to those who had most.
        const shares = counts.toSorted((a, b) => b - a);
        const had = group
          .map((one) => [...first.values()].filter((holder) => holder === one).length)
          .sort((a, b) => b - a);
        const kept = had.reduce((sum, count, at) => sum + Math.min(count, shares[at]!), 0);
        expect(moved(first, second)).toBe(second.size - kept);
      }),
      { numRuns: 300 },
    );
  });

  it('passes partitions on over one who takes both topics', () => {
    const [first, middle, last] = [candidate('1', ['a']), candidate('2', ['a', 'b']), candidate('3', ['b'])];
    const topics = [topicOf('a', 4), topicOf('b', 2)];
    const before = new Map(topics[0]!.places.map((place) => [place, first]));
    for (const place of topics[1]!.places) before.set(place, middle);
    expect(countsOf(assign([first, middle, last], topics, before), [first, middle, last])).toEqual([2, 2, 2]);
  });

  it('divides 65,536 partitions among 10,000 members in the time of a turn or two', () => {
    const topics = Array.from({ length: 1024 }, (_, at) => topicOf(`t${at}`, 64));
    const all = topics.map(({ topic }) => topic);
    const group = Array.from({ length: 10_000 }, (_, at) => candidate(`m${at}`, all));
    const before = assign(group.slice(0, 5000), topics, new Map<Place, Named>());
    const after = assign(group, topics, before);
    const counts = countsOf(after, group);
    expect([Math.min(...counts), Math.max(...counts)]).toEqual([6, 7]);
  });
});

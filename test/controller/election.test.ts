import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ElectionView } from '../../src/controller/election.ts';
import { elect, preferred } from '../../src/controller/election.ts';
import type { PartitionState } from '../../src/coordination/cluster.ts';
import { contradictionIn } from '../../src/coordination/cluster.ts';

const NODES = ['a', 'b', 'c', 'd'];

interface Situation {
  readonly live?: string;
  readonly draining?: string;
  readonly lost?: string;
  readonly refused?: string;
  readonly expelled?: string;
  readonly minInsync?: number;
  readonly unclean?: boolean;
}

/** Each node is a letter. */
function view({
  live = 'abc',
  draining = '',
  lost = '',
  refused = '',
  expelled = '',
  minInsync = 1,
  unclean,
}: Situation): ElectionView {
  return {
    isLive: (id) => live.includes(id),
    isDraining: (id) => live.includes(id) && draining.includes(id),
    hasLostData: (id) => lost.includes(id),
    hasRefused: (id) => refused.includes(id),
    mayExpel: (id) => !expelled.includes(id),
    minInsync,
    allowsUnclean: unclean === true,
  };
}

function state(leader: string | null, isr = 'abc', replicas = 'abc'): PartitionState {
  return { replicas: Array.from(replicas), leader, leaderEpoch: 7, isr: Array.from(isr) };
}

/** Leader, in-sync replicas and kind after an election. */
function outcome(before: PartitionState, situation: Situation): string {
  const { kind, state: after } = elect(before, view(situation));
  return `${after.leader ?? '-'} ${after.isr.join('')} ${kind}`;
}

describe('an election', () => {
  it.each<[string, PartitionState, Situation, string]>([
    ['leaves alone what is well', state('b'), {}, 'b abc unchanged'],
    ['names the first in-sync replica that is there', state('a'), { live: 'bc' }, 'b bc elected'],
    ['names none that is not in sync', state('a', 'ac'), { live: 'bc' }, 'c c elected'],
    ['names one where there was none', state(null, 'bc'), {}, 'b bc elected'],
    ['takes out of sync who is gone', state('a'), { live: 'ab' }, 'a ab expelled'],
    [
      'keeps in sync whom the leader took in again',
      state('a'),
      { live: 'ab', expelled: 'c' },
      'a abc unchanged',
    ],
    ['keeps enough in sync', state('a'), { live: 'a', minInsync: 2 }, 'a ab expelled'],
    [
      'keeps those in sync who are gone when there are no more than have to be',
      state('a', 'ab'),
      { live: 'b', minInsync: 2 },
      'b ab elected',
    ],
    [
      'names none that has lost what it had where another stays',
      state(null, 'ab'),
      { live: 'ab', lost: 'a', minInsync: 2 },
      'b ab elected',
    ],
    ['names nobody when all are gone, who stay in sync', state('a', 'ab'), { live: 'c' }, '- ab leaderless'],
    ['waits for one of those who were in sync', state(null, 'ab'), { live: 'c' }, '- ab unchanged'],
    ['takes leadership from who drains', state('a'), { draining: 'a' }, 'b abc handed over'],
    ['gives it to one that does not', state('a'), { draining: 'ab' }, 'c abc handed over'],
    ['gives it to none that is not in sync', state('a', 'a'), { draining: 'a' }, 'a a unchanged'],
    ['leaves it when all drain', state('a'), { draining: 'abc' }, 'a abc unchanged'],
    [
      'lets one lead that drains rather than nobody',
      state('a', 'ab'),
      { live: 'bc', draining: 'b' },
      'b b elected',
    ],
    ['takes out of sync who has lost what it had', state('a'), { lost: 'a' }, 'b bc elected'],
    [
      'keeps who has lost what it had rather than nobody',
      state('a', 'ab'),
      { live: 'a', lost: 'a' },
      'a ab unchanged',
    ],
    ['keeps all when all have lost what they had', state(null), { lost: 'abc' }, 'a abc elected'],
    ['does not name again at once who gave it back', state(null), { refused: 'a' }, 'b abc elected'],
    ['waits when that is the only one', state(null, 'a'), { refused: 'a', unclean: true }, '- a unchanged'],
    [
      'names one not in sync where that is allowed',
      state('a', 'a'),
      { live: 'bc', unclean: true },
      'b b unclean',
    ],
    [
      'names one in sync all the same if it can',
      state('a', 'ac'),
      { live: 'bc', unclean: true },
      'c c elected',
    ],
    ['needs somebody who is there', state('a', 'a'), { live: '', unclean: true }, '- a leaderless'],
    ['replaces a leader that is not in sync', state('a', 'bc'), {}, 'b bc elected'],
  ])('%s', (_, before, situation, expected) => {
    expect(outcome(before, situation)).toBe(expected);
  });

  it('begins an epoch with each leader and with nothing else', () => {
    expect(elect(state('a'), view({ live: 'bc' })).state.leaderEpoch).toBe(8);
    expect(elect(state('a'), view({ live: 'ab' })).state.leaderEpoch).toBe(7);
    expect(elect(state('a'), view({ live: '' })).state.leaderEpoch).toBe(7);
  });

  const nodes = fc.subarray(NODES).map((ids) => ids.join(''));
  const anywhere = fc
    .record({
      replicas: fc.shuffledSubarray(NODES, { minLength: 1 }),
      isr: fc.subarray(NODES),
      at: fc.nat(4),
    })
    .map(({ replicas, isr, at }): PartitionState => {
      const inSync = replicas.filter((id) => isr.includes(id));
      return {
        replicas,
        leader: replicas[at] ?? null,
        leaderEpoch: 7,
        isr: inSync.length > 0 ? inSync : [replicas[0]!],
      };
    });
  const situations = fc.record({
    ...{ live: nodes, draining: nodes, lost: nodes, refused: nodes, expelled: nodes },
    minInsync: fc.integer({ min: 1, max: 3 }),
    unclean: fc.boolean(),
  });

  it('leaves a state that can be, somebody in sync, and a leader that is there and in sync', () => {
    fc.assert(
      fc.property(anywhere, situations, (before, situation) => {
        const { state: after, kind } = elect(before, view(situation));
        expect(contradictionIn(after)).toBeUndefined();
        expect(after.isr.length).toBeGreaterThan(0);
        expect(after.replicas).toEqual(before.replicas);
        if (kind !== 'unclean') expect(after.isr.every((id) => before.isr.includes(id))).toBe(true);
        if (after.leader !== null) expect(after.isr.includes(after.leader)).toBe(true);
        if (after.leader !== null) expect(situation.live).toContain(after.leader);
        expect(kind === 'unchanged').toBe(JSON.stringify(after) === JSON.stringify(before));
      }),
      { numRuns: 2000 },
    );
  });

  it('changes nothing when it is held again', () => {
    fc.assert(
      fc.property(anywhere, situations, (before, situation) => {
        const { state: after } = elect(before, view(situation));
        expect(elect(after, view(situation)).kind).toBe('unchanged');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the preferred leader', () => {
  it.each<[string, PartitionState, Situation, string | undefined]>([
    ['leads again', state('b'), {}, 'a'],
    ['is left alone when it leads', state('a'), {}, undefined],
    ['does not lead out of sync', state('b', 'bc'), {}, undefined],
    ['does not lead when it is gone', state('b'), { live: 'bc' }, undefined],
    ['does not lead when it drains', state('b'), { draining: 'a' }, undefined],
    ['does not lead when it has just given it back', state('b'), { refused: 'a' }, undefined],
    ['does not lead when it has lost what it had', state('b'), { lost: 'a' }, undefined],
    ['is not elected where nobody leads', state(null), {}, undefined],
  ])('%s', (_, before, situation, leader) => {
    expect(preferred(before, view(situation))?.leader).toBe(leader);
  });
});

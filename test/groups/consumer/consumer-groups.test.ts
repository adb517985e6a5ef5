import { create } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CommitOffsetsRequestSchema } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { GroupState } from '../../../src/groups/consumer/group-state.ts';
import { groupRecord } from '../../../src/groups/consumer/stored-state.ts';
import { ERRORS } from '../../../src/kernel/errors.ts';
import type { Joined, Question } from './stage.ts';
import { START, Stage, codeOf, isSettled, placeOf } from './stage.ts';

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
  stage.topics.make('t', 4, 100);
});

const places = ({ assigned }: Joined): string[] => [...assigned.keys()].sort();

/** Joins, and asks until it has what it can have without anybody giving up something. */
async function joined(memberId: string, question: Question = {}): Promise<Joined> {
  const first = await stage.join(memberId, question);
  await stage.pass();
  const next = stage.join(memberId, { ...question, generation: first.generation });
  await stage.pass(1);
  return next;
}

/** Asks, and lets the time pass that the answer may take. */
async function next(memberId: string, before: Joined, question: Question = {}): Promise<Joined> {
  const answer = stage.again(memberId, before, question);
  await stage.pass(1);
  return answer;
}

describe('joining', () => {
  it('gives the only member everything', async () => {
    expect(places(await joined('a'))).toEqual(['t/0', 't/1', 't/2', 't/3']);
  });

  it('takes partitions from others only when they have given them up', async () => {
    const a = await joined('a');
    const b = await joined('b');
    expect(places(b)).toEqual([]);
    const fewer = await next('a', a);
    expect(places(fewer)).toHaveLength(2);
    expect(places(await next('b', b))).toEqual([]);
    await next('a', fewer);
    const all = [...places(fewer), ...places(await next('b', b))];
    expect(all.sort()).toEqual(['t/0', 't/1', 't/2', 't/3']);
  });

  it('does not believe what a member gives up before it has seen what was taken', async () => {
    const a = await joined('a');
    const b = await joined('b');
    // It says that it reads nothing, but it has only not begun yet.
    const stale = stage.join('a', { generation: a.generation, owned: [] });
    await stage.pass(1);
    await stale;
    expect(places(await next('b', b))).toEqual([]);
  });

  it('holds a request until the assignment changes', async () => {
    const a = await joined('a');
    const waiting = stage.again('a', a, { maxWaitMs: 3000 });
    await stage.pass(1000);
    expect(await isSettled(waiting)).toBe(false);
    await stage.join('b');
    expect(places(await waiting)).toHaveLength(2);
  });

  it('answers after the longest wait, which is a third of the session timeout', async () => {
    const a = await joined('a');
    const waiting = stage.again('a', a, { maxWaitMs: 60_000 });
    await stage.pass(3333);
    expect(await isSettled(waiting)).toBe(false);
    await stage.pass(2);
    expect((await waiting).generation).toBe(a.generation);
  });

  it('gives up a request when the asker goes, or the member asks again', async () => {
    const a = await joined('a');
    const gone = new AbortController();
    const question = { generation: a.generation, maxWaitMs: 3000 };
    const first = codeOf(stage.join('a', question, gone.signal));
    await stage.pass();
    gone.abort();
    expect(await first).toBe('CANCELLED');
    expect(await codeOf(stage.join('a', question, gone.signal))).toBe('CANCELLED');
    const second = codeOf(stage.join('a', question));
    await stage.pass();
    void codeOf(stage.join('a', question));
    expect(await second).toBe('CANCELLED');
  });

  it('tells nothing that is not stored', async () => {
    stage.log.isHeld = true;
    const first = stage.join('a');
    await stage.pass(60_000);
    expect(await isSettled(first)).toBe(false);
    stage.log.release();
    const begun = await first;
    await stage.pass(1);
    expect(places(await next('a', begun))).toEqual([]);
    stage.log.release();
    expect(places(await next('a', begun))).toHaveLength(4);
  });

  it('refuses who is no member, has no valid name or takes keys', async () => {
    expect(await codeOf(stage.join('a', { generation: 1 }))).toBe('UNKNOWN_MEMBER');
    expect(await codeOf(stage.join('a', { group: 'a/b' }))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(stage.join(''))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(stage.join('é'.repeat(65)))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(stage.join('a', { sessionTimeoutMs: 999 }))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(stage.join('a', { filters: ['t/key'] }))).toBe('INVALID_FILTER');
    expect(await codeOf(stage.join('a', { filters: ['__groups'] }))).toBe('INVALID_FILTER');
    const start = { at: { case: 'lastPerKey', value: true } } as const;
    expect(await codeOf(stage.join('a', { start }))).toBe('INVALID_ARGUMENT');
    await joined('a');
    expect(await codeOf(stage.join('b', { generation: 1 }))).toBe('UNKNOWN_MEMBER');
    expect(await codeOf(stage.join('a', { generation: 1000 }))).toBe('UNKNOWN_MEMBER');
  });

  it('makes the topics that are named, or says that there are none', async () => {
    expect(places(await joined('a', { filters: ['new'] }))).toEqual(['new/0']);
    stage.topics.isMaking = false;
    expect(await codeOf(stage.join('b', { filters: ['other'] }))).toBe('TOPIC_NOT_FOUND');
  });

  it('keeps what a member has when its wildcard takes more', async () => {
    const a = await joined('a', { filters: ['t', 'x*'] });
    stage.topics.make('xy', 2);
    await stage.pass();
    stage.topics.make('other', 2);
    await stage.pass();
    const more = await next('a', a);
    expect(places(more)).toEqual(['t/0', 't/1', 't/2', 't/3', 'xy/0', 'xy/1']);
  });
});

describe('a member that is gone', () => {
  it('is out after its session timeout, and others have what it had', async () => {
    await joined('a', { sessionTimeoutMs: 2000 });
    const b = await joined('b');
    await stage.pass(1990);
    expect(places(await next('b', b))).toEqual([]);
    await stage.pass(20);
    expect(places(await next('b', b))).toHaveLength(4);
    expect(await codeOf(stage.join('a', { generation: 1 }))).toBe('UNKNOWN_MEMBER');
  });

  it('leaves, and others have what it had', async () => {
    await joined('a');
    const b = await joined('b');
    await stage.leave('a');
    await stage.pass();
    expect(places(await next('b', b))).toHaveLength(4);
    // A second time it is no error: the answer may have been lost.
    await stage.leave('a');
  });

  it('stays while the process was stopped, and nobody could be heard', async () => {
    const short = { sessionTimeoutMs: 2000 };
    const a = await joined('a', short);
    stage.clock.stop(5000);
    await stage.pass(900);
    expect(places(await next('a', a, short))).toHaveLength(4);
    stage.clock.stop(5000);
    await stage.pass(2100);
    expect(await codeOf(stage.join('a', { generation: a.generation }))).toBe('UNKNOWN_MEMBER');
  });
});

describe('a static member', () => {
  const instance = { instanceId: 'one', filters: ['t'] };

  it('comes back under another member id, and nothing moves', async () => {
    const a = await joined('a', instance);
    const b = await joined('b');
    const fewer = await next('a', a);
    await next('a', fewer);
    const b2 = await next('b', b);
    await stage.leave('a', true);
    const back = await joined('a2', instance);
    expect(places(back)).toEqual(places(fewer));
    expect(places(await next('b', b2))).toEqual(places(b2));
    // The one before is fenced.
    expect(await codeOf(stage.join('a', { generation: fewer.generation }))).toBe('UNKNOWN_MEMBER');
    expect(await codeOf(stage.commit('a', fewer.generation, places(fewer)[0]!, 7))).toBe('UNKNOWN_MEMBER');
  });

  it('has what it had, and not only as much, when all restart at once', async () => {
    stage.topics.grow('t', 8);
    const other = { instanceId: 'two' };
    const a = await joined('a', instance);
    const b = await joined('b', other);
    const mine = await next('a', a);
    await next('a', mine);
    const theirs = await next('b', b);
    const [back] = await Promise.all([joined('a2', instance), joined('b2', other)]);
    expect(places(back)).toEqual(places(mine));
    expect(theirs.assigned.size).toBe(4);
  });

  it('loses what it has when it does not come back in time', async () => {
    await joined('a', instance);
    const b = await joined('b', { sessionTimeoutMs: 60_000 });
    await stage.leave('a', true);
    await stage.pass(9900);
    expect(places(await next('b', b))).toEqual([]);
    await stage.pass(200);
    expect(places(await next('b', b))).toHaveLength(4);
  });
});

describe('committed offsets', () => {
  it('are told only once they are stored', async () => {
    const a = await joined('a');
    stage.log.isHeld = true;
    const commit = stage.commit('a', a.generation, 't/2', 42);
    await stage.pass();
    expect(await stage.committed()).toMatchObject({ 't/2': 0 });
    expect(await isSettled(commit)).toBe(false);
    stage.log.release();
    await commit;
    expect(await stage.committed()).toMatchObject({ 't/2': 42 });
  });

  it('are where a partition goes on', async () => {
    const a = await joined('a');
    expect(a.assigned.get('t/2')).toBe(0);
    expect(await stage.commit('a', a.generation, 't/2', 42)).toBe(0);
    await stage.leave('a');
    expect((await joined('b')).assigned.get('t/2')).toBe(42);
  });

  it('are stored where a member begins, so that nothing is left out when it fails before its first commit', async () => {
    const a = await joined('a', { start: START.latest });
    expect(a.assigned.get('t/0')).toBe(100);
    stage.topics.write('t', 0, 200);
    await stage.leave('a');
    expect((await joined('b', { start: START.latest })).assigned.get('t/0')).toBe(100);
  });

  it('are stored once where one request names a partition again and again: its last word counts', async () => {
    const offsets = [5, 9, 7].map((offset) => ({ topic: 't', partition: 2, offset: BigInt(offset) }));
    const question = create(CommitOffsetsRequestSchema, { group: 'g', offsets });
    const { results = [] } = await stage.groups.ask('commitOffsets', question);
    expect(results.map(({ errorCode = 0 }) => errorCode)).toEqual([0, 0, 0]);
    expect(await stage.committed()).toEqual({ 't/2': 7 });
    expect(stage.state.stored.map(({ key }) => key)).toEqual(['o/g/t/2']);
  });

  it('are refused from who does not have the partition in its generation', async () => {
    const stale = ERRORS.STALE_GENERATION.wire;
    const a = await joined('a');
    const b = await joined('b');
    const fewer = await next('a', a);
    const [mine, taken] = [places(fewer)[0]!, places(a).find((place) => !fewer.assigned.has(place))!];
    // While it gives it up it may say how far it has come.
    expect(await stage.commit('a', fewer.generation, taken, 5)).toBe(0);
    expect(await stage.commit('b', b.generation, taken, 5)).toBe(stale);
    await next('a', fewer);
    expect(await stage.commit('a', fewer.generation, taken, 6)).toBe(stale);
    expect(await stage.commit('b', b.generation, taken, 6)).toBe(stale);
    const b2 = await next('b', b);
    expect(b2.assigned.get(taken)).toBe(5);
    expect(await stage.commit('b', b2.generation, taken, 7)).toBe(0);
    expect(await stage.commit('b', b2.generation + 100, taken, 8)).toBe(stale);
    // What was not moved goes on under the old generation.
    expect(await stage.commit('a', a.generation, mine, 9)).toBe(0);
    expect(await stage.committed()).toMatchObject({ [taken]: 7, [mine]: 9 });
  });

  it('are refused for what is not there', async () => {
    const { generation } = await joined('a');
    expect(await stage.commit('a', generation, 'u/0', 1)).toBe(ERRORS.TOPIC_NOT_FOUND.wire);
    expect(await stage.commit('a', generation, 't/4', 1)).toBe(ERRORS.PARTITION_NOT_FOUND.wire);
    expect(await codeOf(stage.commit('b', generation, 't/0', 1))).toBe('UNKNOWN_MEMBER');
  });

  it('can be set by nobody of the group only while it has no members', async () => {
    expect(await stage.commit('', 0, 't/1', 17)).toBe(0);
    const a = await joined('a');
    expect(a.assigned.get('t/1')).toBe(17);
    expect(await codeOf(stage.commit('', 0, 't/1', 18))).toBe('GROUP_NOT_EMPTY');
    expect(await codeOf(stage.reset({ group: 'g', topic: 't', to: START.latest }))).toBe('GROUP_NOT_EMPTY');
    expect(await codeOf(stage.delete())).toBe('GROUP_NOT_EMPTY');
    await stage.leave('a');
    await stage.reset({ group: 'g', topic: 't', partitions: [1, 2], to: START.latest });
    expect(await stage.committed()).toEqual({ 't/0': 0, 't/1': 100, 't/2': 100, 't/3': 0 });
  });

  it('keeps the first commit of a group, also next to one that is refused', async () => {
    const codes = await Promise.all([stage.commit('', 0, 'u/0', 1), stage.commit('', 0, 't/1', 17)]);
    expect(codes).toEqual([ERRORS.TOPIC_NOT_FOUND.wire, 0]);
    expect(await stage.committed()).toEqual({ 't/1': 17 });
  });

  it('stay where they are set while a member comes for whose predecessor a beginning was looked for', async () => {
    stage.topics.unreachable = 1;
    stage.log.isHeld = true;
    void codeOf(stage.join('a'));
    await stage.pass();
    const left = stage.leave('a');
    stage.topics.unreachable = undefined;
    await stage.pass(200);
    const commit = stage.commit('', 0, 't/1', 17);
    void stage.join('b');
    await stage.pass();
    stage.log.release(1);
    await stage.pass();
    stage.log.resume();
    await left;
    expect(await commit).toBe(0);
    await stage.pass(200);
    expect(await stage.committed()).toMatchObject({ 't/1': 17 });
    stage.lead();
    expect(await stage.committed()).toMatchObject({ 't/1': 17 });
  });

  it('that come to nothing leave the group alone that was made meanwhile', async () => {
    stage.log.isHeld = true;
    const commit = stage.commit('', 0, 't/1', 17);
    await stage.pass();
    const deleted = stage.delete();
    await stage.pass();
    const joining = stage.join('a');
    await stage.pass();
    stage.log.resume();
    await Promise.all([commit, deleted]);
    expect(places(await next('a', await joining))).toHaveLength(4);
  });

  it('takes no more groups than fit', async () => {
    await stage.log.append(Array.from({ length: 10_000 }, (_, at) => groupRecord(`g${at}`, 1, new Map())));
    stage.lead();
    expect(await codeOf(stage.commit('', 0, 't/1', 17))).toBe('OVERLOADED');
    expect(await codeOf(stage.join('a'))).toBe('OVERLOADED');
    await stage.delete('g0');
    expect(await codeOf(stage.join('a'))).toBeUndefined();
  });

  it('of a group that nobody made are not kept when none was valid', async () => {
    await stage.commit('', 0, 'u/0', 1);
    expect(await codeOf(stage.describe())).toBe('GROUP_NOT_FOUND');
  });

  it('are forgotten with their group', async () => {
    const a = await joined('a');
    await stage.commit('a', a.generation, 't/0', 5);
    await stage.leave('a');
    await stage.delete();
    expect(await codeOf(stage.describe())).toBe('GROUP_NOT_FOUND');
    stage.lead();
    expect(await codeOf(stage.describe())).toBe('GROUP_NOT_FOUND');
    expect((await joined('a')).assigned.get('t/0')).toBe(0);
  });

  it('wait for a partition that cannot be reached, and the others do not', async () => {
    stage.topics.unreachable = 2;
    const first = await stage.join('a');
    await stage.pass(50);
    const before = await next('a', first);
    expect(places(before)).toEqual(['t/0', 't/1', 't/3']);
    stage.topics.unreachable = undefined;
    await stage.pass(5000);
    expect(places(await next('a', before))).toHaveLength(4);
  });
});

describe('a start that is the end', () => {
  it('is the beginning of partitions that are added later', async () => {
    const a = await joined('a', { start: START.latest });
    stage.topics.grow('t', 5);
    stage.topics.write('t', 4, 10);
    await stage.pass();
    expect((await next('a', a)).assigned.get('t/4')).toBe(0);
  });

  it('is the beginning of topics that are made while a wildcard waits for them', async () => {
    const a = await joined('a', { start: START.latest, filters: ['*'] });
    stage.topics.make('new', 1, 10);
    await stage.pass();
    expect((await next('a', a)).assigned.get('new/0')).toBe(0);
  });

  it('is the end for a topic that was there before', async () => {
    stage.topics.make('old', 1, 10);
    const a = await joined('a', { start: START.latest });
    stage.topics.grow('old', 2);
    await stage.pass();
    const more = stage.join('a', { start: START.latest, filters: ['t', 'old'], generation: a.generation });
    await stage.pass(1);
    await more;
    await stage.pass();
    expect((await next('a', a)).assigned.get('old/0')).toBe(10);
  });

  it('is the beginning of a topic that is made again, once its readers have given up the one before', async () => {
    const a = await joined('a', { start: START.latest });
    stage.topics.delete('t');
    stage.topics.make('t', 1, 10);
    await stage.pass();
    const none = await next('a', a, { start: START.latest });
    expect(places(none)).toEqual([]);
    expect([...(await next('a', none, { start: START.latest })).assigned]).toEqual([['t/0', 0]]);
  });

  it('is taken where an offset is beyond the end', async () => {
    const a = await joined('a', { start: { at: { case: 'offset', value: 101n } } });
    expect(a.assigned.size).toBe(0);
    await stage.pass(200);
    expect((await next('a', a)).assigned.get('t/0')).toBe(100);
  });
});

describe('a topic that is deleted', () => {
  it('is taken from its readers, with its offsets', async () => {
    stage.topics.make('u', 1);
    const a = await joined('a', { filters: ['t', 'u'] });
    stage.topics.delete('t');
    await stage.pass();
    expect(places(await next('a', a))).toEqual(['u/0']);
    expect(await stage.committed()).toEqual({ 'u/0': 0 });
  });

  it('and made again is another', async () => {
    const a = await joined('a');
    await stage.commit('a', a.generation, 't/0', 50);
    stage.topics.delete('t');
    stage.topics.make('t', 1, 0);
    await stage.pass();
    expect(await stage.commit('a', a.generation, 't/0', 60)).toBe(ERRORS.STALE_GENERATION.wire);
    const none = await next('a', a);
    const other = await next('a', none);
    expect([...other.assigned]).toEqual([['t/0', 0]]);
    expect(await stage.commit('a', other.generation, 't/0', 1)).toBe(0);
  });

  it('and made again while its readers do not ask is theirs only when they have stopped reading the one before', async () => {
    const a = await joined('a');
    stage.topics.delete('t');
    stage.topics.make('t', 1, 0);
    await stage.pass(1000);
    const none = await next('a', a);
    expect(places(none)).toEqual([]);
    await stage.pass(1000);
    expect(places(await next('a', none, { owned: [placeOf('t/0')] }))).toEqual([]);
    stage.lead();
    await stage.pass(1000);
    expect(places(await next('a', none, { owned: [placeOf('t/0')] }))).toEqual([]);
    expect((await stage.describe()).offsets).toEqual([]);
    expect([...(await next('a', none)).assigned]).toEqual([['t/0', 0]]);
  });

  it('does not come back through a commit that is being stored', async () => {
    const a = await joined('a');
    stage.log.isHeld = true;
    const commit = stage.commit('a', a.generation, 't/0', 50);
    await stage.pass();
    stage.topics.delete('t');
    stage.log.resume();
    await commit;
    expect(await stage.committed()).toEqual({});
    stage.lead();
    expect(await stage.committed()).toEqual({});
  });
});

describe('what is told of groups', () => {
  it('is members, what they have and how far they are', async () => {
    const before = await joined('a', { clientId: 'worker' });
    const b = await joined('b', { instanceId: 'two' });
    const moving = await stage.describe();
    expect(moving).toMatchObject({ state: 'rebalancing', coordinatorNodeId: 'node-1' });
    expect(moving.members?.[0]).toMatchObject({ memberId: 'a', clientId: 'worker', filters: ['t'] });
    expect(moving.members?.[0]?.revoking).toHaveLength(2);
    const a = await next('a', before);
    await next('a', a);
    await next('b', b);
    await stage.commit('a', a.generation, places(a)[0]!, 30);
    await stage.pass(500);
    const { offsets = [], members = [], ...stable } = await stage.describe();
    expect(stable).toMatchObject({ state: 'stable', group: 'g' });
    expect(members.map(({ assigned }) => assigned?.length)).toEqual([2, 2]);
    expect(members[1]).toMatchObject({ instanceId: 'two', revoking: [] });
    expect(members[1]?.idleMs).toBeGreaterThanOrEqual(500n);
    const { topic, partition } = placeOf(places(a)[0]!);
    const mine = offsets.find((offset) => offset.topic === topic && offset.partition === partition);
    expect(mine).toMatchObject({ committed: 30n, end: 100n, lag: 70n, memberId: 'a', metadata: 'mine' });
  });

  it('lacks only the ends of partitions that cannot be reached', async () => {
    await joined('a');
    stage.topics.unreachable = 1;
    const { offsets = [] } = await stage.describe();
    expect(offsets.map(({ end, lag }) => [end, lag])).toEqual([
      [100n, 100n],
      [0n, 0n],
      [100n, 100n],
      [100n, 100n],
    ]);
  });

  it('is a list', async () => {
    await joined('a');
    await joined('a', { group: 'h' });
    const { groups = [] } = await stage.list();
    expect(groups).toMatchObject([
      { group: 'g', state: 'stable', members: 1, topics: ['t'], coordinatorNodeId: 'node-1' },
      { group: 'h' },
    ]);
    expect(stage.groups.counts()).toMatchObject({ groups: 2, members: 2, offsets: 8 });
  });
});

describe('a coordinator', () => {
  it('begins anew with what is stored when a change went wrong half-way', async () => {
    vi.spyOn(GroupState.prototype, 'plan').mockImplementationOnce(() => {
      throw new TypeError('a defect');
    });
    void stage.join('a').catch(() => undefined);
    await stage.pass();
    expect(stage.failures).toMatchObject([{ message: 'a defect' }]);
  });

  it('says that it has failed when it cannot store, and then stores nothing more', async () => {
    const a = await joined('a');
    stage.log.isHeld = true;
    const first = codeOf(stage.commit('a', a.generation, 't/0', 1));
    const second = codeOf(stage.commit('a', a.generation, 't/1', 1));
    await stage.pass();
    stage.log.fail(false);
    expect([await first, await second]).toEqual(['NOT_LEADER', 'NOT_LEADER']);
    expect(stage.failures).toHaveLength(1);
    expect(await codeOf(stage.commit('a', a.generation, 't/0', 1))).toBe('NOT_LEADER');
  });

  it('tells all who wait that it leads no more when it ends, and leaves nothing behind', async () => {
    const a = await joined('a');
    stage.log.isHeld = true;
    const waiting = [
      stage.again('a', a, { maxWaitMs: 3000 }),
      stage.join('b'),
      stage.commit('a', a.generation, 't/0', 1),
      stage.leave('a'),
    ].map(codeOf);
    await stage.pass();
    stage.groups.close();
    stage.groups.close();
    // Its own leaving ended the first.
    expect(await Promise.all(waiting)).toEqual(['UNKNOWN_MEMBER', 'NOT_LEADER', 'NOT_LEADER', 'NOT_LEADER']);
    expect(await codeOf(stage.describe())).toBe('NOT_LEADER');
    expect([stage.clock.pendingTimers, stage.topics.watchers]).toEqual([0, 0]);
  });
});

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, it } from 'vitest';
import { StoredGroupSchema } from '../../../src/gen/sluice/groups/v1/consumer_state_pb.ts';
import { StateReader } from '../../../src/groups/consumer/stored-state.ts';
import { ERRORS } from '../../../src/kernel/errors.ts';
import type { Joined, Question } from './stage.ts';
import { START, Stage, codeOf, isSettled } from './stage.ts';

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
  stage.topics.make('t', 6, 100);
});

/** Asks as often as it takes until the member has what it can have. */
async function ask(memberId: string, before?: Joined, question: Question = {}): Promise<Joined> {
  let last = before ?? (await stage.join(memberId, question));
  for (let round = 0; round < 3; round++) {
    const answer = stage.again(memberId, last, question);
    await stage.pass(1);
    last = await answer;
  }
  return last;
}

const places = ({ assigned }: Joined): string[] => [...assigned.keys()].sort();

describe('another coordinator', () => {
  it('moves nothing, and goes on in the same generation', async () => {
    const alone = await ask('a');
    await stage.join('b');
    await stage.join('c');
    const a = await ask('a', alone);
    const [b, c] = [await ask('b'), await ask('c')];
    expect([a, b, c].map(({ assigned }) => assigned.size)).toEqual([2, 2, 2]);
    const { generation } = await stage.describe();
    stage.lead();
    const waiting = stage.again('a', a, { maxWaitMs: 3000 });
    await stage.pass(2999);
    expect(await isSettled(waiting)).toBe(false);
    await stage.pass(1);
    expect(places(await waiting)).toEqual(places(a));
    expect(places(await ask('b', b))).toEqual(places(b));
    expect(places(await ask('c', c))).toEqual(places(c));
    expect((await stage.describe()).generation).toBe(generation);
    expect(await stage.commit('a', a.generation, places(a)[0]!, 9)).toBe(0);
    expect(await stage.commit('a', a.generation, places(b)[0]!, 9)).toBe(ERRORS.STALE_GENERATION.wire);
  });

  it('gives nobody what a member has not given up', async () => {
    const alone = await ask('a');
    const b = await stage.join('b');
    const fewer = stage.again('a', alone);
    await stage.pass(1);
    const mine = await fewer;
    expect(mine.assigned.size).toBe(3);
    stage.lead();
    expect((await ask('b', b)).assigned.size).toBe(0);
    await ask('a', mine);
    const theirs = await ask('b', b);
    expect([...places(mine), ...places(theirs)].sort()).toEqual(places(alone));
  });

  it('gives members the whole session timeout anew', async () => {
    const a = await ask('a', undefined, { sessionTimeoutMs: 3000 });
    await stage.pass(2900);
    stage.lead();
    await stage.pass(2900);
    expect(places(await ask('a', a, { sessionTimeoutMs: 3000 }))).toEqual(places(a));
    stage.lead();
    await stage.pass(3000);
    expect(await codeOf(stage.join('a', { generation: a.generation }))).toBe('UNKNOWN_MEMBER');
  });

  it('knows static members, and all that a member said', async () => {
    const question = { instanceId: 'one', clientId: 'worker', filters: ['t', 'u*'] };
    const a = await ask('a', undefined, question);
    stage.lead();
    expect((await stage.describe()).members).toMatchObject([
      { memberId: 'a', instanceId: 'one', clientId: 'worker', filters: ['t', 'u*'] },
    ]);
    await stage.join('b', question);
    const b = await ask('b', undefined, question);
    expect(places(b)).toEqual(places(a));
    expect(await codeOf(stage.join('a', { generation: a.generation }))).toBe('UNKNOWN_MEMBER');
  });

  it('knows what was committed, and who had left', async () => {
    const a = await ask('a');
    await stage.commit('a', a.generation, 't/3', 33);
    await stage.leave('a');
    stage.lead();
    expect(await stage.describe()).toMatchObject({ state: 'empty', members: [] });
    expect((await ask('b')).assigned.get('t/3')).toBe(33);
  });

  it('assigns partitions that were added meanwhile, from their beginning', async () => {
    const a = await ask('a', undefined, { start: START.latest });
    stage.groups.close();
    stage.topics.grow('t', 7);
    stage.topics.write('t', 6, 50);
    stage.lead();
    await stage.pass();
    expect((await ask('a', a, { start: START.latest })).assigned.get('t/6')).toBe(0);
  });
});

describe('a topic that was deleted while nobody coordinated', () => {
  it('and made again, has nothing committed', async () => {
    const a = await ask('a');
    await stage.commit('a', a.generation, 't/0', 50);
    stage.groups.close();
    stage.topics.delete('t');
    stage.topics.make('t', 1, 7);
    stage.lead();
    await stage.pass();
    expect(await stage.committed()).toEqual({});
    expect(await stage.commit('a', a.generation, 't/0', 60)).toBe(ERRORS.STALE_GENERATION.wire);
    expect([...(await ask('a', a)).assigned]).toEqual([['t/0', 0]]);
  });

  it('is forgotten after a minute, in which it may only not have been heard of', async () => {
    const a = await ask('a');
    await stage.commit('a', a.generation, 't/0', 50);
    await stage.leave('a');
    stage.groups.close();
    const show = stage.topics.hide('t');
    stage.lead();
    await stage.pass(59_000);
    expect(await stage.committed()).toMatchObject({ 't/0': 50 });
    show();
    await stage.pass(59_000);
    expect(await stage.committed()).toMatchObject({ 't/0': 50 });
    stage.groups.close();
    stage.topics.hide('t');
    stage.lead();
    await stage.pass(61_000);
    expect(await stage.committed()).toEqual({});
    stage.lead();
    expect(await stage.committed()).toEqual({});
  });

  it('and made again within that minute, is another', async () => {
    const a = await ask('a');
    await stage.commit('a', a.generation, 't/0', 50);
    await stage.leave('a');
    stage.groups.close();
    stage.topics.delete('t');
    stage.lead();
    stage.topics.make('t', 1, 7);
    expect(await stage.commit('', 0, 't/0', 3)).toBe(0);
    await stage.pass(61_000);
    stage.lead();
    expect(await stage.committed()).toEqual({ 't/0': 3 });
  });
});

describe('a start that is the end, for another coordinator,', () => {
  const LATEST = { start: START.latest };

  /** Another coordinator leads, after what happened while there was none. */
  async function after(happens: () => void): Promise<void> {
    stage.groups.close();
    happens();
    stage.lead();
    await stage.pass();
  }
  const madeAgain = (): void => {
    stage.topics.delete('t');
    stage.topics.make('t', 2, 7);
  };

  it('is the beginning of a topic that was made again meanwhile', async () => {
    const a = await ask('a', undefined, LATEST);
    await after(madeAgain);
    expect([...(await ask('a', a, LATEST)).assigned]).toEqual([
      ['t/0', 0],
      ['t/1', 0],
    ]);
  });

  it('is the beginning of it also when there are more coordinators before its readers have given up the one before', async () => {
    const a = await ask('a', undefined, LATEST);
    await after(madeAgain);
    await after(() => undefined);
    await ask('a', a, LATEST);
    await after(() => undefined);
    expect((await ask('a', a, LATEST)).assigned.get('t/1')).toBe(0);
  });

  it('is the beginning of a topic that a wildcard takes and that was made meanwhile', async () => {
    const question = { ...LATEST, filters: ['*'] };
    const a = await ask('a', undefined, question);
    await after(() => stage.topics.make('u', 1, 7));
    const { assigned } = await ask('a', a, question);
    expect([assigned.get('t/0'), assigned.get('u/0')]).toEqual([100, 0]);
  });

  it('is the end of a topic that was there, and of which it was not known yet where it begins', async () => {
    stage.topics.unreachable = 1;
    const a = await ask('a', undefined, LATEST);
    expect(places(a)).not.toContain('t/1');
    await after(() => {
      stage.topics.unreachable = undefined;
    });
    expect((await ask('a', a, LATEST)).assigned.get('t/1')).toBe(100);
  });

  it('is the end of a topic that somebody takes for the first time as soon as there is one', async () => {
    stage.topics.make('u', 1, 7);
    const a = await ask('a', undefined, LATEST);
    stage.lead();
    const question = { ...LATEST, filters: ['t', 'u'] };
    const joining = stage.join('a', { ...question, generation: a.generation });
    await stage.pass(1);
    expect((await ask('a', await joining, question)).assigned.get('u/0')).toBe(7);
  });

  it('is the end, where it was stored before topics were that members take', async () => {
    const a = await ask('a', undefined, LATEST);
    for (const [at, { key, value }] of stage.state.stored.entries()) {
      if (key !== 'g/g' || value === null) continue;
      const stored = { ...fromBinary(StoredGroupSchema, value), knowsTaken: false };
      const old = toBinary(StoredGroupSchema, create(StoredGroupSchema, stored));
      stage.state.stored[at] = { key, value: Buffer.from(old) };
    }
    await after(madeAgain);
    await ask('a', a, LATEST);
    expect((await ask('a', a, LATEST)).assigned.get('t/1')).toBe(7);
    // From now on it is stored.
    const b = await ask('a', undefined, LATEST);
    await after(madeAgain);
    await ask('a', b, LATEST);
    expect((await ask('a', b, LATEST)).assigned.get('t/1')).toBe(0);
  });
});

describe('what is stored', () => {
  it('says when it cannot be read', () => {
    const reader = new StateReader();
    const bad = (key: string, value: Buffer): void =>
      expect(() => reader.take(key.split('/'), value)).toThrow();
    bad('g/g', Buffer.from([0xff]));
    bad('g/g/bQ', Buffer.from([0x0a, 0x05]));
    bad('o/g/t', Buffer.alloc(0));
    bad('x/g', Buffer.alloc(0));
    bad('g', Buffer.alloc(0));
  });

  it('is only what has changed', async () => {
    await ask('a');
    await ask('b');
    const before = stage.state.stored.length;
    const appends = stage.log.appends;
    for (let round = 0; round < 5; round++) await ask('b');
    expect([stage.state.stored.length, stage.log.appends]).toEqual([before, appends]);
  });
});

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, it } from 'vitest';
import { StoredMemberSchema } from '../../../src/gen/sluice/groups/v1/consumer_state_pb.ts';
import type { Joined, Question } from './stage.ts';
import { Stage, codeOf } from './stage.ts';

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
  stage.topics.make('t', 2, 100);
});

const places = ({ assigned }: Joined): string[] => [...assigned.keys()].sort();

/** Does something as somebody. */
function as<T>(principal: string, work: () => Promise<T>, administers = false): Promise<T> {
  stage.asker = { principal, administers };
  return work();
}

/** Joins, and asks until it has what it can have. */
async function joined(memberId: string, question: Question = {}): Promise<Joined> {
  const first = await stage.join(memberId, question);
  await stage.pass();
  const next = stage.join(memberId, { ...question, generation: first.generation });
  await stage.pass(1);
  return next;
}

/** What a member has when it asks now. */
async function has(memberId: string, before: Joined): Promise<string[]> {
  const answer = stage.again(memberId, before);
  await stage.pass(1);
  return places(await answer);
}

describe("somebody else's member", () => {
  let alice: Joined;
  beforeEach(async () => {
    alice = await as('alice', () => joined('a'));
  });

  it('is not joined as, nor said to be alive, and keeps what it has', async () => {
    expect(await codeOf(as('bob', () => stage.join('a')))).toBe('FORBIDDEN');
    expect(await codeOf(as('bob', () => stage.join('a', { instanceId: 'i' })))).toBe('FORBIDDEN');
    expect(await codeOf(as('bob', () => stage.join('a', { generation: alice.generation })))).toBe(
      'FORBIDDEN',
    );
    expect(await as('alice', () => has('a', alice))).toEqual(['t/0', 't/1']);
  });

  it('is not kept alive by who says that it is', async () => {
    for (let ms = 0; ms < 10_000; ms += 2000) {
      await as('bob', () => codeOf(stage.join('a', { generation: alice.generation })));
      await as('bob', () => codeOf(stage.commit('a', alice.generation, 't/0', 1)));
      await stage.pass(2000);
    }
    const asking = as('alice', () => stage.join('a', { generation: alice.generation }));
    expect(await codeOf(asking)).toBe('UNKNOWN_MEMBER');
  });

  it('does not leave, but for who administers the node', async () => {
    expect(await codeOf(as('bob', () => stage.leave('a')))).toBe('FORBIDDEN');
    expect(await as('alice', () => has('a', alice))).toEqual(['t/0', 't/1']);
    await as('carol', () => stage.leave('a'), true);
    expect(await stage.describe()).toMatchObject({ state: 'empty', members: [] });
  });

  it('commits nothing, also for who administers the node', async () => {
    const commit = (): Promise<number> => stage.commit('a', alice.generation, 't/0', 7);
    expect(await codeOf(as('bob', commit))).toBe('FORBIDDEN');
    expect(await codeOf(as('carol', commit, true))).toBe('FORBIDDEN');
    expect(await as('alice', commit)).toBe(0);
  });

  it('is still somebody else’s for another coordinator', async () => {
    stage.lead();
    expect(await codeOf(as('bob', () => stage.join('a')))).toBe('FORBIDDEN');
    expect(await codeOf(as('bob', () => stage.leave('a')))).toBe('FORBIDDEN');
    expect(await as('alice', () => has('a', alice))).toEqual(['t/0', 't/1']);
  });

  it('has a name that is free once it is out', async () => {
    await as('alice', () => stage.leave('a'));
    expect(places(await as('bob', () => joined('a')))).toEqual(['t/0', 't/1']);
  });
});

describe("somebody else's static member", () => {
  it('has no successor but its own, as long as it is none that is out', async () => {
    const question = { instanceId: 'i' };
    const alice = await as('alice', () => joined('a', question));
    await as('bob', () => joined('mine', { filters: ['u'] }));
    expect(await codeOf(as('bob', () => stage.join('b', question)))).toBe('FORBIDDEN');
    expect(await codeOf(as('bob', () => stage.join('mine', { ...question, filters: ['u'] })))).toBe(
      'FORBIDDEN',
    );
    const { members } = await stage.describe();
    expect(members?.map(({ memberId }) => memberId)).toEqual(['a', 'mine']);
    expect(await as('alice', () => has('a', alice))).toEqual(['t/0', 't/1']);
    expect(places(await as('alice', () => joined('later', question)))).toEqual(['t/0', 't/1']);
    await stage.pass(10_000);
    expect(places(await as('bob', () => joined('b', question)))).toEqual(['t/0', 't/1']);
  });
});

it('a member that was stored before its principal was is that of who asks first', async () => {
  const a = await as('alice', () => joined('a'));
  for (const [at, { key, value }] of stage.state.stored.entries()) {
    if (!key.startsWith('g/g/') || value === null) continue;
    const stored = fromBinary(StoredMemberSchema, value);
    const old = toBinary(StoredMemberSchema, create(StoredMemberSchema, { ...stored, principal: '' }));
    stage.state.stored[at] = { key, value: Buffer.from(old) };
  }
  stage.lead();
  expect(await as('alice', () => has('a', a))).toEqual(['t/0', 't/1']);
  await stage.pass();
  expect(await codeOf(as('bob', () => stage.join('a')))).toBe('FORBIDDEN');
  stage.lead();
  expect(await codeOf(as('bob', () => stage.join('a')))).toBe('FORBIDDEN');
});

import { afterEach, beforeEach, expect, it } from 'vitest';
import type { GroupAnswer, GroupCase, GroupQuestionInit } from '../../src/groups/api.ts';
import type { SluiceError } from '../../src/kernel/errors.ts';
import { ANONYMOUS } from '../../src/security/principal.ts';
import { ALICE, BOB, TestBroker } from './fixture.ts';

const STORAGE = { partitions: 1, replicationFactor: 1, minInsync: 1, storage: 'memory' } as const;
const CAROL = { ...BOB, name: 'carol' };
let test: TestBroker;

/** Alice may do everything, all others may read. */
beforeEach(async () => {
  test = await TestBroker.open(
    {},
    { allows: ({ name }, operation) => name === 'alice' || operation === 'subscribe' },
    undefined,
    { storage: STORAGE },
  );
  for (const name of ['shared', 'more']) await test.broker.createTopic(ALICE, { name });
});
afterEach(() => test[Symbol.asyncDispose]());

const ask = <C extends GroupCase>(name: C, question: GroupQuestionInit<C>, principal = BOB) =>
  test.broker.groups.ask(principal, name, question);
const code = (asking: Promise<unknown>) =>
  asking.then(
    () => 'fine',
    (error: unknown) => (error as SluiceError).code,
  );
const MEMBER = { group: 'g', memberId: 'bobs' };
const join = (
  principal = BOB,
  more: GroupQuestionInit<'joinGroup'> = {},
): Promise<GroupAnswer<'joinGroup'>> =>
  ask('joinGroup', { ...MEMBER, filters: ['shared'], ...more }, principal);
const membersOf = async () => (await ask('describeGroup', { group: 'g' })).members;

it('who may read a topic of a group does nothing in the name of its members', async () => {
  const { generation } = await join();
  const commit = { ...MEMBER, generation, offsets: [{ topic: 'shared' }] };
  expect(await code(join(CAROL))).toBe('FORBIDDEN');
  expect(await code(join(CAROL, { generation }))).toBe('FORBIDDEN');
  expect(await code(ask('leaveGroup', MEMBER, CAROL))).toBe('FORBIDDEN');
  expect(await code(ask('leaveGroup', { ...MEMBER, returning: true }, CAROL))).toBe('FORBIDDEN');
  expect(await code(ask('commitOffsets', commit, CAROL))).toBe('FORBIDDEN');
  expect(await membersOf()).toMatchObject([{ memberId: 'bobs' }]);
});

it('the same principal goes on with another credential', async () => {
  const { generation } = await join({ ...BOB, tokenId: '1' });
  expect(await code(join({ ...BOB, tokenId: '2' }, { generation }))).toBe('fine');
});

it('who administers the node puts members out, but is none of them', async () => {
  await join();
  expect(await code(join(ALICE))).toBe('FORBIDDEN');
  expect(await code(ask('leaveGroup', MEMBER, ALICE))).toBe('fine');
  expect(await membersOf()).toEqual([]);
});

it('all anonymous clients are one', async () => {
  await join(ANONYMOUS);
  expect(await code(ask('leaveGroup', MEMBER, { ...ANONYMOUS }))).toBe('fine');
});

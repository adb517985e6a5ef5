import { afterEach, beforeEach, expect, it } from 'vitest';
import type { GroupCase, GroupQuestionInit } from '../../src/groups/api.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { FakeParts } from '../groups/fake-part.ts';
import { batchOf } from '../support/batch.ts';
import { turns } from '../support/turns.ts';
import { ALICE, BOB, TestBroker } from './fixture.ts';

const STORAGE = { partitions: 1, replicationFactor: 1, minInsync: 1, storage: 'memory' } as const;
let test: TestBroker;
let parts: FakeParts;

/** Bob may read and publish what begins with `open`, and read what begins with `dlq.`; Alice may do everything, Carol may publish. */
beforeEach(async () => {
  parts = new FakeParts();
  test = await TestBroker.open(
    {},
    {
      allows: ({ name }, operation, topic) =>
        name === 'alice' ||
        (name === 'carol' && operation === 'publish') ||
        (name !== 'carol' && topic?.startsWith('open') === true && operation !== 'admin') ||
        (name !== 'carol' && topic?.startsWith('dlq.') === true && operation === 'subscribe'),
    },
    undefined,
    { storage: STORAGE, makeParts: parts.make },
  );
  for (const name of ['open', 'open.too', 'secret']) await test.broker.createTopic(ALICE, { name });
});
afterEach(() => test[Symbol.asyncDispose]());

const ask = <C extends GroupCase>(name: C, question: GroupQuestionInit<C>, principal = BOB) =>
  test.broker.groups.ask(principal, name, question);
const code = (asking: Promise<unknown>) =>
  asking.then(
    () => 'fine',
    (error: unknown) => (error as SluiceError).code,
  );
const commit = (topic: string, principal = BOB) =>
  ask('commitOffsets', { group: 'g', offsets: [{ topic }] }, principal);
/** What the coordinator was asked last. */
const lastOf = (part: 'groups' | 'queues') => parts[part][0]!.questions.at(-1);

it('the topic with the state is made at the first question, and not by looking at what there is', async () => {
  expect((await ask('listGroups', {})).groups).toEqual([]);
  const topics = () => test.broker.listTopics(ALICE, { internal: true });
  expect((await topics()).map(({ name }) => name)).not.toContain('__groups');
  await Promise.all([commit('open'), commit('open.too')]);
  expect((await topics()).filter(({ name }) => name === '__groups')).toHaveLength(1);
});

it('nobody adds partitions to the topic with the state: it would not be found any more', async () => {
  await commit('open');
  expect(await code(test.broker.alterTopic(ALICE, { name: '__groups', partitions: 2 }))).toBe(
    'INVALID_ARGUMENT',
  );
});

it('nobody publishes to the topic with the state: rubbish there would keep its coordinator from loading', async () => {
  await commit('open');
  expect(await code(test.publish('__groups', batchOf(1)))).toBe('FORBIDDEN');
  expect(await code(test.publish('open', batchOf(1)))).toBe('fine');
});

it.each([
  'receive',
  'settle',
  'describeQueue',
  'deleteQueue',
  'browseQueue',
  'discardRecords',
  'resetGroup',
] as const)('%s is for who may read the topic, which is none of the broker’s own', async (name) => {
  expect(await code(ask(name, { topic: 'secret' }))).toBe('FORBIDDEN');
  expect(await code(ask(name, { topic: '__groups' }, ALICE))).toBe('INVALID_TOPIC');
  if (name !== 'receive') expect(await code(ask(name, { topic: 'open' }))).toBe('fine');
});

it('a commit is for who may read all of its topics', async () => {
  expect(await code(commit('open'))).toBe('fine');
  const offsets = [{ topic: 'open' }, { topic: 'secret' }];
  expect(await code(ask('commitOffsets', { group: 'g', offsets }))).toBe('FORBIDDEN');
});

it('a wildcard of a member is what it may read: all of it as it is, else by name', async () => {
  await ask('joinGroup', { group: 'g', filters: ['open*'] });
  expect(lastOf('groups')).toMatchObject({ filters: ['open*'] });
  await ask('joinGroup', { group: 'g', filters: ['*', 'open'] });
  expect(lastOf('groups')).toMatchObject({ filters: ['open', 'open.too'] });
  expect(await code(ask('joinGroup', { group: 'g', filters: ['secret'] }))).toBe('FORBIDDEN');
  expect(await code(ask('joinGroup', { group: 'g', filters: ['sec*'] }))).toBe('FORBIDDEN');
  expect(await code(ask('joinGroup', { group: 'g', filters: ['open/key'] }))).toBe('INVALID_FILTER');
  expect(await code(ask('joinGroup', { group: 'g', filters: ['__groups'] }, ALICE))).toBe('INVALID_TOPIC');
});

it('a member names what it takes, and who may read nothing is none, whatever is to come', async () => {
  const carol = { ...BOB, name: 'carol' };
  const join = (filters: string[], principal = BOB) =>
    code(ask('joinGroup', { group: 'g', filters }, principal));
  expect(await join([])).toBe('INVALID_FILTER');
  expect(await join(['none*'])).toBe('fine');
  expect(await join(['none*'], carol)).toBe('FORBIDDEN');
  expect(await join(['none*'], ALICE)).toBe('fine');
});

it('who may read nothing of what a wildcard takes is not told what that is', async () => {
  const joining = ask('joinGroup', { group: 'g', filters: ['sec*'] });
  const refused = await joining.catch((error: unknown) => error as SluiceError);
  expect(refused).toMatchObject({ code: 'FORBIDDEN' });
  expect((refused as SluiceError).message).not.toContain('secret');
});

it('a member is told of nothing that it may not read', async () => {
  const { assigned } = await ask('joinGroup', { group: 'g', filters: ['open'] });
  expect(assigned.map(({ topic }) => topic)).toEqual(['open']);
});

it('a group shows the topics that one may read; one that has no other is FORBIDDEN', async () => {
  await commit('open');
  await commit('secret', ALICE);
  const { offsets } = await ask('describeGroup', { group: 'g' });
  expect(offsets.map(({ topic }) => topic)).toEqual(['open']);
  await ask('commitOffsets', { group: 'hidden', offsets: [{ topic: 'secret' }] }, ALICE);
  expect(await code(ask('describeGroup', { group: 'hidden' }))).toBe('FORBIDDEN');
  const { groups } = await ask('listGroups', {});
  expect(groups).toMatchObject([{ group: 'g', topics: ['open'] }]);
});

it.each(['describeGroup', 'deleteGroup'] as const)('%s does not tell what one may not read', async (name) => {
  await commit('secret', ALICE);
  const refused = await ask(name, { group: 'g' }).catch((error: unknown) => error as SluiceError);
  expect(refused).toMatchObject({ code: 'FORBIDDEN' });
  expect((refused as SluiceError).message).not.toContain('secret');
});

it('a group is deleted by who may read all that it has read', async () => {
  await commit('open');
  expect(await code(ask('deleteGroup', { group: 'g' }))).toBe('fine');
  await commit('secret', ALICE);
  expect(await code(ask('deleteGroup', { group: 'g' }))).toBe('FORBIDDEN');
});

it('records are moved by who may publish where they go', async () => {
  expect(await code(ask('moveRecords', { topic: 'open', destination: 'secret' }))).toBe('FORBIDDEN');
  expect(await code(ask('moveRecords', { topic: 'open' }))).toBe('INVALID_ARGUMENT');
  expect(await code(ask('moveRecords', { topic: 'dlq.secret' }))).toBe('FORBIDDEN');
  expect(await code(ask('moveRecords', { topic: 'dlq.open' }))).toBe('fine');
  expect(lastOf('queues')).toMatchObject({ destination: 'open' });
  await ask('moveRecords', { topic: 'dlq.open' }, ALICE);
  expect(lastOf('queues')).toMatchObject({ destination: '' });
});

it('dead letters go where who configures the queue may publish', async () => {
  const settings = { deadLetterTopic: 'secret' };
  expect(await code(ask('configureQueue', { topic: 'open', settings }))).toBe('FORBIDDEN');
  expect(
    await code(ask('configureQueue', { topic: 'open', settings: { deadLetterTopic: 'open.too' } })),
  ).toBe('fine');
});

it('an answer never takes more than a frame can carry', async () => {
  await ask('browseQueue', { topic: 'open', maxBytes: 0xffff_ffff });
  expect(lastOf('queues')).toMatchObject({ maxBytes: 16 * 1024 * 1024 });
});

it('who lists queues sees those of topics that it may read', async () => {
  await commit('open');
  expect((await ask('listQueues', {})).queues).toEqual([]);
  expect((await ask('listQueues', {}, ALICE)).queues).toHaveLength(1);
});

it('a question that is given up for a reason is refused with it', async () => {
  const gone = new AbortController();
  const asking = code(test.broker.groups.ask(BOB, 'receive', { topic: 'open' }, { signal: gone.signal }));
  await turns(10);
  gone.abort(new SluiceError('UNAUTHENTICATED', 'its token was revoked'));
  expect(await asking).toBe('UNAUTHENTICATED');
});

it('a node that stops answers what waits', async () => {
  await ask('describeQueue', { topic: 'open' });
  const waiting = code(ask('receive', { topic: 'open' }));
  await turns();
  expect(test.broker.groups.waiting).toBe(1);
  await test.broker.groups.close();
  expect(await waiting).toBe('DRAINING');
  expect(parts.queues[0]!.life.at(-1)).toBe('closed');
});

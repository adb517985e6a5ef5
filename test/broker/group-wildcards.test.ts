import { expect, it } from 'vitest';
import { GroupMember } from '../../src/broker/group-member.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { Principal } from '../../src/security/principal.ts';
import { turns } from '../support/turns.ts';
import { ALICE, BOB, TestBroker } from './fixture.ts';

const STORAGE = { partitions: 1, replicationFactor: 1, minInsync: 1, storage: 'memory' } as const;

it('a new topic that a wildcard takes is read only by members that may, at once', async () => {
  await using test = await TestBroker.open(
    {},
    { allows: ({ name }, _operation, topic) => name === 'alice' || topic !== 'secret' },
    undefined,
    { storage: STORAGE },
  );
  const { broker, clock } = test;
  const told = new Map<Principal, string[]>();
  const join = (principal: Principal): GroupMember => {
    const events: string[] = [];
    told.set(principal, events);
    const listener = {
      assigned: ({ topic, partition }: { topic: string; partition: number }) =>
        events.push(`+${topic}/${partition}`),
      revoked: ({ topic, partition }: { topic: string; partition: number }) =>
        events.push(`-${topic}/${partition}`),
      ended: ({ code }: { code: string }) => events.push(code),
    };
    const start = { at: { case: 'earliest', value: true } } as const;
    return GroupMember.join(
      { broker, clock, principal, listener, random: systemRandom },
      { group: 'g', filters: ['#'], start, clientId: principal.name },
    );
  };
  /** No member asks again because it has waited long enough. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 40; turn++) {
      await turns();
      clock.advance(25);
    }
  };
  await broker.createTopic(ALICE, { name: 'open', partitions: 2 });
  const members = [ALICE, BOB].map(join);
  await Promise.all(members.map(({ joined }) => joined));
  await settle();
  expect([...told.values()].map(({ length }) => length)).toEqual([1, 1]);
  await broker.createTopic(ALICE, { name: 'secret', partitions: 4 });
  await settle();
  expect(told.get(BOB)!.filter((event) => event.includes('secret'))).toEqual([]);
  expect(members[0]!.assignment.filter(({ topic }) => topic === 'secret')).toHaveLength(4);
  const closing = Promise.all(members.map((member) => member.close()));
  await settle();
  await closing;
});

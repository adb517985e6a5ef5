import { beforeEach, expect, it } from 'vitest';
import { UntoldLeases } from '../../src/broker/untold-leases.ts';
import type { GroupRequest, GroupResponse } from '../../src/gen/sluice/client/v1/groups_pb.ts';
import { SettlementKind } from '../../src/gen/sluice/client/v1/groups_pb.ts';
import { groupResponse } from '../../src/groups/messages.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';

let clock: FakeClock;
let asked: { readonly partition: number; readonly request: GroupRequest }[];
let refusal: ErrorCode | 'silence' | undefined;
let untold: UntoldLeases;

beforeEach(() => {
  clock = new FakeClock();
  asked = [];
  refusal = undefined;
  untold = new UntoldLeases({
    ...{ clock, random: new SeededRandom(1) },
    ask: (partition, request, signal): Promise<GroupResponse> => {
      asked.push({ partition, request });
      if (refusal === 'silence')
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new SluiceError('CANCELLED', 'gone')));
        });
      if (refusal) return Promise.reject(new SluiceError(refusal, 'no'));
      return Promise.resolve(groupResponse('settle', { results: [] }));
    },
  });
});

function releaseOf(topic: string, settlements = 1) {
  const settlement = { partition: 0, grant: 1n, first: 0n, end: 1n, kind: SettlementKind.RELEASE };
  return { topic, group: 'g', settlements: Array.from({ length: settlements }, () => settlement) };
}

async function pass(ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 50) {
    await turns();
    clock.advance(50);
  }
  await turns();
}

it('untold leases are released once, as soon as somebody takes them', async () => {
  refusal = 'NOT_LEADER';
  untold.release(3, releaseOf('t'));
  await pass(2000);
  refusal = undefined;
  await pass(2000);
  const tries = asked.length;
  expect(asked.at(-1)).toMatchObject({
    partition: 3,
    request: { body: { case: 'settle', value: { topic: 't', group: 'g' } } },
  });
  await pass(2000);
  expect([tries > 5, asked.length]).toEqual([true, tries]);
});

it('they end by themselves where nobody takes them for a minute', async () => {
  refusal = 'UNAVAILABLE';
  untold.release(0, releaseOf('t'));
  await pass(62_000);
  const tries = asked.length;
  await pass(10_000);
  expect([asked.length, clock.pendingTimers]).toEqual([tries, 0]);
});

it('thousands of them ask a partition that nobody leads as often as one does, and ever more rarely', async () => {
  refusal = 'NOT_LEADER';
  for (let n = 0; n < 5000; n++) untold.release(n % 2, releaseOf(`t${n}`));
  await pass(10_000);
  const before = asked.length;
  await pass(10_000);
  // Two partitions, from one to two seconds apart.
  expect(before).toBeLessThan(60);
  expect(asked.length - before).toBeLessThanOrEqual(20);
  refusal = undefined;
  await pass(2000);
  for (let n = 0; n < 500; n++) await turns();
  const topics = asked.flatMap(({ request }) =>
    request.body.case === 'settle' ? request.body.value.topic : [],
  );
  expect(new Set(topics).size).toBe(5000);
});

it('no more wait than there is room for, counted in settlements', async () => {
  refusal = 'silence';
  untold.release(0, releaseOf('first', 49_999));
  untold.release(1, releaseOf('large', 2));
  untold.release(2, releaseOf('small', 1));
  await turns();
  expect(asked.map(({ partition }) => partition)).toEqual([0, 2]);
});

it('they need not be released where there is no queue any more, nor once this node goes', async () => {
  refusal = 'QUEUE_NOT_FOUND';
  untold.release(0, releaseOf('t'));
  await pass(1000);
  expect(asked).toHaveLength(1);
  refusal = 'NOT_LEADER';
  untold.release(0, releaseOf('t'));
  await turns();
  await untold.close();
  untold.release(0, releaseOf('t'));
  await pass(1000);
  expect([asked.length, clock.pendingTimers]).toEqual([2, 0]);
});

it('closing waits for what is under way, which is given up', async () => {
  const answer = Promise.withResolvers<GroupResponse>();
  const slow = new UntoldLeases({
    ...{ clock, random: new SeededRandom(1) },
    ask: () => answer.promise,
  });
  slow.release(0, releaseOf('t'));
  let isClosed = false;
  const closing = slow.close().then(() => (isClosed = true));
  await turns();
  expect(isClosed).toBe(false);
  answer.reject(new SluiceError('CANCELLED', 'gone'));
  await closing;
  refusal = 'silence';
  untold.release(0, releaseOf('t'));
  await untold.close();
  expect(clock.pendingTimers).toBe(0);
});

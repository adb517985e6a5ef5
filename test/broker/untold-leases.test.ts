import { beforeEach, expect, it } from 'vitest';
import { UntoldLeases } from '../../src/broker/untold-leases.ts';
import type { GroupRequest, GroupResponse } from '../../src/gen/sluice/client/v1/groups_pb.ts';
import { groupResponse } from '../../src/groups/messages.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';

const RELEASE = { topic: 't', group: 'g', settlements: [] };

let clock: FakeClock;
let asked: GroupRequest[];
let refusal: ErrorCode | undefined;
let untold: UntoldLeases;

beforeEach(() => {
  clock = new FakeClock();
  asked = [];
  refusal = undefined;
  untold = new UntoldLeases({
    clock,
    ask: (request): Promise<GroupResponse> => {
      asked.push(request);
      if (refusal) return Promise.reject(new SluiceError(refusal, 'no'));
      return Promise.resolve(groupResponse('settle', { results: [] }));
    },
  });
});

async function pass(ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 200) {
    await turns();
    clock.advance(200);
  }
  await turns();
}

it('untold leases are given back once, as soon as somebody takes them', async () => {
  refusal = 'NOT_LEADER';
  untold.give(RELEASE);
  await pass(2000);
  refusal = undefined;
  await pass(400);
  const tries = asked.length;
  expect(asked.at(-1)).toMatchObject({ body: { case: 'settle', value: { topic: 't', group: 'g' } } });
  await pass(2000);
  expect([tries > 5, asked.length]).toEqual([true, tries]);
});

it('they end by themselves where nobody takes them for a minute', async () => {
  refusal = 'UNAVAILABLE';
  untold.give(RELEASE);
  await pass(61_000);
  const tries = asked.length;
  await pass(10_000);
  expect([asked.length, clock.pendingTimers]).toEqual([tries, 0]);
});

it('they need not be given back where there is no queue any more, nor once this node goes', async () => {
  refusal = 'QUEUE_NOT_FOUND';
  untold.give(RELEASE);
  await pass(1000);
  expect(asked).toHaveLength(1);
  refusal = 'NOT_LEADER';
  untold.give(RELEASE);
  await turns();
  untold.close();
  untold.give(RELEASE);
  await pass(1000);
  expect(asked).toHaveLength(2);
});

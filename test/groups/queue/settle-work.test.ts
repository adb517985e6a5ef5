import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { SettleRequestSchema, SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { ERRORS } from '../../../src/kernel/errors.ts';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage } from './queue-stage.ts';

it('does not look for ever for leases that a request does not hold', async () => {
  const topics = new FakeTopics().make('jobs', 2);
  topics.put('jobs', 20_000);
  topics.put('jobs', 10, 1);
  const stage = new QueueStage(topics);
  const { jobs } = await stage.receive({ maxRecords: 10_000 });
  const grant = BigInt(jobs.find(({ partition }) => partition === 0)!.grant);
  const range = { partition: 0, grant: 999n, first: 0n, end: 2n ** 53n - 1n, kind: SettlementKind.ACK };
  const mine = { ...range, grant, first: 0n, end: 1n };
  const settle = async (settlements: (typeof range)[]) => {
    const { results = [] } = await stage.ask(
      'settle',
      create(SettleRequestSchema, { topic: 'jobs', settlements }),
    );
    return results.map(({ errorCode = 0 }) => errorCode);
  };
  const codes = await settle([...Array<typeof range>(50).fill(range), mine]);
  expect(new Set(codes)).toEqual(new Set([ERRORS.LEASE_EXPIRED.wire, ERRORS.OVERLOADED.wire]));
  expect(codes.at(-1)).toBe(ERRORS.OVERLOADED.wire);
  expect(await settle([mine])).toEqual([0]);
});

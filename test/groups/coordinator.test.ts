import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { GroupCoordinator } from '../../src/groups/coordinator.ts';
import type { LedState } from '../../src/groups/led-state.ts';
import { BatchMemory } from '../../src/groups/queue/batch-memory.ts';
import { PartitionBudget } from '../../src/groups/queue/partition-budget.ts';
import { StateBudget } from '../../src/groups/queue/state-budget.ts';
import type { Topics } from '../../src/groups/ports.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import {
  DescribeGroupRequestSchema,
  ReceiveRequestSchema,
} from '../../src/gen/sluice/client/v1/groups_pb.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { FakeParts } from './fake-part.ts';

it('answers nothing without the lease to lead, also what it would not have to store', async () => {
  let isLed = true;
  const parts = new FakeParts();
  const state: LedState = {
    partition: 0,
    leaderEpoch: 3,
    isLed: () => isLed,
    end: () => 0,
    openReader: () => ({ nextOffset: 0, close: () => undefined }) as unknown as PartitionReader,
    openLog: () => ({
      ...{ partition: 0, leaderEpoch: 3 },
      append: () => Promise.resolve(),
      close: () => undefined,
    }),
  };
  const coordinator = new GroupCoordinator({
    ...{ state, topics: {} as Topics, clock: new FakeClock(), random: new SeededRandom(1), nodeId: 'a' },
    makeParts: parts.make,
    onLoaded: () => undefined,
    onFailed: () => undefined,
    onTrouble: () => undefined,
    term: 0,
    releaseUntold: () => undefined,
    budget: new PartitionBudget(1),
    stateBudget: new StateBudget(1),
    batchMemory: new BatchMemory(1),
  });
  const ask = (): Promise<unknown> =>
    coordinator.ask('describeGroup', create(DescribeGroupRequestSchema, { group: 'g' }));
  await expect(ask()).resolves.toBeDefined();
  isLed = false;
  await expect(ask()).rejects.toMatchObject({ code: 'NOT_LEADER' });
  const receive = create(ReceiveRequestSchema, { topic: 'plenty', group: 'g' });
  await expect(coordinator.ask('receive', receive)).rejects.toMatchObject({ code: 'NOT_LEADER' });
  // What is leased is stored, and nobody is told of it.
  const leased = { batches: [{ partition: 1, grant: 9n, leases: [{ first: 3n, end: 5n }] }] };
  expect(parts.queues[0]!.undeliveredAnswers).toMatchObject([['receive', receive, leased]]);
  coordinator.close();
});

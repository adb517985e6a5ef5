import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { GroupCoordinator } from '../../src/groups/coordinator.ts';
import type { LedState } from '../../src/groups/led-state.ts';
import type { Topics } from '../../src/groups/ports.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { DescribeGroupRequestSchema } from '../../src/gen/sluice/client/v1/groups_pb.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { FakePart } from './fake-part.ts';

it('answers nothing without the lease to lead, also what it would not have to store', async () => {
  let isLed = true;
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
    makeParts: (options) => ({ groups: new FakePart(options), queues: new FakePart(options) }),
    onLoaded: () => undefined,
    onFailed: () => undefined,
  });
  const ask = (): Promise<unknown> =>
    coordinator.ask('describeGroup', create(DescribeGroupRequestSchema, { group: 'g' }));
  await expect(ask()).resolves.toBeDefined();
  isLed = false;
  await expect(ask()).rejects.toMatchObject({ code: 'NOT_LEADER' });
  coordinator.close();
});

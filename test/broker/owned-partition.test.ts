import { expect, it } from 'vitest';
import type { OwnedPartitionHost } from '../../src/broker/owned-partition.ts';
import { OwnedPartition } from '../../src/broker/owned-partition.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';

it('a partition opens its reader when it is started, not when it is made', async () => {
  const asked: unknown[] = [];
  const opened: unknown[] = [];
  const reader = { nextOffset: 7 } as PartitionReader;
  const host: OwnedPartitionHost = {
    ...{ clock: new FakeClock(), random: new SeededRandom(1) },
    openReader: ({ topic, partition }, start) => {
      asked.push([topic, partition, start]);
      return Promise.resolve({ reader, close: () => undefined });
    },
    opened: (one) => opened.push(one),
    failed: () => undefined,
  };
  const owned = new OwnedPartition(host, { topic: 't', partition: 1, offset: 7 });
  await turns();
  expect([asked, opened]).toEqual([[], []]);
  owned.start();
  await turns();
  expect(asked).toEqual([['t', 1, { at: 'offset', offset: 7 }]]);
  expect(opened).toEqual([reader]);
  owned.close();
});

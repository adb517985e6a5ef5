import { expect, it } from 'vitest';
import { Coordinators } from '../../src/groups/coordinators.ts';
import type { LedState } from '../../src/groups/led-state.ts';
import type { Topics } from '../../src/groups/ports.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { FakeParts } from './fake-part.ts';

const STATE: LedState = {
  ...{ partition: 0, leaderEpoch: 3, isLed: () => true, end: () => 0 },
  openReader: () => ({ nextOffset: 0, close: () => undefined }) as unknown as PartitionReader,
  openLog: () => ({
    ...{ partition: 0, leaderEpoch: 3 },
    append: () => Promise.resolve(),
    close: () => undefined,
  }),
};

function coordinating(): { clock: FakeClock; parts: FakeParts; coordinators: Coordinators } {
  const [clock, parts] = [new FakeClock(), new FakeParts()];
  const coordinators = new Coordinators({
    ...{ clock, random: new SeededRandom(1), topics: {} as Topics, nodeId: 'a', makeParts: parts.make },
    ...{ maxQueuePartitions: 100, maxQueueStateBytes: 1, maxQueueBatchBytes: 1 },
    releaseUntold: () => undefined,
  });
  coordinators.lead(STATE);
  return { clock, parts, coordinators };
}

it('a coordinator that fails whenever it is loaded is loaded after longer and longer pauses', async () => {
  const { clock, parts, coordinators } = coordinating();
  const madeIn = async (seconds: number): Promise<number> => {
    const before = parts.queues.length;
    for (let waitedMs = 0; waitedMs < seconds * 1000; waitedMs += 50) {
      await turns();
      if (coordinators.counts().open > 0) parts.queues.at(-1)!.options.onFailure(new Error('a defect'));
      clock.advance(50);
    }
    return parts.queues.length - before;
  };
  expect(await madeIn(5)).toBeLessThan(10);
  expect(await madeIn(60)).toBeLessThan(25);
  coordinators.close();
});

it('one that has lasted is loaded again soon', async () => {
  const { clock, parts, coordinators } = coordinating();
  for (let times = 0; times < 8; times++) {
    await turns();
    clock.advance(10_000);
    parts.queues.at(-1)!.options.onFailure(new Error('once in a while'));
    clock.advance(100);
  }
  expect(parts.queues).toHaveLength(9);
  coordinators.close();
});

it('what fails and is tried again is counted by what it is, and told', async () => {
  const { parts, coordinators } = coordinating();
  await turns();
  const error = new SluiceError('UNAVAILABLE', 'not now');
  const about = { topic: 't', group: 'g', partition: 0, error };
  for (const work of ['publish', 'dead-letters', 'publish'] as const) {
    parts.queues[0]!.options.onTrouble({ work, ...about });
  }
  expect(coordinators.counts().troubles).toEqual({
    ...{ 'dead-letters': 1, 'resumed-move': 0, publish: 2, 'new-partition': 0 },
  });
  coordinators.close();
});

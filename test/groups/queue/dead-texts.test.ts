import { expect, it } from 'vitest';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage } from './queue-stage.ts';

it('keeps no more texts of dead letters than can be stored together, and the records all the same', async () => {
  const topics = new FakeTopics().make('jobs');
  topics.put('jobs', 3000);
  const stage = new QueueStage(topics);
  const { jobs } = await stage.receive();
  // Dead letters gather while their topic takes none.
  topics.onPublish = () => new Promise(() => undefined);
  for (const [at, job] of jobs.entries()) {
    await stage.settle('REJECT', [job], { reason: String(at).padEnd(1024, '\u4e00') });
  }
  const largest = Math.max(...stage.log.records.map(({ value }) => value?.length ?? 0));
  expect(largest).toBeLessThan(4 * 1024 * 1024);
  expect(await stage.counted()).toMatchObject({ leased: 0, delayed: 3000 });
  const { ready, leased, delayed } = await stage.succeed().counted();
  expect([ready + delayed, leased]).toEqual([3000, 0]);
});

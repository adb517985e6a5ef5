import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { DeleteQueueRequestSchema } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { StateWriter } from '../../../src/groups/state-writer.ts';
import { FakeStateLog } from './fake-log.ts';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage, codeOf } from './queue-stage.ts';

it('is a queue until the last of what makes the log forget it is stored, and then nothing is left', async () => {
  const topics = new FakeTopics().make('jobs', 3);
  const stage = new QueueStage(topics);
  await stage.configure({ leaseMs: 60_000 });
  for (let times = 0; times < 5; times++) {
    for (let partition = 0; partition < 3; partition++) topics.put('jobs', 1, partition);
    await stage.settle('ACK', (await stage.receive()).jobs);
  }
  const before = stage.log.records.length;
  await stage.ask('deleteQueue', create(DeleteQueueRequestSchema, { topic: 'jobs' }));
  const { records } = stage.log;
  expect(stage.log.keys()).toEqual([]);
  for (let cut = before + 1; cut < records.length; cut++) {
    const log = new FakeStateLog();
    log.records.push(...records.slice(0, cut));
    const next = new QueueStage(topics, log);
    expect(await codeOf(next.describe()), `${cut - before} stored`).toBeUndefined();
    await next.ask('deleteQueue', create(DeleteQueueRequestSchema, { topic: 'jobs' }));
    expect(log.keys()).toEqual([]);
  }
});

it('is forgotten however much there is of it', async () => {
  const appended: number[] = [];
  const append = (records: readonly unknown[]) => Promise.resolve(void appended.push(records.length));
  const writer = new StateWriter({ partition: 0, leaderEpoch: 1, append }, () => undefined);
  writer.put(Array.from({ length: 500_000 }, () => ({ key: 'q/jobs/default/0/a0', value: null })));
  await writer.stored();
  expect(appended).toEqual([500_000]);
});

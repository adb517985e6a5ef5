import { describe, expect, it } from 'vitest';
import { PartitionBudget } from '../../../src/groups/queue/partition-budget.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeStateLog } from './fake-log.ts';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage, codeOf } from './queue-stage.ts';

describe('partitions that queues hold', () => {
  const stageOf = (max: number): QueueStage => {
    const topics = new FakeTopics().make('jobs', 4).make('other', 4);
    return new QueueStage(topics, new FakeStateLog(), new FakeClock(), new PartitionBudget(max));
  };
  const make = (stage: QueueStage, group: string, topic = 'jobs'): Promise<unknown> =>
    stage.receive({ topic, group });

  it('are bounded, whatever number of queues they are of, and for each topic', async () => {
    const stage = stageOf(16);
    await Promise.all([make(stage, 'a'), make(stage, 'b')]);
    await expect(make(stage, 'c')).rejects.toMatchObject({
      code: 'OVERLOADED',
      message: expect.stringContaining('groups.maxQueuePartitions') as string,
    });
    await make(stage, 'a', 'other');
    stage.topics.make('large', 5);
    expect(await codeOf(make(stage, 'a', 'large'))).toBe('OVERLOADED');
    expect(stage.queues.counts()).toMatchObject({ queues: 3, partitions: 12 });
  });

  it('are bounded also for queues that are made at once', async () => {
    const stage = stageOf(16);
    const made = await Promise.all(['a', 'b', 'c', 'd'].map((group) => codeOf(make(stage, group))));
    expect(made).toEqual([undefined, undefined, 'OVERLOADED', 'OVERLOADED']);
  });

  it('may be as many as there is room for, of the first queue of a topic', async () => {
    const stage = stageOf(4);
    await make(stage, 'a');
    expect(await codeOf(make(stage, 'a', 'other'))).toBe('OVERLOADED');
  });

  it('make room when their queue is deleted, or their topic, or another node coordinates them', async () => {
    const stage = stageOf(4);
    await make(stage, 'a');
    await stage.ask('deleteQueue', { topic: 'jobs', group: 'a' } as never);
    await make(stage, 'a', 'other');
    stage.topics.delete('other');
    await make(stage, 'b');
    stage.queues.close();
    stage.budget.check('other', 4);
  });

  it('are held beyond the bound where they are stored, or come later: their records have to be delivered', async () => {
    const first = stageOf(4);
    await make(first, 'a');
    first.topics.addPartitions('jobs', 6);
    first.topics.put('jobs', [{ value: 'late' }], 5);
    expect(await first.values({ group: 'a', maxWaitMs: 10 })).toEqual(['late']);
    const question = { topic: 'jobs', group: 'a' } as never;
    const { partitions } = await first.succeed().ask('describeQueue', question);
    expect(partitions).toHaveLength(6);
  });
});

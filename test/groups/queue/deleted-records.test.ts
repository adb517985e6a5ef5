/** What was deleted is handed out, shown and moved no more, also where the batch that it is in goes on and is still at hand. */
import { describe, expect, it } from 'vitest';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage } from './queue-stage.ts';

const REST_MS = 60_000;

/** A queue with one batch of four records. */
async function stageWith(settings: object = {}, values = ['a', 'b', 'c', 'd']): Promise<QueueStage> {
  const stage = new QueueStage(new FakeTopics().make('jobs'));
  await stage.configure({ leaseMs: 600_000, backoffMs: 0, ...settings });
  stage.topics.put(
    'jobs',
    values.map((value) => ({ value })),
  );
  return stage;
}

const gapsOf = (stage: QueueStage): unknown => stage.queues.counts()['gaps'];

describe('records that are deleted where their batch goes on', () => {
  it('are not leased out of a batch that was read before, and are a gap', async () => {
    const stage = await stageWith();
    expect(await stage.values({ maxRecords: 1 })).toEqual(['a']);
    stage.topics.log('jobs').cutTo(3);
    expect(await stage.receive()).toMatchObject({
      jobs: [{ value: 'd' }],
      gaps: [{ partition: 0, from: 0, to: 3 }],
    });
    expect(gapsOf(stage)).toBe(2);
  });

  it('are not leased again when the lease ends that somebody had', async () => {
    const stage = await stageWith();
    const { jobs } = await stage.receive({ maxRecords: 3 });
    stage.topics.log('jobs').cutTo(2);
    expect(await stage.values()).toEqual(['d']);
    await stage.settle('RELEASE', jobs);
    expect(await stage.receive()).toMatchObject({ jobs: [{ value: 'c' }], gaps: [{ from: 0, to: 2 }] });
    expect(gapsOf(stage)).toBe(2);
  });

  it('are not leased out of a batch that is still there after nobody had read the partition for long', async () => {
    const stage = await stageWith();
    await stage.settle('RELEASE', (await stage.receive()).jobs);
    await stage.pass(REST_MS);
    await stage.pass(REST_MS);
    stage.topics.log('jobs').cutTo(2);
    // So many that nothing new is looked for.
    const first = await stage.values({ maxRecords: 4, maxWaitMs: 1000 });
    expect([...first, ...(await stage.values({ maxRecords: 4 }))]).toEqual(['c', 'd']);
  });

  it('are not leased out of what was read ahead', async () => {
    const stage = await stageWith();
    stage.topics.put('jobs', [{ value: 'e' }, { value: 'f' }]);
    expect(await stage.values({ maxRecords: 4 })).toHaveLength(4);
    stage.topics.log('jobs').cutTo(5);
    expect(await stage.values()).toEqual(['f']);
  });

  it('are not told of when they are deleted while their lease is being stored', async () => {
    const stage = await stageWith();
    stage.log.isHeld = true;
    const receiving = stage.receive();
    await stage.pass(0);
    stage.topics.log('jobs').cutTo(2);
    stage.log.release();
    expect(await receiving).toMatchObject({
      jobs: [{ value: 'c' }, { value: 'd' }],
      gaps: [{ partition: 0, from: 0, to: 2 }],
    });
    expect(await stage.counted()).toEqual({ ready: 0, leased: 2, delayed: 0 });
    expect(gapsOf(stage)).toBe(2);
  });

  it('are only gaps when all of them are deleted while their lease is being stored', async () => {
    const stage = await stageWith();
    stage.log.isHeld = true;
    const receiving = stage.receive();
    await stage.pass(0);
    stage.topics.log('jobs').cutTo(4);
    stage.log.release();
    expect(await receiving).toEqual({ jobs: [], gaps: [{ partition: 0, from: 0, to: 4 }] });
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });

  it('are not shown to who browses', async () => {
    const stage = await stageWith();
    await stage.settle('RELEASE', (await stage.receive()).jobs);
    stage.topics.log('jobs').cutTo(1);
    expect((await stage.browse()).jobs.map(({ value }) => value)).toEqual(['b', 'c', 'd']);
    await stage.pass(REST_MS);
    await stage.pass(REST_MS);
    stage.topics.log('jobs').cutTo(3);
    expect((await stage.browse()).jobs.map(({ value }) => value)).toEqual(['d']);
  });

  it('are not moved elsewhere', async () => {
    const stage = await stageWith();
    await stage.settle('RELEASE', (await stage.receive()).jobs);
    stage.topics.log('jobs').cutTo(3);
    expect(await stage.move({ destination: 'other' })).toBe(1);
    expect(stage.topics.records('other').map(({ value }) => value)).toEqual(['d']);
  });

  it('are no dead letters', async () => {
    const stage = await stageWith({ maxAttempts: 1 });
    const { jobs } = await stage.receive();
    stage.topics.log('jobs').cutTo(2);
    await stage.settle('NACK', jobs);
    await stage.pass(1);
    expect(stage.topics.records('dlq.jobs').map(({ value }) => value)).toEqual(['c', 'd']);
    expect(gapsOf(stage)).toBe(2);
  });

  it('are no dead letters when they are deleted before what is to be moved is stored', async () => {
    const stage = await stageWith({ maxAttempts: 1 });
    const { jobs } = await stage.receive();
    await stage.settle('NACK', jobs.slice(0, 1));
    await stage.settle('NACK', jobs.slice(2));
    await stage.pass(1);
    const before = stage.topics.records('dlq.jobs').length;
    expect(before).toBe(3);

    stage.log.isHeld = true;
    const settling = stage.settle('NACK', jobs.slice(1, 2));
    await stage.pass(1);
    stage.topics.log('jobs').cutTo(2);
    stage.log.release();
    await settling;
    await stage.pass(1);
    expect(stage.topics.records('dlq.jobs')).toHaveLength(before);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });
});

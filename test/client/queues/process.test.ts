import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { turns } from '../../support/turns.ts';
import { numbers, QueueStage } from './queue-stage.ts';

let stage: QueueStage;
beforeEach(async () => {
  stage = await QueueStage.open();
});
afterEach(() => stage[Symbol.asyncDispose]());

describe('processing', () => {
  it('acknowledges what a handler has done, and gives back what it failed at', async () => {
    const queue = await stage.queue();
    const failed: unknown[] = [];
    queue.on('failed', ({ job, error }) => failed.push([job.record.offset, String(error)]));
    const done: string[] = [];
    void queue.process(async ({ record }) => {
      await turns(1);
      if (record.text() === '1') throw new Error('no');
      done.push(record.text());
    });
    await stage.lease({ values: numbers(3) });
    await turns(10);
    expect(done).toEqual(['0', '2']);
    expect(failed).toEqual([[1, 'Error: no']]);
    expect(stage.settled.join('; ').split('; ')).toEqual([
      'ack 0.1 [0, 1)',
      'nack 0.1 [1, 2) no',
      'ack 0.1 [2, 3)',
    ]);
  });

  it('leaves a job alone that its handler has settled', async () => {
    const queue = await stage.queue();
    void queue.process((job) => void job.reject('bad'));
    await stage.lease({ values: ['a'] });
    expect(stage.settled).toEqual(['reject 0.1 [0, 1) bad']);
  });

  it('has so many handlers at work at once', async () => {
    const queue = await stage.queue();
    let working = 0;
    const finish: (() => void)[] = [];
    const handler = async (): Promise<void> => {
      working += 1;
      await new Promise<void>((resolve) => finish.push(resolve));
      working -= 1;
    };
    void queue.process(handler, { concurrency: 3 });
    await stage.lease({ values: numbers(5) });
    expect(working).toBe(3);
    finish.shift()!();
    await turns(4);
    expect([working, finish.length]).toEqual([3, 3]);
    for (const each of finish.splice(0)) each();
    await turns(4);
    for (const each of finish.splice(0)) each();
  });

  it('extends the leases of what its handlers are at, and only those', async () => {
    const queue = await stage.queue();
    let finish = (): void => undefined;
    void queue.process(() => new Promise<void>((resolve) => (finish = resolve)));
    await stage.lease({ values: ['a'], leaseMs: 4000 });
    await stage.broker.pass(10_000);
    expect(stage.settled.length).toBeGreaterThan(3);
    expect(new Set(stage.settled)).toEqual(new Set(['extend 0.1 [0, 1)']));
    const extended = stage.settled.length;
    const timers = stage.broker.clock.pendingTimers;
    finish();
    await stage.broker.pass(10_000);
    expect(stage.settled.slice(extended)).toEqual(['ack 0.1 [0, 1)']);
    expect(stage.broker.clock.pendingTimers).toBe(timers - 1);
  });

  it('ends by its signal when what is at work is done, and gives back the rest', async () => {
    const queue = await stage.queue();
    const stop = new AbortController();
    let finish = (): void => undefined;
    const over = queue.process(() => new Promise<void>((resolve) => (finish = resolve)), {
      signal: stop.signal,
    });
    await stage.lease({ values: numbers(3) });
    stop.abort();
    await turns(4);
    expect(stage.settled).toEqual([]);
    finish();
    await over;
    await turns(4);
    expect(stage.settled).toEqual(['ack 0.1 [0, 1); release 0.1 [1, 3)']);
  });

  it('throws what the broker refuses it with', async () => {
    const queue = await stage.queue();
    const over = expect(queue.process(() => undefined)).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    await stage.refuseReceive('TOPIC_NOT_FOUND');
    await over;
  });
});

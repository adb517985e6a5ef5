/** What the states of all queues of a node take in memory has an end, and each queue goes on with a share when others have taken it all. */
import { describe, expect, it } from 'vitest';
import { CUT_MAX_BYTES, HELD_MAX_BYTES } from '../../../src/groups/queue/held-bound.ts';
import { PartitionBudget } from '../../../src/groups/queue/partition-budget.ts';
import { SHARE_BYTES, StateBudget } from '../../../src/groups/queue/state-budget.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeStateLog } from './fake-log.ts';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage } from './queue-stage.ts';

const MAX_BYTES = 256 * 1024;
const HOUR_MS = 3_600_000;
/** Each record of it is alone in its fate: some 24 KB. */
const BATCH = 100;
const BATCH_BYTES = BATCH * 250;

function stageOf(topics: FakeTopics): QueueStage {
  const budget = new PartitionBudget(1000);
  return new QueueStage(topics, new FakeStateLog(), new FakeClock(), budget, new StateBudget(MAX_BYTES));
}

/** Publishes records that are delayed by an hour. */
function putDelayed({ topics, clock }: QueueStage, topic: string, batches: number): void {
  for (let n = 0; n < batches; n++) {
    const records = Array.from({ length: BATCH }, (_, at) => {
      const atMs = clock.now() + HOUR_MS + (n * BATCH + at) * 1000;
      return { value: `${n}.${at}`, headers: { 'sluice-deliver-at': String(atMs) } };
    });
    topics.put(topic, records);
  }
}

describe('what the states of queues take in memory', () => {
  it('is bounded for all partitions of a node together, and none of their records is lost by that', async () => {
    const stage = stageOf(new FakeTopics().make('jobs', 4).make('other'));
    for (const topic of ['jobs', 'other']) putDelayed(stage, topic, 20);
    expect(await stage.values()).toEqual([]);
    expect(await stage.values({ topic: 'other' })).toEqual([]);
    const { heldBytes } = stage.stateBudget;
    expect(heldBytes).toBeGreaterThanOrEqual(MAX_BYTES);
    expect(heldBytes).toBeLessThan((MAX_BYTES * 9) / 8 + BATCH_BYTES);
    expect(stage.queues.counts()['heldBytes']).toBe(heldBytes);

    stage.clock.advance(3 * HOUR_MS);
    for (const topic of ['jobs', 'other']) {
      let done = 0;
      for (let rounds = 0; done < 20 * BATCH && rounds < 100; rounds++) {
        const { jobs } = await stage.receive({ topic });
        await stage.settle('ACK', jobs, { topic });
        done += jobs.length;
      }
      expect(done).toBe(20 * BATCH);
    }
    expect(stage.stateBudget.heldBytes).toBe(0);
  });

  it('leaves each queue a share with which it goes on', async () => {
    const stage = stageOf(new FakeTopics().make('jobs').make('other'));
    putDelayed(stage, 'other', 20);
    await stage.receive({ topic: 'other' });
    stage.topics.put('jobs', 150);
    for (let n = 0; n < 150; n += 3) {
      const { jobs } = await stage.receive({ maxRecords: 3 });
      expect(await stage.settle('NACK', jobs.slice(1, 2))).toEqual([undefined]);
      expect(await stage.settle('ACK', [jobs[0]!, jobs[2]!])).toEqual([undefined, undefined]);
    }
    await stage.pass(10_000);
    expect((await stage.receive()).jobs).toHaveLength(50);
  });

  it('lets a partition with more than its share take and settle what it holds, but cut no run in two', async () => {
    const stage = stageOf(new FakeTopics().make('jobs').make('other'));
    putDelayed(stage, 'jobs', 1);
    stage.topics.put('jobs', 100);
    const { jobs } = await stage.receive({ maxRecords: 50 });
    putDelayed(stage, 'other', 20);
    await stage.receive({ topic: 'other' });
    expect(await stage.settle('NACK', jobs.slice(9, 10))).toEqual(['OVERLOADED']);
    expect(await stage.settle('ACK', [...jobs.slice(9, 10), ...jobs.slice(0, 1)])).toEqual([
      undefined,
      undefined,
    ]);
    expect((await stage.receive({ maxRecords: 50 })).jobs).toHaveLength(50);
  });

  it('wakes who waits when others have made room', async () => {
    const stage = stageOf(new FakeTopics().make('jobs').make('other'));
    putDelayed(stage, 'jobs', 1);
    expect(await stage.values()).toEqual([]);
    putDelayed(stage, 'other', 20);
    await stage.receive({ topic: 'other' });
    stage.topics.put('jobs', [{ value: 'late' }]);
    let values: unknown;
    const waiting = stage.values({ maxWaitMs: 30_000 }).then((got) => (values = got));
    await stage.pass(1000);
    expect(values).toBeUndefined();
    await stage.ask('deleteQueue', { topic: 'other', group: '' } as never);
    await stage.pass(0);
    expect(values).toEqual(['late']);
    await waiting;
  });

  it('is counted no more when another node coordinates them, which holds it all, whatever its bound', async () => {
    const stage = stageOf(new FakeTopics().make('jobs'));
    putDelayed(stage, 'jobs', 10);
    await stage.receive();
    const { heldBytes } = stage.stateBudget;
    const next = stage.succeed();
    expect(next.stateBudget.heldBytes).toBe(heldBytes);
    next.queues.close();
    expect(next.stateBudget.heldBytes).toBe(0);
  });
});

describe('the bounds of a partition', () => {
  it.each([
    [0, HELD_MAX_BYTES, HELD_MAX_BYTES, CUT_MAX_BYTES],
    [799, HELD_MAX_BYTES, HELD_MAX_BYTES, CUT_MAX_BYTES],
    [800, SHARE_BYTES, SHARE_BYTES, CUT_MAX_BYTES],
    [899, SHARE_BYTES, SHARE_BYTES, CUT_MAX_BYTES],
    [900, 0, SHARE_BYTES, SHARE_BYTES],
  ])('where %d of 800 bytes are held are %d, %d and %d', (bytes, offer, held, cut) => {
    const budget = new StateBudget(800);
    budget.change(bytes);
    expect([budget.offerMaxBytes, budget.heldMaxBytes, budget.cutMaxBytes]).toEqual([offer, held, cut]);
  });

  it('are told to grow only when a good part is free, and but once', () => {
    const budget = new StateBudget(800);
    let woken = 0;
    const wake = (): void => void (woken += 1);
    budget.whenRoom(wake); // there is room
    budget.change(-1);
    budget.change(801);
    budget.whenRoom(wake);
    budget.change(-49);
    expect(woken).toBe(0);
    budget.change(-1);
    budget.change(-100);
    expect(woken).toBe(1);
  });
});

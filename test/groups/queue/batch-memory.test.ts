/** Batches that the queues of a node have at hand are bounded together, and each partition is delivered all the same. */
import { describe, expect, it } from 'vitest';
import { BatchMemory } from '../../../src/groups/queue/batch-memory.ts';
import { PartitionBudget } from '../../../src/groups/queue/partition-budget.ts';
import { ReadAhead } from '../../../src/groups/queue/read-ahead.ts';
import { StateBudget } from '../../../src/groups/queue/state-budget.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeStateLog } from './fake-log.ts';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage } from './queue-stage.ts';

const KiB = 1024;
const MAX_BYTES = 2 * KiB * KiB;
const PARTITIONS = 50;
const BATCHES = 4;
const VALUE = 'x'.repeat(100 * KiB);

/** Two queues with 100 partitions together, each with 400 KiB. */
function fullStage(isSlow: boolean): QueueStage {
  const topics = new FakeTopics().make('jobs', PARTITIONS).make('other', PARTITIONS);
  topics.isSlow = isSlow;
  for (const topic of ['jobs', 'other']) {
    for (let at = 0; at < PARTITIONS * BATCHES; at++) topics.put(topic, [{ value: VALUE }], at % PARTITIONS);
  }
  const budgets = [new PartitionBudget(1000), new StateBudget(Infinity), new BatchMemory(MAX_BYTES)] as const;
  return new QueueStage(topics, new FakeStateLog(), new FakeClock(), ...budgets);
}

describe('batches that queues have at hand', () => {
  it.each([true, false])('are bounded, and all are delivered; reads take a turn: %s', async (isSlow) => {
    const stage = fullStage(isSlow);
    let most = 0;
    const left = new Map([
      ['jobs', PARTITIONS * BATCHES],
      ['other', PARTITIONS * BATCHES],
    ]);
    for (let round = 0; round < 1000 && left.size > 0; round++) {
      const received = await Promise.all(
        [...left.keys()].map(async (topic) => {
          const { jobs } = await stage.receive({ topic, maxBytes: 300 * KiB, maxWaitMs: 1000 });
          await stage.settle('ACK', jobs, { topic });
          return [topic, jobs.length] as const;
        }),
      );
      await stage.pass(0);
      most = Math.max(most, stage.batchMemory.bytes);
      for (const [topic, count] of received) {
        expect(count).toBeGreaterThan(0);
        left.set(topic, left.get(topic)! - count);
        if (left.get(topic) === 0) left.delete(topic);
      }
    }
    expect([...left]).toEqual([]);
    expect(most).toBeGreaterThan(MAX_BYTES / 4);
    expect(most).toBeLessThanOrEqual(MAX_BYTES);
  });

  it('are let go when their queues are', async () => {
    const stage = fullStage(true);
    await stage.receive();
    await stage.pass(0);
    expect(stage.batchMemory.bytes).toBeGreaterThan(0);
    stage.queues.close();
    await stage.pass(0);
    expect(stage.batchMemory.bytes).toBe(0);
  });
});

describe('what is read ahead', () => {
  const MAX = 1024 * KiB;
  const readerOf = (gone: string[], name: string) => ({ letGo: () => void gone.push(name) });

  it('is 256 KiB of a partition while there is room, and one batch after that', () => {
    const ahead = new ReadAhead(MAX);
    expect([ahead.room(0), ahead.room(100 * KiB)]).toEqual([256 * KiB, 156 * KiB]);
    ahead.hold(readerOf([], 'a'), MAX - 100 * KiB);
    expect([ahead.room(0), ahead.room(1)]).toEqual([1, 0]);
  });

  it('is let go of by who was asked longest ago', () => {
    const ahead = new ReadAhead(MAX);
    const gone: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => readerOf(gone, name));
    for (const reader of [a!, b!]) ahead.hold(reader, MAX / 2);
    ahead.hold(a!, MAX / 2 - 1);
    ahead.hold(c!, MAX / 2);
    expect([gone, ahead.bytes]).toEqual([['b'], MAX - 1]);
  });

  it('stays of who has read last, also when it alone is too much', () => {
    const ahead = new ReadAhead(MAX);
    const gone: string[] = [];
    const a = { letGo: () => ahead.hold(a, 0) };
    ahead.hold(a, 10);
    ahead.hold(readerOf(gone, 'b'), 2 * MAX);
    expect([gone, ahead.bytes]).toEqual([[], 2 * MAX]);
  });
});

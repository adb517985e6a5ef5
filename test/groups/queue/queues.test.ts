import { describe, expect, it } from 'vitest';
import { filterBatch } from '../../../src/wire/record-batch-filter.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { turns } from '../../support/turns.ts';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage, codeOf } from './queue-stage.ts';

const numbers = (count: number): { value: string }[] =>
  Array.from({ length: count }, (_, at) => ({ value: String(at) }));

describe('receiving', () => {
  it('leases what is there, each record to one consumer', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(5));
    expect(await stage.values({ maxRecords: 2 })).toEqual(['0', '1']);
    expect(await stage.values()).toEqual(['2', '3', '4']);
    expect(await stage.values()).toEqual([]);
  });

  it('leases with one grant what one consumer takes of a partition, in however many batches it is', async () => {
    const stage = new QueueStage();
    for (const record of numbers(5)) stage.topics.put('jobs', [record]);
    const { jobs } = await stage.receive({ maxRecords: 4 });
    expect(jobs.map(({ value }) => value)).toEqual(['0', '1', '2', '3']);
    expect(new Set(jobs.map(({ grant }) => grant)).size).toBe(1);
    expect(await stage.settle('ACK', [jobs[1]!, jobs[3]!])).toEqual([undefined, undefined]);
    expect(await stage.counted()).toMatchObject({ ready: 1, leased: 2 });
    expect(await stage.values()).toEqual(['4']);
  });

  it('makes the topic that it is asked for', async () => {
    const stage = new QueueStage(new FakeTopics());
    expect(await stage.values()).toEqual([]);
    stage.topics.put('jobs', numbers(1));
    expect(await stage.values()).toEqual(['0']);
  });

  it('waits until something is published', async () => {
    const stage = new QueueStage();
    const received = stage.receive({ maxWaitMs: 5000 });
    await stage.pass(4000);
    stage.topics.put('jobs', numbers(1));
    expect((await received).jobs).toMatchObject([{ value: '0', attempt: 1 }]);
  });

  it('answers with nothing when the time is up', async () => {
    const stage = new QueueStage();
    let answered = false;
    const received = stage.receive({ maxWaitMs: 5000 }).finally(() => {
      answered = true;
    });
    await stage.pass(4999);
    expect(answered).toBe(false);
    await stage.pass(1);
    expect((await received).jobs).toEqual([]);
  });

  it('answers with nothing when the time is up, also while old records cannot be read', async () => {
    let stage = new QueueStage();
    for (const record of numbers(40)) stage.topics.put('jobs', [record]);
    const { jobs } = await stage.receive({ leaseMs: 1000 });
    await stage.settle(
      'ACK',
      jobs.filter((_, at) => at % 2 === 0),
    );
    stage = stage.succeed();
    stage.topics.openReader = () => Promise.reject(new SluiceError('NOT_LEADER', 'nobody leads it'));
    for (let second = 0; second < 3; second++) await stage.pass(1000);
    let answered = false;
    const received = stage.values({ maxWaitMs: 1000 }).finally(() => {
      answered = true;
    });
    await stage.pass(1000);
    expect(answered).toBe(true);
    expect(await received).toEqual([]);
  });

  it('serves those who wait in the order in which they came', async () => {
    const stage = new QueueStage();
    const first = stage.values({ maxWaitMs: 5000, maxRecords: 1 });
    const second = stage.values({ maxWaitMs: 5000, maxRecords: 1 });
    await turns();
    stage.topics.put('jobs', numbers(2));
    expect([await first, await second]).toEqual([['0'], ['1']]);
  });

  it('takes from all partitions in turn', async () => {
    const stage = new QueueStage(new FakeTopics().make('jobs', 3));
    for (const partition of [0, 1, 2]) stage.topics.put('jobs', numbers(4), partition);
    const partitions = new Set<number>();
    await stage.receive({ maxRecords: 1 });
    for (let i = 0; i < 3; i++) {
      for (const job of (await stage.receive({ maxRecords: 1 })).jobs) partitions.add(job.partition);
    }
    expect(partitions.size).toBe(3);
  });

  it('keeps to the bytes that are wanted, but for the first batch', async () => {
    const stage = new QueueStage();
    for (let i = 0; i < 5; i++) stage.topics.put('jobs', [{ value: 'x'.repeat(1000) }]);
    expect((await stage.receive({ maxBytes: 100 })).jobs).toHaveLength(1);
    expect((await stage.receive({ maxBytes: 2500 })).jobs).toHaveLength(2);
  });

  it('sends a copy with little in it when little of a large batch is leased', async () => {
    const stage = new QueueStage();
    stage.topics.put(
      'jobs',
      numbers(100).map(({ value }) => ({ value: value.padEnd(1000) })),
    );
    const { jobs } = await stage.receive({ maxRecords: 2, maxBytes: 5000 });
    expect(jobs.map(({ offset }) => offset)).toEqual([0, 1]);
    expect((await stage.receive({ maxRecords: 98 })).jobs).toHaveLength(98);
  });

  it('leases nothing for an asker that has gone while it waited', async () => {
    const stage = new QueueStage();
    const asker = new AbortController();
    const received = codeOf(stage.receive({ maxWaitMs: 5000 }, asker.signal));
    await turns();
    asker.abort();
    expect(await received).toBe('CANCELLED');
    stage.topics.put('jobs', numbers(1));
    expect((await stage.receive()).jobs).toMatchObject([{ attempt: 1 }]);
  });

  it('gives back what an asker did not live to be told', async () => {
    const stage = new QueueStage();
    await stage.receive();
    stage.topics.put('jobs', numbers(1));
    stage.log.isHeld = true;
    const asker = new AbortController();
    const received = codeOf(stage.receive({ maxWaitMs: 5000 }, asker.signal));
    await turns();
    asker.abort();
    stage.log.release();
    expect(await received).toBe('CANCELLED');
    expect((await stage.receive()).jobs).toMatchObject([{ value: '0', attempt: 1 }]);
  });

  it('tells nobody of a lease before it is stored', async () => {
    const stage = new QueueStage();
    await stage.receive();
    stage.topics.put('jobs', numbers(1));
    stage.log.isHeld = true;
    let answered = false;
    const received = stage.receive().finally(() => {
      answered = true;
    });
    await turns();
    expect(answered).toBe(false);
    stage.log.release();
    expect((await received).jobs).toHaveLength(1);
  });

  it('leases a record to nobody else while its lease is being stored, however long that takes', async () => {
    const stage = new QueueStage();
    await stage.configure({ leaseMs: 1000, backoffMs: 10, maxAttempts: 2 });
    await stage.receive();
    stage.topics.put('jobs', numbers(1));
    stage.log.isHeld = true;
    const first = stage.receive();
    let isSecondTold = false;
    const second = stage.receive({ maxWaitMs: 60_000 }).finally(() => {
      isSecondTold = true;
    });
    await stage.pass(5000);
    await stage.pass(5000);
    stage.log.release();
    expect((await first).jobs).toMatchObject([{ value: '0', attempt: 1 }]);
    await stage.pass(999);
    expect(isSecondTold).toBe(false);
    await stage.pass(1);
    await stage.pass(10);
    expect((await second).jobs).toMatchObject([{ value: '0', attempt: 2 }]);
  });

  it('waits for nothing that was not its own once a lease has begun', async () => {
    const stage = new QueueStage();
    await stage.receive();
    stage.topics.put('jobs', numbers(2));
    stage.log.isHeld = true;
    const first = stage.receive({ maxRecords: 1 });
    await turns();
    stage.log.release();
    stage.log.isHeld = true;
    const second = stage.receive({ maxRecords: 1 });
    expect((await first).jobs).toHaveLength(1);
    stage.log.release();
    expect((await second).jobs).toHaveLength(1);
  });

  it('gives a lease its full time from the answer on, however long that took to store', async () => {
    const stage = new QueueStage();
    await stage.receive();
    stage.topics.put('jobs', numbers(1));
    stage.log.isHeld = true;
    const received = stage.receive({ leaseMs: 1000 });
    await stage.pass(900);
    stage.log.release();
    const { jobs } = await received;
    await stage.pass(900);
    expect(await stage.settle('ACK', jobs)).toEqual([undefined]);
  });

  it('does not say of an acknowledgement that is being stored when it ends that nothing was done', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    const { jobs } = await stage.receive();
    stage.log.isHeld = true;
    const settling = codeOf(stage.settle('ACK', jobs));
    await turns();
    stage.queues.close();
    expect(await settling).toBe('UNAVAILABLE');
  });

  it('ends with the log, and answers nothing', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    await stage.receive();
    stage.log.failure = new Error('the disk is gone');
    const waiting = codeOf(stage.receive({ maxWaitMs: 5000 }));
    await turns();
    stage.topics.put('jobs', numbers(1));
    expect(await waiting).toBe('NOT_LEADER');
    expect(stage.failures).toEqual([stage.log.failure]);
    expect(await codeOf(stage.receive())).toBe('NOT_LEADER');
    expect(stage.clock.pendingTimers).toBe(0);
  });

  it('begins where it was told to', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(2));
    await stage.configure({ start: { at: { case: 'latest', value: true } } });
    stage.topics.put('jobs', [{ value: 'new' }]);
    expect(await stage.values()).toEqual(['new']);
  });

  it('is no queue before it is stored where it begins', async () => {
    const stage = new QueueStage(new FakeTopics().make('jobs', 3));
    await stage.configure({ start: { at: { case: 'latest', value: true } } });
    expect(stage.log.keys()).toEqual([
      ...[0, 1, 2].map((partition) => `q/jobs/default/${partition}/s`),
      'q/jobs/default',
    ]);
  });

  it.each([
    { maxRecords: 0 },
    { maxRecords: 10_001 },
    { leaseMs: 9 },
    { leaseMs: 12 * 3_600_000 + 1 },
    { group: 'a/b' },
  ])('refuses %o', async (question) => {
    expect(await codeOf(new QueueStage().receive(question))).toBe('INVALID_ARGUMENT');
  });

  it('refuses internal topics', async () => {
    expect(await codeOf(new QueueStage().receive({ topic: '__groups' }))).toBe('INVALID_TOPIC');
  });
});

describe('settling', () => {
  it('forgets what is acknowledged', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(3));
    const { jobs } = await stage.receive();
    expect(await stage.settle('ACK', jobs)).toEqual([undefined, undefined, undefined]);
    await stage.pass(60_000);
    expect(await stage.values()).toEqual([]);
    expect((await stage.describe()).partitions).toMatchObject([{ floor: 3n, cursor: 3n, end: 3n }]);
  });

  it('delivers again after the backoff, which doubles', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    for (const [at, backoffMs] of [1000, 2000, 4000].entries()) {
      const { jobs } = await stage.receive();
      expect(jobs).toMatchObject([{ attempt: at + 1 }]);
      await stage.settle('NACK', jobs);
      await stage.pass(backoffMs - 1);
      expect(await stage.values()).toEqual([]);
      await stage.pass(1);
    }
    expect((await stage.receive()).jobs).toMatchObject([{ value: '0', attempt: 4 }]);
  });

  it('delivers again after the delay that was asked for, to somebody who waits', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    await stage.settle('NACK', (await stage.receive()).jobs, { delayMs: 300 });
    const received = stage.receive({ maxWaitMs: 5000 });
    await stage.pass(300);
    expect((await received).jobs).toMatchObject([{ attempt: 2 }]);
  });

  it('delivers again when the lease has ended', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    const { jobs } = await stage.receive({ leaseMs: 500 });
    await stage.pass(500);
    expect(await stage.settle('ACK', jobs)).toEqual(['LEASE_EXPIRED']);
    await stage.pass(1000);
    expect((await stage.receive()).jobs).toMatchObject([{ attempt: 2 }]);
  });

  it('does not deliver again while the lease is extended', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    const { jobs } = await stage.receive({ leaseMs: 500 });
    await stage.pass(400);
    await stage.settle('EXTEND', jobs, { delayMs: 1000 });
    await stage.pass(999);
    expect(await stage.settle('ACK', jobs)).toEqual([undefined]);
  });

  it('counts no attempt for what is released', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    await stage.settle('RELEASE', (await stage.receive()).jobs);
    expect((await stage.receive()).jobs).toMatchObject([{ attempt: 1 }]);
  });

  it('settles what it can of a range and says that it was not all', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(2));
    const { jobs } = await stage.receive();
    await stage.settle('ACK', jobs.slice(1));
    expect(await stage.settle('ACK', jobs)).toEqual([undefined, 'LEASE_EXPIRED']);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });

  it('knows no lease of another grant, partition or queue', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    const [job] = (await stage.receive()).jobs;
    expect(await stage.settle('ACK', [{ ...job!, grant: 99 }])).toEqual(['LEASE_EXPIRED']);
    expect(await stage.settle('ACK', [{ ...job!, partition: 7 }])).toEqual(['LEASE_EXPIRED']);
    expect(await codeOf(stage.settle('ACK', [job!], { topic: 'others' }))).toBe('QUEUE_NOT_FOUND');
  });

  it('reads again what only a disk has', async () => {
    const stage = new QueueStage();
    stage.topics.isSlow = true;
    for (let i = 0; i < 50; i++) stage.topics.put('jobs', [{ value: `${i}`.padEnd(600_000) }]);
    const jobs = [];
    while (jobs.length < 50)
      jobs.push(...(await stage.receive({ maxBytes: 16 << 20, maxWaitMs: 1000 })).jobs);
    await stage.settle('NACK', jobs, { delayMs: 0 });
    const again = new Set<string>();
    while (again.size < 50) {
      for (const { value } of (await stage.receive({ maxWaitMs: 1000 })).jobs) again.add(value!.trim());
    }
    expect([...again].sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 50 }, (_, i) => String(i)),
    );
  });
});

describe('delivery times', () => {
  const at = (stage: QueueStage, ms: number): string => String(stage.clock.now() + ms);

  it('delivers a record not before its time', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', [
      { value: 'late', headers: { 'sluice-deliver-at': at(stage, 500) } },
      { value: 'now' },
    ]);
    expect(await stage.values()).toEqual(['now']);
    const received = stage.values({ maxWaitMs: 5000 });
    await stage.pass(499);
    expect(await stage.counted()).toMatchObject({ delayed: 1 });
    await stage.pass(1);
    expect(await received).toEqual(['late']);
  });

  it('delivers a record not after its time to live, also when it is delivered again', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', [{ value: 'short', headers: { 'sluice-expire-at': at(stage, 100) } }]);
    await stage.settle('NACK', (await stage.receive()).jobs, { delayMs: 50 });
    await stage.pass(100);
    stage.topics.put('jobs', [
      { value: 'old', headers: { 'sluice-expire-at': at(stage, 0) } },
      { value: 'fresh' },
    ]);
    expect(await stage.values()).toEqual(['fresh']);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 1, delayed: 0 });
  });

  it('takes a header that is no time for nothing', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', [
      { value: 'a', headers: { 'sluice-expire-at': 'soon', 'sluice-deliver-at': '-1' } },
    ]);
    expect(await stage.values()).toEqual(['a']);
  });
});

describe('order by key', () => {
  it('delivers a record when the one before it of the same key is done', async () => {
    const stage = new QueueStage();
    await stage.configure({ orderedByKey: true });
    stage.topics.put('jobs', [
      { key: 'a', value: 'a1' },
      { key: 'a', value: 'a2' },
      { key: 'b', value: 'b1' },
      { value: 'free' },
    ]);
    const { jobs } = await stage.receive();
    expect(jobs.map(({ value }) => value)).toEqual(['a1', 'b1', 'free']);
    const received = stage.values({ maxWaitMs: 5000 });
    await stage.settle('NACK', jobs.slice(0, 1), { delayMs: 0 });
    expect(await received).toEqual(['a1']);
    const [again] = (await stage.receive({ leaseMs: 10 })).jobs;
    expect(again).toBeUndefined();
  });
});

describe('retention', () => {
  it('says what is gone before anybody could have it', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(2));
    await stage.configure({});
    stage.topics.put('jobs', numbers(1));
    stage.topics.log('jobs').cutTo(2);
    const { jobs, gaps } = await stage.receive();
    expect(jobs.map(({ offset }) => offset)).toEqual([2]);
    expect(gaps).toEqual([{ partition: 0, from: 0, to: 2 }]);
  });

  it('does not wait for records that are gone between two deliveries', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', [{ value: 'x'.repeat(9_000_000) }]);
    stage.topics.put('jobs', [{ value: 'y'.repeat(9_000_000) }]);
    await stage.settle('NACK', (await stage.receive({ maxRecords: 1 })).jobs, { delayMs: 1000 });
    await stage.receive({ maxRecords: 1 });
    stage.topics.log('jobs').cutTo(1);
    await stage.pass(1000);
    expect(await stage.receive({ maxWaitMs: 100 })).toEqual({
      jobs: [],
      gaps: [{ partition: 0, from: 0, to: 1 }],
    });
  });
});

describe('compaction', () => {
  it('does not wait for a record that was taken out between two deliveries', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', [{ value: 'x'.repeat(9_000_000) }, { value: 'kept' }]);
    stage.topics.put('jobs', [{ value: 'y'.repeat(9_000_000) }]);
    await stage.settle('NACK', (await stage.receive({ maxRecords: 2 })).jobs, { delayMs: 1000 });
    await stage.receive({ maxRecords: 1 });
    const { batches } = stage.topics.log('jobs');
    batches[0] = filterBatch(batches[0]!, ({ offset }) => offset === 1);
    await stage.pass(1000);
    expect(await stage.values({ maxWaitMs: 100 })).toEqual(['kept']);
    expect((await stage.describe()).partitions).toMatchObject([{ floor: 1n, leased: 2n }]);
  });

  it('does not wait for a batch that was taken out between two deliveries', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', [{ value: 'x'.repeat(9_000_000) }]);
    stage.topics.put('jobs', [{ value: 'y'.repeat(9_000_000) }]);
    await stage.settle('NACK', (await stage.receive({ maxRecords: 1 })).jobs, { delayMs: 1000 });
    await stage.receive({ maxRecords: 1 });
    stage.topics.log('jobs').batches.shift();
    await stage.pass(1000);
    expect((await stage.receive({ maxWaitMs: 100 })).jobs).toEqual([]);
    expect((await stage.describe()).partitions).toMatchObject([{ floor: 1n, leased: 1n }]);
  });

  it('knows no record where none is', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(3));
    const { batches } = stage.topics.log('jobs');
    batches[0] = filterBatch(batches[0]!, ({ offset }) => offset === 1);
    await stage.receive();
    expect(await stage.counted()).toEqual({ ready: 0, leased: 1, delayed: 0 });
  });
});

describe('administration', () => {
  it('lists queues with what is in them', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(5));
    await stage.receive({ maxRecords: 2 });
    const { queues } = await stage.ask('listQueues', {} as never);
    expect(queues).toEqual([
      { topic: 'jobs', group: 'default', ready: 3n, leased: 2n, delayed: 0n, coordinatorNodeId: 'n1' },
    ]);
  });

  it('deletes a queue, which begins anew when it is asked for', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    await stage.receive();
    await stage.ask('deleteQueue', { topic: 'jobs', group: '' } as never);
    expect(stage.log.keys()).toEqual([]);
    expect(await codeOf(stage.describe())).toBe('QUEUE_NOT_FOUND');
    expect((await stage.receive()).jobs).toMatchObject([{ attempt: 1 }]);
  });

  it('stores nothing of a queue behind its end', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    const { jobs } = await stage.receive();
    const settled = stage.settle('ACK', jobs);
    await stage.ask('deleteQueue', { topic: 'jobs', group: '' } as never);
    await settled;
    expect(stage.log.keys()).toEqual([]);
  });

  it('shows records that are not done, without leasing them', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(5));
    const { jobs } = await stage.receive({ maxRecords: 3 });
    await stage.settle('ACK', jobs.slice(0, 1));
    const browsed = await stage.browse();
    expect(browsed.jobs.map(({ value, attempt }) => [value, attempt])).toEqual([
      ['1', 1],
      ['2', 1],
      ['3', 0],
      ['4', 0],
    ]);
    expect(browsed.next).toEqual([]);
    expect(await stage.counted()).toEqual({ ready: 2, leased: 2, delayed: 0 });
  });

  it('shows all of several partitions page by page', async () => {
    const stage = new QueueStage(new FakeTopics().make('jobs', 2));
    for (const partition of [0, 1]) stage.topics.put('jobs', numbers(5), partition);
    const seen: string[] = [];
    let positions: { partition: number; offset: bigint }[] = [];
    for (let page = 0; page < 10; page++) {
      const browsed = await stage.browse({ maxRecords: 3, positions: positions as never });
      seen.push(...browsed.jobs.map(({ partition, offset }) => `${partition}/${offset}`));
      positions = browsed.next;
      if (positions.length === 0) break;
    }
    expect(seen).toEqual(
      [0, 1].flatMap((partition) => [0, 1, 2, 3, 4].map((offset) => `${partition}/${offset}`)),
    );
  });

  it('discards what nobody has leased', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(5));
    const { jobs } = await stage.receive({ maxRecords: 2 });
    expect(await stage.discard()).toBe(3);
    expect(await stage.values()).toEqual([]);
    expect(await stage.settle('ACK', jobs)).toEqual([undefined, undefined]);
  });

  it('discards only what is named', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(5));
    expect(await stage.discard({ ranges: [{ partition: 0, first: 2n, end: 4n }] as never })).toBe(2);
    expect(await stage.values()).toEqual(['0', '1', '4']);
  });

  it.each(['move', 'discard'] as const)('%ss no record that is not there, and says so', async (work) => {
    const stage = new QueueStage();
    stage.topics.make('other').put('jobs', numbers(5));
    const { jobs } = await stage.receive({ maxRecords: 2 });
    await stage.settle('ACK', jobs.slice(0, 1));
    const named = (partition: number, first: number, end = first + 1): Promise<number> =>
      stage[work]({
        ranges: [{ partition, first: BigInt(first), end: BigInt(end) }] as never,
        ...(work === 'move' ? { destination: 'other' } : {}),
      });
    // Done, behind the end, in no partition that there is.
    for (const absent of [named(0, 0), named(0, 5), named(7, 0)]) {
      expect(await codeOf(absent)).toBe('RECORD_NOT_FOUND');
    }
    // Leased: there, and left alone.
    expect(await named(0, 1)).toBe(0);
    expect(await named(0, 0, 4)).toBe(2);
    expect(await stage.values()).toEqual(['4']);
  });

  it('discards no record that compaction has taken before the queue came to it', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(4));
    const { batches } = stage.topics.log('jobs');
    batches[0] = filterBatch(batches[0]!, ({ offset }) => offset !== 0);
    expect(await codeOf(stage.discard({ ranges: [{ partition: 0, first: 0n, end: 1n }] as never }))).toBe(
      'RECORD_NOT_FOUND',
    );
    expect(await stage.values()).toEqual(['1', '2', '3']);
  });

  it.each([{ leaseMs: 1 }, { maxAttempts: 1001 }, { deadLetterTopic: 'jobs' }, { deadLetterTopic: '__x' }])(
    'refuses the setting %o',
    async (settings) => {
      expect(await codeOf(new QueueStage().configure(settings))).toBe('INVALID_ARGUMENT');
    },
  );
});

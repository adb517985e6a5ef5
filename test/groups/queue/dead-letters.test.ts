import { describe, expect, it, vi } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import { turns } from '../../support/turns.ts';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage, codeOf } from './queue-stage.ts';

const texts = (count: number): { key: string; value: string }[] =>
  Array.from({ length: count }, (_, at) => ({ key: `k${at}`, value: String(at) }));

/** Values of a topic, sorted. */
const valuesOf = (topics: FakeTopics, topic: string): (string | null)[] =>
  topics
    .records(topic)
    .map(({ value }) => value)
    .sort((a, b) => Number(a) - Number(b));

/** A node that hangs in the middle of a call, and is never heard of again. */
const never = (): Promise<never> => new Promise(() => undefined);

describe('dead letters', () => {
  it('moves what is rejected, with its past', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', [{ value: 'a' }, { key: 'k', value: 'b', headers: { h: '1' } }]);
    const { jobs } = await stage.receive();
    await stage.settle('REJECT', jobs.slice(1), { reason: 'no such customer' });
    await turns();
    expect(stage.topics.records('dlq.jobs')).toEqual([
      {
        offset: 0,
        key: 'k',
        value: 'b',
        headers: {
          h: '1',
          'sluice-dlq-reason': 'rejected',
          'sluice-dlq-text': 'no such customer',
          'sluice-dlq-attempts': '1',
          'sluice-dlq-group': 'default',
          'sluice-dlq-topic': 'jobs',
          'sluice-dlq-partition': '0',
          'sluice-dlq-offset': '1',
          'sluice-dlq-time': String(stage.clock.now()),
        },
      },
    ]);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 1, delayed: 0 });
  });

  it('moves what was delivered too often, by nack or because leases ended', async () => {
    const stage = new QueueStage();
    await stage.configure({ maxAttempts: 2, backoffMs: 0, leaseMs: 100 });
    stage.topics.put('jobs', texts(2));
    for (let attempt = 1; attempt <= 2; attempt++) {
      const { jobs } = await stage.receive();
      expect(jobs.map((job) => job.attempt)).toEqual([attempt, attempt]);
      await stage.settle('NACK', jobs.slice(0, 1));
      await stage.pass(100);
    }
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(['0', '1']);
    const [record] = stage.topics.records('dlq.jobs');
    expect(record?.headers).toMatchObject({
      'sluice-dlq-reason': 'max-attempts',
      'sluice-dlq-attempts': '2',
    });
    expect(await stage.values()).toEqual([]);
  });

  it('delivers without end where that is wanted, as it does with dead letters', async () => {
    const stage = new QueueStage(new FakeTopics().make('dlq.jobs'));
    stage.topics.put('dlq.jobs', texts(1));
    for (let attempt = 1; attempt <= 8; attempt++) {
      const { jobs } = await stage.receive({ topic: 'dlq.jobs' });
      expect(jobs).toMatchObject([{ attempt }]);
      await stage.settle('NACK', jobs, { delayMs: 0, topic: 'dlq.jobs' });
    }
  });

  it('goes where it was told to', async () => {
    const stage = new QueueStage();
    await stage.configure({ deadLetterTopic: 'failed' });
    stage.topics.put('jobs', texts(1));
    await stage.settle('REJECT', (await stage.receive()).jobs);
    await turns();
    expect(valuesOf(stage.topics, 'failed')).toEqual(['0']);
  });

  it('keeps records of one key in one partition, and moves many', async () => {
    const stage = new QueueStage(new FakeTopics().make('jobs', 4));
    stage.topics.put('jobs', texts(500), 2);
    await stage.settle('REJECT', (await stage.receive()).jobs);
    await turns(200);
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(texts(500).map(({ value }) => value));
    const used = [0, 1, 2, 3].filter((partition) => stage.topics.log('dlq.jobs', partition).end > 0);
    expect(used).toEqual([0, 1, 2, 3]);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });

  it('does not take the time to live along, nor the past of a dead letter before', async () => {
    const stage = new QueueStage();
    const expireAt = String(stage.clock.now() + 1000);
    stage.topics.put('jobs', [{ headers: { 'sluice-expire-at': expireAt, 'sluice-dlq-topic': 'old' } }]);
    await stage.settle('REJECT', (await stage.receive()).jobs);
    await turns();
    const [record] = stage.topics.records('dlq.jobs');
    expect(record?.headers['sluice-expire-at']).toBeUndefined();
    expect(record?.headers['sluice-dlq-topic']).toBe('jobs');
  });

  it('tries again while the topic of dead letters cannot be reached, and moves once', async () => {
    const stage = new QueueStage();
    let refusals = 3;
    stage.topics.onPublish = () => {
      if (refusals-- > 0) throw new SluiceError('NOT_ENOUGH_REPLICAS', 'not now');
    };
    let lost = 1;
    stage.topics.onPublished = () => {
      if (lost-- > 0) throw new SluiceError('TIMEOUT', 'stored, but the answer is lost');
    };
    stage.topics.put('jobs', texts(3));
    await stage.settle('REJECT', (await stage.receive()).jobs);
    for (let i = 0; i < 20; i++) await stage.pass(1000);
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(['0', '1', '2']);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });

  it('moves with another producer when its own is not known any more', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', texts(2));
    const { jobs } = await stage.receive();
    await stage.settle('REJECT', jobs.slice(0, 1));
    await turns();
    const producers = new Set<number>();
    stage.topics.onPublish = (_, batch) => {
      producers.add(batch.readInt32BE(47));
      if (producers.size === 1) throw new SluiceError('UNKNOWN_PRODUCER', 'forgotten');
    };
    await stage.settle('REJECT', jobs.slice(1));
    for (let i = 0; i < 5; i++) await stage.pass(1000);
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(['0', '1']);
    expect(producers.size).toBe(2);
  });

  it('keeps a dead letter that is too large for its topic, and moves the others', async () => {
    const stage = new QueueStage();
    let isStrict = true;
    stage.topics.onPublish = (_, batch) => {
      if (isStrict && batch.length > 2000) throw new SluiceError('BATCH_TOO_LARGE', 'too large');
    };
    stage.topics.put('jobs', [{ value: '1' }, { value: '2'.padEnd(3000) }, { value: '3' }]);
    await stage.settle('REJECT', (await stage.receive()).jobs);
    await stage.pass(1000);
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(['1', '3']);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 1 });
    expect(stage.queues.counts()['refusedDeadLetters']).toBe(1);
    isStrict = false;
    await stage.pass(60_000);
    expect(stage.topics.records('dlq.jobs')).toHaveLength(3);
  });

  it('begins anew when the topic of dead letters is deleted', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', texts(2));
    const { jobs } = await stage.receive();
    await stage.settle('REJECT', jobs.slice(0, 1));
    await turns();
    stage.topics.delete('dlq.jobs');
    await stage.settle('REJECT', jobs.slice(1));
    await stage.pass(1000);
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(['1']);
  });

  it('is done with a dead letter that retention took first', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', [{ value: 'x'.repeat(9_000_000) }]);
    stage.topics.put('jobs', [{ value: 'x'.repeat(9_000_000) }]);
    const { jobs } = await stage.receive({ maxRecords: 1 });
    await stage.receive({ maxRecords: 1 });
    stage.topics.log('jobs').cutTo(1);
    await stage.settle('REJECT', jobs);
    await stage.pass(1000);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 1, delayed: 0 });
    expect(stage.queues.counts()['gaps']).toBe(1);
  });
});

describe('a coordinator that crashes while it moves dead letters', () => {
  /** Rejects three records and lets the node crash somewhere; another one goes on. @returns whether it came so far */
  async function crash(arm: (stage: QueueStage) => void): Promise<QueueStage> {
    const first = new QueueStage();
    first.topics.put('jobs', texts(3));
    const { jobs } = await first.receive();
    arm(first);
    void first.settle('REJECT', jobs).catch(() => undefined);
    await turns(30);
    first.topics.onPublish = () => undefined;
    first.topics.onPublished = () => undefined;
    const second = first.succeed();
    await second.pass(30_000);
    await second.pass(30_000);
    // What the first had not stored is not dead: its leases have ended.
    const { jobs: again } = await second.receive();
    await second.settle('REJECT', again);
    await second.pass(1000);
    return second;
  }

  /** Appends up to the end of the move: the dead, the intent, the end. */
  it.each([1, 2, 3, 4])('before append %i moves each exactly once', async (append) => {
    const stage = await crash(({ log }) => {
      log.crashAt = log.appends + append;
    });
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(['0', '1', '2']);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });

  it('before it publishes moves each exactly once', async () => {
    const stage = await crash(({ topics }) => {
      topics.onPublish = never;
    });
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(['0', '1', '2']);
  });

  it('before it hears that it has published moves each exactly once', async () => {
    const stage = await crash(({ topics }) => {
      topics.onPublished = never;
    });
    expect(valuesOf(stage.topics, 'dlq.jobs')).toEqual(['0', '1', '2']);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });

  it('and publishes late what its successor has published moves each exactly once', async () => {
    const first = new QueueStage();
    first.topics.put('jobs', texts(3));
    const { jobs } = await first.receive();
    let goOn: () => void = () => undefined;
    first.topics.onPublish = () => new Promise((resolve) => (goOn = resolve));
    void first.settle('REJECT', jobs).catch(() => undefined);
    await turns(30);
    first.topics.onPublish = () => undefined;
    const second = first.succeed();
    await second.pass(1000);
    goOn();
    await turns(30);
    expect(valuesOf(second.topics, 'dlq.jobs')).toEqual(['0', '1', '2']);
  });

  it('is no reason to move twice when retention has taken a part meanwhile', async () => {
    const first = new QueueStage();
    for (const record of texts(3)) first.topics.put('jobs', [record]);
    const { jobs } = await first.receive();
    first.topics.onPublished = never;
    void first.settle('REJECT', jobs).catch(() => undefined);
    await turns(30);
    first.topics.onPublished = () => undefined;
    first.topics.log('jobs').cutTo(1);
    const second = first.succeed();
    await second.pass(1000);
    expect(valuesOf(second.topics, 'dlq.jobs')).toEqual(['0', '1', '2']);
    expect(await second.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });
});

describe('moving records back', () => {
  /** Three dead letters of `jobs`, and nothing else. */
  async function withDeadLetters(): Promise<QueueStage> {
    const stage = new QueueStage();
    stage.topics.put('jobs', texts(3));
    await stage.settle('REJECT', (await stage.receive()).jobs);
    await turns(30);
    return stage;
  }

  it('brings all to where they came from, without their past, and they are dead letters no more', async () => {
    const stage = await withDeadLetters();
    expect(await stage.move({ topic: 'dlq.jobs' })).toBe(3);
    const { jobs } = await stage.receive();
    expect(jobs).toMatchObject([
      { key: 'k0', value: '0', headers: {}, attempt: 1 },
      { key: 'k1', value: '1', headers: {}, attempt: 1 },
      { key: 'k2', value: '2', headers: {}, attempt: 1 },
    ]);
    expect((await stage.browse({ topic: 'dlq.jobs' })).jobs).toEqual([]);
    expect(await stage.move({ topic: 'dlq.jobs' })).toBe(0);
  });

  it('brings back one alone', async () => {
    const stage = await withDeadLetters();
    const ranges = [{ partition: 0, first: 1n, end: 2n }] as never;
    expect(await stage.move({ topic: 'dlq.jobs', ranges })).toBe(1);
    expect(await stage.values()).toEqual(['1']);
    expect((await stage.browse({ topic: 'dlq.jobs' })).jobs.map(({ value }) => value)).toEqual(['0', '2']);
  });

  it('leaves what lies before the one that is wanted to be delivered', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', texts(2));
    stage.topics.put('jobs', [{ value: '2' }]);
    const ranges = [{ partition: 0, first: 2n, end: 3n }] as never;
    expect(await stage.move({ destination: 'others', ranges })).toBe(1);
    expect(valuesOf(stage.topics, 'others')).toEqual(['2']);
    expect(await stage.values()).toEqual(['0', '1']);
  });

  it('brings them to another topic', async () => {
    const stage = await withDeadLetters();
    expect(await stage.move({ topic: 'dlq.jobs', destination: 'others' })).toBe(3);
    expect(valuesOf(stage.topics, 'others')).toEqual(['0', '1', '2']);
  });

  it('leaves those that somebody has leased', async () => {
    const stage = await withDeadLetters();
    const { jobs } = await stage.receive({ topic: 'dlq.jobs', maxRecords: 1 });
    expect(await stage.move({ topic: 'dlq.jobs' })).toBe(2);
    await stage.settle('RELEASE', jobs, { topic: 'dlq.jobs' });
    expect(await stage.move({ topic: 'dlq.jobs' })).toBe(1);
  });

  it('goes where no header may lead it', async () => {
    const stage = new QueueStage(new FakeTopics().make('dlq.jobs'));
    for (const origin of ['__groups', 'secrets', 'no/name']) {
      stage.topics.put('dlq.jobs', [{ headers: { 'sluice-dlq-topic': origin } }]);
    }
    expect(await codeOf(stage.move({ topic: 'dlq.jobs' }))).toBe('INVALID_ARGUMENT');
    expect(stage.topics.records('secrets')).toEqual([]);
    expect((await stage.browse({ topic: 'dlq.jobs' })).jobs).toHaveLength(3);
  });

  it('moves many, each once, over a crash in the middle', async () => {
    const first = new QueueStage();
    first.topics.put('jobs', texts(1000));
    let publishes = 0;
    first.topics.onPublished = () => (++publishes === 5 ? never() : undefined);
    void first.move({ destination: 'copies' }).catch(() => undefined);
    await turns(100);
    expect(publishes).toBe(5);
    const second = first.succeed();
    first.topics.onPublished = () => undefined;
    await turns(100);
    const moved = await second.move({ destination: 'copies' });
    expect(moved).toBe(1000 - 5 * 99);
    expect(valuesOf(second.topics, 'copies')).toEqual(texts(1000).map(({ value }) => value));
    expect(second.topics.records('copies').map(({ value }) => value)).toEqual(
      texts(1000).map(({ value }) => value),
    );
  });

  it('is over when the queue is deleted, which is not made again for the rest', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', texts(200));
    stage.topics.onPublish = async () => {
      stage.topics.onPublish = () => undefined;
      await stage.ask('deleteQueue', { topic: 'jobs', group: '' } as never);
    };
    expect(await codeOf(stage.move({ destination: 'other' }))).toBe('QUEUE_NOT_FOUND');
    expect(stage.topics.records('other')).toHaveLength(99);
  });

  it('stops when its asker goes, and leaves the rest', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', texts(500));
    const asker = new AbortController();
    stage.topics.onPublished = () => {
      asker.abort();
    };
    expect(await codeOf(stage.move({ destination: 'copies' }, asker.signal))).toBe('CANCELLED');
    expect(stage.topics.records('copies')).toHaveLength(99);
    expect((await stage.receive()).jobs).toHaveLength(401);
  });

  it('says why when the destination does not take them, and leaves them', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', texts(3));
    stage.topics.onPublish = () => {
      throw new SluiceError('RECORD_TOO_LARGE', 'too large');
    };
    expect(await codeOf(stage.move({ destination: 'copies' }))).toBe('RECORD_TOO_LARGE');
    stage.topics.isAutoCreating = false;
    expect(await codeOf(stage.move({ destination: 'nowhere' }))).toBe('TOPIC_NOT_FOUND');
    expect(await stage.values()).toEqual(['0', '1', '2']);
  });
});

describe('what fails by itself', () => {
  const rejected = async (stage: QueueStage): Promise<void> => {
    stage.topics.put('jobs', texts(2));
    await stage.settle('REJECT', (await stage.receive()).jobs);
  };
  const moved = async (stage: QueueStage): Promise<unknown> => [
    valuesOf(stage.topics, 'dlq.jobs'),
    await stage.counted(),
  ];
  const ALL_MOVED = [['0', '1'], { ready: 0, leased: 0, delayed: 0 }];

  it('is told, and tried again: a dead-letter topic that cannot be made', async () => {
    const stage = new QueueStage();
    vi.spyOn(stage.topics, 'ensureLike').mockRejectedValueOnce(new SluiceError('INVALID_CONFIG', 'no'));
    await rejected(stage);
    await turns();
    expect(stage.troubles).toEqual(['dead-letters of jobs/default/0: INVALID_CONFIG']);
    await stage.pass(200);
    expect(await moved(stage)).toEqual(ALL_MOVED);
  });

  it('is told, and leaves no move behind that never ends: a batch that cannot be made', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', texts(2));
    const { jobs } = await stage.receive();
    const finish = vi.spyOn(RecordBatchEncoder.prototype, 'finish').mockImplementationOnce(() => {
      throw new RangeError('a defect');
    });
    await stage.settle('REJECT', jobs);
    await turns();
    finish.mockRestore();
    expect(stage.troubles).toEqual(['dead-letters of jobs/default/0: INTERNAL']);
    await stage.pass(200);
    expect(await moved(stage)).toEqual(ALL_MOVED);
  });

  it('is told: what nobody expects of publishing', async () => {
    const stage = new QueueStage();
    stage.topics.onPublish = () => {
      stage.topics.onPublish = () => undefined;
      throw new TypeError('a defect');
    };
    await rejected(stage);
    await turns();
    expect(stage.troubles).toEqual(['publish of jobs/default/0: INTERNAL']);
    await stage.pass(50);
    expect(await moved(stage)).toEqual(ALL_MOVED);
  });

  it('is told: a move that was begun before, of records that cannot be read now', async () => {
    const first = new QueueStage();
    first.topics.onPublish = never;
    await rejected(first);
    await turns();
    first.topics.onPublish = () => undefined;
    vi.spyOn(first.topics, 'openReader').mockRejectedValueOnce(new SluiceError('STORAGE_FAILED', 'no'));
    const stage = first.succeed();
    await turns();
    expect(stage.troubles).toEqual(['resumed-move of jobs/default/0: STORAGE_FAILED']);
    await stage.pass(50);
    expect(await moved(stage)).toEqual(ALL_MOVED);
  });

  it('is nobody’s trouble once somebody else goes on with it', async () => {
    const stage = new QueueStage();
    const failing = Promise.withResolvers<undefined>();
    stage.topics.onPublish = () => failing.promise;
    await rejected(stage);
    await turns();
    stage.queues.close();
    failing.reject(new SluiceError('NOT_LEADER', 'gone'));
    await turns();
    expect(stage.troubles).toEqual([]);
  });
});

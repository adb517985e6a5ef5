import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  ReceiveRequestSchema,
  SettleRequestSchema,
  SettlementKind,
} from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { ERRORS } from '../../../src/kernel/errors.ts';
import { turns } from '../../support/turns.ts';
import { QueueStage, codeOf } from './queue-stage.ts';

const numbers = (count: number): { value: string }[] =>
  Array.from({ length: count }, (_, at) => ({ value: String(at) }));

describe('a new coordinator', () => {
  it('knows what is done and what is leased, and gives leases their time anew', async () => {
    let stage = new QueueStage();
    stage.topics.put('jobs', numbers(3));
    const { jobs } = await stage.receive({ leaseMs: 1000 });
    await stage.settle('ACK', jobs.slice(0, 1));
    await stage.pass(999);
    stage = stage.succeed();
    await stage.pass(999);
    expect(await stage.settle('ACK', jobs)).toEqual(['LEASE_EXPIRED', undefined, undefined]);
    expect(await stage.counted()).toEqual({ ready: 0, leased: 0, delayed: 0 });
  });

  it('does not count records that are gone before anybody has looked at them', async () => {
    let stage = new QueueStage();
    for (const record of numbers(5)) stage.topics.put('jobs', [record]);
    await stage.receive({ maxRecords: 1 });
    expect(await stage.counted()).toEqual({ ready: 4, leased: 1, delayed: 0 });
    stage.topics.log('jobs').cutTo(3);
    stage = stage.succeed();
    expect(await stage.counted()).toEqual({ ready: 2, leased: 1, delayed: 0 });
    expect((await stage.ask('listQueues', {} as never)).queues).toMatchObject([{ ready: 2n }]);
    expect(await stage.values()).toEqual(['3', '4']);
  });

  it('goes on with a queue of whose topic it hears only when it is asked', async () => {
    const before = new QueueStage();
    before.topics.put('jobs', numbers(3));
    await before.settle('ACK', (await before.receive()).jobs);
    const { topics } = before;
    const [find, watch] = [topics.find.bind(topics), topics.watch.bind(topics)];
    let hear: (name: string) => void = () => undefined;
    topics.find = () => undefined;
    topics.watch = (listener) => {
      hear = listener;
      return watch(listener);
    };
    topics.findOrCreate = (name) => {
      topics.find = find;
      hear(name);
      return Promise.resolve(find(name)!);
    };
    const stage = before.succeed();
    expect(await stage.values()).toEqual([]);
    stage.topics.put('jobs', [{ value: 'new' }]);
    expect([await stage.values(), await stage.counted()]).toMatchObject([['new'], { leased: 1 }]);
  });

  it('ends leases that its predecessor gave', async () => {
    let stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    await stage.receive({ leaseMs: 1000 });
    stage = stage.succeed();
    const received = stage.receive({ maxWaitMs: 5000 });
    await stage.pass(1000);
    await stage.pass(1000);
    expect((await received).jobs).toMatchObject([{ attempt: 2 }]);
  });

  it('keeps settings', async () => {
    let stage = new QueueStage();
    await stage.configure({ leaseMs: 77, maxAttempts: 3 });
    stage = stage.succeed();
    await stage.configure({ backoffMs: 5 });
    expect((await stage.describe()).settings).toMatchObject({ leaseMs: 77, maxAttempts: 3, backoffMs: 5 });
  });
});

describe('topics that change', () => {
  it('takes up partitions that are added, from their first record', async () => {
    const stage = new QueueStage();
    await stage.configure({ start: { at: { case: 'latest', value: true } } });
    const received = stage.values({ maxWaitMs: 5000 });
    await turns();
    stage.topics.addPartitions('jobs', 2);
    stage.topics.put('jobs', numbers(1), 1);
    expect(await received).toEqual(['0']);
  });

  it('takes up partitions that were added while nobody coordinated the queue', async () => {
    let stage = new QueueStage();
    await stage.receive();
    stage.queues.close();
    stage.topics.addPartitions('jobs', 2);
    stage.topics.put('jobs', numbers(1), 1);
    stage = stage.succeed();
    expect(await stage.values({ maxWaitMs: 100 })).toEqual(['0']);
  });

  it('forgets a queue whose topic is deleted, and begins anew with the next of that name', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    await stage.receive();
    const waiting = codeOf(stage.receive({ maxWaitMs: 5000 }));
    await turns();
    stage.topics.delete('jobs');
    expect(await waiting).toBe('QUEUE_NOT_FOUND');
    await turns();
    expect(stage.log.keys()).toEqual([]);
    stage.topics.make('jobs').put('jobs', [{ value: 'new' }]);
    expect((await stage.receive()).jobs).toMatchObject([{ value: 'new', attempt: 1 }]);
  });

  it('does not take a token of a topic for a lease of the one that was made anew under its name', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    const { jobs: old } = await stage.receive();
    stage.topics.delete('jobs');
    await turns();
    stage.topics.make('jobs').put('jobs', [{ value: 'new' }]);
    const { jobs } = await stage.receive();
    expect(jobs[0]!.offset).toBe(old[0]!.offset);
    expect(await stage.settle('ACK', old)).toEqual(['LEASE_EXPIRED']);
    expect(await stage.settle('ACK', jobs)).toEqual([undefined]);
  });

  it('forgets a queue whose topic was made anew while nobody coordinated it', async () => {
    let stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    await stage.receive();
    stage.queues.close();
    stage.topics.delete('jobs');
    stage.topics.make('jobs').put('jobs', [{ value: 'new' }]);
    stage = stage.succeed();
    await turns();
    expect(stage.log.keys()).toEqual([]);
    expect((await stage.receive()).jobs).toMatchObject([{ value: 'new', attempt: 1 }]);
  });

  it('waits for a topic that it has not heard of yet', async () => {
    const first = new QueueStage();
    first.topics.put('jobs', numbers(2));
    await first.settle('ACK', (await first.receive({ maxRecords: 1 })).jobs);
    first.queues.close();
    const { topics } = first;
    const find = topics.find.bind(topics);
    topics.find = () => undefined;
    const second = first.succeed();
    expect(await codeOf(second.describe())).toBe('QUEUE_NOT_FOUND');
    topics.find = find;
    topics.addPartitions('jobs', 1);
    expect(await second.values()).toEqual(['1']);
  });

  it('goes on from its floor when the log has lost records', async () => {
    let stage = new QueueStage();
    stage.topics.put('jobs', numbers(1));
    stage.topics.put('jobs', numbers(3));
    const { jobs } = await stage.receive();
    await stage.settle('ACK', jobs);
    stage.topics.log('jobs').loseFrom(1);
    const received = stage.values({ maxWaitMs: 30_000 });
    for (let i = 0; i < 20; i++) await stage.pass(1000);
    stage.topics.put('jobs', [{ value: 'new' }]);
    expect(await received).toEqual(['new']);
    stage = stage.succeed();
    expect((await stage.describe()).partitions).toMatchObject([{ floor: 1n, cursor: 2n, leased: 1n }]);
  });
});

describe('leases that nobody was told of, since their coordinator ended before', () => {
  /** Asks, and has the coordinator end while it stores what it leases. @param lost whether the next one does not have that */
  async function endedWhileLeasing({ lost }: { lost: boolean }) {
    const first = new QueueStage();
    first.topics.put('jobs', numbers(2));
    await first.browse();
    first.log.isHeld = true;
    const asked = codeOf(first.receive({ leaseMs: 60_000 }));
    await turns();
    first.queues.close();
    expect(await asked).toBe('NOT_LEADER');
    const second = new QueueStage(first.topics, first.log.next(lost ? 1 : 0), first.clock);
    const [untold] = first.untold;
    const release = async (): Promise<unknown> =>
      (await second.ask('settle', create(SettleRequestSchema, untold))).results;
    return { second, release };
  }

  it('are given back to the next one, which has them again at once, as if they had not been leased', async () => {
    const { second, release } = await endedWhileLeasing({ lost: false });
    expect(await second.values()).toEqual([]);
    expect(await release()).toEqual([{}]);
    expect((await second.receive()).jobs).toMatchObject([{ attempt: 1 }, { attempt: 1 }]);
  });

  it('are nobody else’s where the next one does not know them, whom it has given the records meanwhile', async () => {
    const { second, release } = await endedWhileLeasing({ lost: true });
    const { jobs } = await second.receive();
    expect(jobs).toHaveLength(2);
    expect(await release()).toMatchObject([{ errorCode: ERRORS.LEASE_EXPIRED.wire }]);
    expect(await second.settle('ACK', jobs)).toEqual([undefined, undefined]);
  });

  it('are those of an answer that could not be delivered, too', () => {
    const stage = new QueueStage();
    const question = create(ReceiveRequestSchema, { topic: 'jobs', group: 'g' });
    stage.queues.undelivered('receive', question, {
      batches: [{ partition: 1, grant: 9n, leases: [{ first: 3n, end: 5n }] }],
    });
    stage.queues.undelivered('receive', question, { batches: [] });
    const settlement = { partition: 1, grant: 9n, first: 3n, end: 5n, kind: SettlementKind.RELEASE };
    expect(stage.untold).toEqual([{ topic: 'jobs', group: 'g', settlements: [settlement] }]);
  });

  it('are none of a request that was told of its leases', async () => {
    const stage = new QueueStage();
    stage.topics.put('jobs', numbers(2));
    await stage.receive();
    stage.queues.close();
    await turns();
    expect(stage.untold).toEqual([]);
  });
});

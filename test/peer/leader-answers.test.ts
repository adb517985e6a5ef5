import { beforeEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { LeaderAnswers } from '../../src/peer/leader-answers.ts';
import { CasCluster } from '../partition/cas-cluster.ts';
import { idlePartition, leadershipOf, openPartition } from '../partition/fixture.ts';
import { batchOf } from '../support/batch.ts';
import { turns } from '../support/turns.ts';

let partitions: Map<number, Partition>;
let answers: LeaderAnswers;

const refs = (...indexes: number[]) => indexes.map((partition) => ({ topicId: 't1', partition }));
const codes = (given: readonly unknown[]) =>
  given.map((one) => (one instanceof SluiceError ? one.code : one));
const storeAt = (index: number, timestampMs = 1000) =>
  partitions.get(index)!.append(batchOf([{ timestampMs }]));

/** Partition 0 is led here, 1 is followed, 2 is led without a lease, 3 is not here. */
beforeEach(() => {
  const following = idlePartition({ partition: 1 });
  following.follow(7);
  const state = { replicas: ['a'], leader: 'a', leaderEpoch: 7, isr: ['a'] };
  const cluster = new CasCluster(state);
  const withoutLease = idlePartition({ partition: 2 });
  withoutLease.lead(leadershipOf(7, { cluster }));
  cluster.leaseHeld = false;
  partitions = new Map([openPartition(), following, withoutLease].map((one, index) => [index, one]));
  answers = new LeaderAnswers((topicId, index) => (topicId === 't1' ? partitions.get(index) : undefined));
});

describe('what other nodes ask', () => {
  it('how partitions are is answered for those that are led here', () => {
    storeAt(0);
    void partitions.get(0)!.openReader({ at: 'earliest' });
    const { retainedBytes } = partitions.get(0)!;
    const ends = { logStart: 0, highWatermark: 1, logEnd: 1 };
    expect(codes(answers.describe(refs(0, 1, 2, 3)))).toEqual([
      { leaderEpoch: 7, ...ends, retainedBytes, subscribers: 1 },
      'NOT_LEADER',
      'NOT_LEADER',
      'NOT_LEADER',
    ]);
  });

  it('where a place is, is answered for each partition on its own', async () => {
    for (const timestampMs of [1000, 2000, 3000]) storeAt(0, timestampMs);
    const ask = async (at: Parameters<LeaderAnswers['listOffsets']>[1]) =>
      codes(await answers.listOffsets(refs(0, 1, 3), at));
    expect(await ask({ at: 'latest' })).toEqual([3, 'NOT_LEADER', 'NOT_LEADER']);
    expect(await ask({ at: 'earliest' })).toEqual([0, 'NOT_LEADER', 'NOT_LEADER']);
    expect(await ask({ at: 'timestamp', timestampMs: 1500 })).toEqual([1, 'NOT_LEADER', 'NOT_LEADER']);
    expect(await ask({ at: 'offset', offset: 4 })).toEqual([
      'OFFSET_OUT_OF_RANGE',
      'NOT_LEADER',
      'NOT_LEADER',
    ]);
  });

  it('places in very many partitions are all answered', async () => {
    const many = refs(...Array.from({ length: 500 }, () => 0));
    expect(await answers.listOffsets(many, { at: 'latest' })).toEqual(many.map(() => 0));
  });
});

describe('a question about more partitions than anybody has', () => {
  it('is refused', async () => {
    const many = Array.from({ length: 65_537 }, () => ({ topicId: 't1', partition: 0 }));
    const overloaded = expect.objectContaining({ code: 'OVERLOADED' }) as Error;
    expect(() => answers.describe(many)).toThrow(overloaded);
    await expect(answers.listOffsets(many, { at: 'latest' })).rejects.toThrow(overloaded);
    await expect(answers.deleteRecords(many, { at: 'latest' })).rejects.toThrow(overloaded);
  });
});

describe('an order to delete records', () => {
  it('is carried out where this node leads', async () => {
    for (let n = 0; n < 3; n++) storeAt(0);
    const before = { at: 'offset', offset: 2 } as const;
    expect(codes(await answers.deleteRecords(refs(0, 1, 2), before))).toEqual([
      2,
      'NOT_LEADER',
      'NOT_LEADER',
    ]);
    expect(partitions.get(0)!.logStart).toBe(2);
  });

  it('is answered with where the partition begins when that is later', async () => {
    for (let n = 0; n < 3; n++) storeAt(0);
    await answers.deleteRecords(refs(0), { at: 'latest' });
    expect(await answers.deleteRecords(refs(0), { at: 'earliest' })).toEqual([3]);
  });

  it('above the high watermark is refused', async () => {
    const isr = ['a', 'b'];
    const waiting = idlePartition();
    waiting.lead(leadershipOf(7, { isr }));
    partitions.set(0, waiting);
    storeAt(0);
    expect(codes(await answers.deleteRecords(refs(0), { at: 'offset', offset: 1 }))).toEqual([
      'OFFSET_OUT_OF_RANGE',
    ]);
  });

  it('keeps nobody waiting who asks for a place, while other replicas have not deleted', async () => {
    const isr = ['a', 'b'];
    const many = Array.from({ length: 100 }, (_, partition) => {
      const waiting = idlePartition({ partition });
      waiting.lead(leadershipOf(7, { isr }));
      waiting.append(batchOf(2));
      waiting.reportFollower('b', 2, 0);
      return waiting;
    });
    partitions = new Map(many.entries());
    let answer: unknown;
    void answers
      .deleteRecords(refs(...partitions.keys()), { at: 'latest' })
      .then((given) => (answer = given));
    expect(await answers.listOffsets(refs(99), { at: 'latest' })).toEqual([2]);
    await turns();
    expect([answer, many.map(({ logStart }) => logStart)]).toEqual([undefined, many.map(() => 2)]);
    for (const waiting of many) waiting.reportFollower('b', 2, 2);
    await turns();
    expect(answer).toEqual(many.map(() => 2));
  });

  it('is refused while very many are under way, and nothing is deleted then', async () => {
    storeAt(0);
    const many = Array.from({ length: 65_536 }, () => ({ topicId: 't1', partition: 0 }));
    const underWay = answers.deleteRecords(many, { at: 'earliest' });
    const order = async () => codes(await answers.deleteRecords(refs(0), { at: 'latest' }));
    expect([await order(), partitions.get(0)!.logStart]).toEqual([['OVERLOADED'], 0]);
    await underWay;
    expect(await order()).toEqual([1]);
  });

  it('is answered only once the records cannot come back', async () => {
    storeAt(0);
    const durable = Promise.withResolvers<undefined>();
    partitions.get(0)!.log.whenStartDurable = () => durable.promise;
    let answer: unknown;
    void answers.deleteRecords(refs(0), { at: 'latest' }).then((given) => (answer = codes(given)));
    await turns();
    expect([partitions.get(0)!.logStart, answer]).toEqual([1, undefined]);
    durable.reject(new SluiceError('STORAGE_FULL', 'no room'));
    await turns();
    expect(answer).toEqual(['STORAGE_FULL']);
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { LedForwards } from '../../src/peer/led-forwards.ts';
import type { ForwardOutcome, ForwardedPublish } from '../../src/peer/ports.ts';
import { CasCluster } from '../partition/cas-cluster.ts';
import { idlePartition, leadershipOf, openPartition } from '../partition/fixture.ts';
import { batchOf } from '../support/batch.ts';

const EPOCH = 7;
const batchOfProducer = (): Buffer => batchOf(1, { producerId: 9, producerEpoch: 0, baseSequence: 0 });

let partition: Partition;
let forwards: LedForwards;
let answers: (ForwardOutcome | string)[];

/** Hands over a publish; what it is answered goes to `answers`. */
function forward(publish: Partial<ForwardedPublish> = {}): void {
  const given = { topicId: 't1', partition: 0, leaderEpoch: EPOCH, acks: 1, batch: batchOf(1) } as const;
  forwards.forward({ ...given, ...publish }, (answer) =>
    answers.push(answer instanceof SluiceError ? answer.code : answer),
  );
}

/** Node `a` leads, `b` is in sync too. */
function leadWithFollower(minInsync = 2): CasCluster {
  const isr = ['a', 'b'];
  const cluster = new CasCluster({ replicas: isr, leader: 'a', leaderEpoch: EPOCH, isr });
  partition = idlePartition();
  partition.lead(leadershipOf(EPOCH, { isr, cluster, minInsync }));
  return cluster;
}

beforeEach(() => {
  partition = openPartition();
  answers = [];
  forwards = new LedForwards((topicId, index) => (topicId === 't1' && index === 0 ? partition : undefined));
});

describe('a publish that another node hands over', () => {
  it('is stored, and answered with where', () => {
    forward();
    forward({ batch: batchOf(3) });
    forward();
    expect(answers).toEqual(
      [0, 1, 4].map((baseOffset) => ({ kind: 'appended', baseOffset, appendTimeMs: 0 })),
    );
    expect(partition.logEnd).toBe(5);
  });

  it.each<[string, Partial<ForwardedPublish>]>([
    ['a partition that is not here', { partition: 1 }],
    ['a topic that is not here', { topicId: '__proto__' }],
    ['an epoch that is over', { leaderEpoch: EPOCH - 1 }],
    ['an epoch that is not known yet', { leaderEpoch: EPOCH + 1 }],
  ])('for %s is refused with NOT_LEADER, whatever its acks', (_what, publish) => {
    for (const acks of [0, 1, 2] as const) forward({ ...publish, acks });
    expect(answers).toEqual(['NOT_LEADER', 'NOT_LEADER', 'NOT_LEADER']);
    expect(partition.logEnd).toBe(0);
  });

  it.each(['follow', 'idle'] as const)(
    'is refused with NOT_LEADER where this node does %s in that epoch',
    (role) => {
      partition[role](EPOCH);
      forward();
      expect(answers).toEqual(['NOT_LEADER']);
    },
  );

  it('is refused with NOT_LEADER without a lease', () => {
    leadWithFollower().leaseHeld = false;
    forward({ acks: 0 });
    expect(answers).toEqual(['NOT_LEADER']);
  });

  it('waits with acks 2 until all in-sync replicas have it', () => {
    leadWithFollower();
    forward({ acks: 1 });
    forward({ acks: 2 });
    expect(answers).toHaveLength(1);
    partition.reportFollower('b', 2, 0);
    expect(answers).toHaveLength(2);
  });

  it('fails when leading ends while it waits', () => {
    leadWithFollower();
    forward({ acks: 2 });
    partition.follow(EPOCH + 1);
    expect(answers).toEqual(['UNAVAILABLE']);
  });

  it('with acks 0 is answered at once', () => {
    leadWithFollower();
    forward({ acks: 0 });
    expect(answers).toEqual([{ kind: 'appended', baseOffset: 0, appendTimeMs: 0 }]);
  });

  it('with acks 2 is refused when too few replicas are in sync', () => {
    partition = idlePartition();
    partition.lead(leadershipOf(EPOCH, { replicas: ['a', 'b'], isr: ['a'], minInsync: 2 }));
    forward({ acks: 2 });
    expect(answers).toEqual(['NOT_ENOUGH_REPLICAS']);
  });

  it('of an idempotent producer is stored once', () => {
    forward({ batch: batchOfProducer() });
    forward({ batch: batchOfProducer() });
    expect(answers.map((one) => (typeof one === 'string' ? one : `${one.kind} ${one.baseOffset}`))).toEqual([
      'appended 0',
      'duplicate 0',
    ]);
  });

  it.each<[string, Buffer, string]>([
    ['is nothing', Buffer.alloc(0), 'CORRUPT_BATCH'],
    ['is no batch', Buffer.from('nonsense that is as long as a batch could be'.repeat(3)), 'CORRUPT_BATCH'],
    ['is damaged', batchOf(1).fill(0xff, 60), 'CORRUPT_BATCH'],
    ['is too large', batchOf([{ value: 'x'.repeat(1024 * 1024) }]), 'BATCH_TOO_LARGE'],
  ])('that %s is refused, and the next is taken', (_what, batch, code) => {
    forward({ batch });
    forward();
    expect(answers).toEqual([code, { kind: 'appended', baseOffset: 0, appendTimeMs: 0 }]);
  });

  it('is counted', () => {
    const batch = batchOf(1);
    forward({ batch });
    forward({ leaderEpoch: 1 });
    expect(forwards.counters).toEqual({ publishes: 2, bytes: 2 * batch.length, refused: 1 });
  });
});

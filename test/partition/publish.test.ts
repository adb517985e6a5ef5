import { beforeEach, describe, expect, it } from 'vitest';
import type { Partition } from '../../src/partition/partition.ts';
import { batchOf } from '../support/batch.ts';
import { turns } from '../support/turns.ts';
import { CasCluster } from './cas-cluster.ts';
import { idlePartition, leadershipOf } from './fixture.ts';

const EPOCH = 7;

describe('what becomes of a publish', () => {
  let partition: Partition;
  let told: string[];
  const publish = (name: string, acks: 0 | 1 | 2, batch = batchOf(1)): void =>
    partition.publish(
      batch,
      acks,
      {
        stored: (publish, { kind, baseOffset }, index) =>
          told.push(`${publish}: ${kind} at ${baseOffset} of ${index}`),
        refused: (publish, { code }) => told.push(`${publish}: ${code}`),
      },
      name,
    );

  beforeEach(() => {
    told = [];
    partition = idlePartition();
  });

  /** Node `a` leads, `b` is in sync too. */
  const lead = (): void => {
    const isr = ['a', 'b'];
    const cluster = new CasCluster({ replicas: isr, leader: 'a', leaderEpoch: EPOCH, isr });
    partition.lead(leadershipOf(EPOCH, { isr, cluster, minInsync: 2 }));
  };

  it('is told at once where it is acknowledged, and later where others have to have it', () => {
    lead();
    publish('first', 1);
    publish('second', 2);
    expect(told).toEqual(['first: appended at 0 of 0']);
    partition.reportFollower('b', 2, 0);
    expect(told.slice(1)).toEqual(['second: appended at 1 of 0']);
  });

  it('is why it was refused, or is not known to be stored', () => {
    publish('idle', 1);
    lead();
    publish('corrupt', 1, Buffer.alloc(7));
    publish('late', 2);
    partition.follow(EPOCH + 1);
    expect(told).toEqual(['idle: NOT_LEADER', 'corrupt: CORRUPT_BATCH', 'late: UNAVAILABLE']);
  });

  it('is told only once it is certain that it still led when it says so of a sequence', async () => {
    lead();
    publish('gap', 1, batchOf(1, { producerId: 9, producerEpoch: 0, baseSequence: 5 }));
    expect(told).toEqual([]);
    await turns(5);
    expect(told).toEqual(['gap: UNKNOWN_PRODUCER']);
  });
});

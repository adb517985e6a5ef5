import { beforeEach, describe, expect, it } from 'vitest';
import { asSluiceError } from '../../src/kernel/errors.ts';
import { deleteForGood } from '../../src/partition/delete-records.ts';
import type { LeadershipStart } from '../../src/partition/leadership.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';
import { CasCluster } from './cas-cluster.ts';
import { idlePartition, leadershipOf } from './fixture.ts';

const MAX_LAG_MS = 4000;
const isr = ['a', 'b'];

let clock: FakeClock;
let cluster: CasCluster;
let partition: Partition;

function lead(options: Partial<LeadershipStart> = {}): void {
  clock = new FakeClock();
  cluster = new CasCluster({ replicas: isr, leader: 'a', leaderEpoch: 7, isr });
  partition = idlePartition({ clock });
  partition.lead(leadershipOf(7, { isr, cluster, maxLagMs: MAX_LAG_MS, ...options }));
  partition.append(batchOf(10));
  partition.reportFollower('b', 10, 0);
}

/** Deletes what is below 5. @returns how it has ended so far */
function deleting(): () => Promise<number | string> {
  let ended: number | string = 'waits';
  deleteForGood(partition, 5).then(
    (start) => (ended = start),
    (error: unknown) => (ended = asSluiceError(error).code),
  );
  return async () => {
    await turns();
    return ended;
  };
}

beforeEach(() => lead());

describe('a deletion', () => {
  it('is done once the in-sync replicas have said so', async () => {
    const ended = deleting();
    partition.reportFollower('b', 10, 4);
    expect(await ended()).toBe('waits');
    partition.reportFollower('b', 10, 5);
    expect(await ended()).toBe(5);
  });

  it('on a partition to which nothing is published waits no longer for one that hangs than that is in sync', async () => {
    const ended = deleting();
    clock.advance(MAX_LAG_MS);
    expect(await ended()).toBe('waits');
    cluster.answer();
    expect([await ended(), partition.isr]).toEqual([5, ['a']]);
  });

  it('is uncertain where one that hangs has to stay in sync', async () => {
    lead({ minInsync: 2 });
    const ended = deleting();
    clock.advance(MAX_LAG_MS + 1999);
    expect(await ended()).toBe('waits');
    clock.advance(1);
    expect([await ended(), partition.isr]).toEqual(['TIMEOUT', isr]);
  });

  it('is uncertain at once when there is another leader, or the partition is closed', async () => {
    const deposed = deleting();
    partition.follow(8);
    expect(await deposed()).toBe('UNAVAILABLE');
    lead();
    const closed = deleting();
    void partition.close();
    expect(await closed()).toBe('CLOSED');
  });
});

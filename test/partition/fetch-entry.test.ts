import { describe, expect, it } from 'vitest';
import { FetchEntry } from '../../src/partition/fetch-entry.ts';
import type { FetchEntryHost } from '../../src/partition/fetch-entry.ts';
import type { Partition } from '../../src/partition/partition.ts';
import type { FetchPosition } from '../../src/partition/replication.ts';
import { batchOf } from '../support/batch.ts';
import { CasCluster } from './cas-cluster.ts';
import { describePartition } from './describe-partition.ts';
import { EPOCH, at } from './fetching-node.ts';
import { idlePartition, leadershipOf } from './fixture.ts';

const ROOM = { sequence: 0, maxBytes: 1024, leftBytes: Infinity };
const host: FetchEntryHost = {
  nodeId: 'b',
  entryReady: () => undefined,
  entryPatient: () => undefined,
  entryOutside: () => undefined,
};

/** Node `a` leads, `b` is the other replica. */
function lead(partition: Partition, epoch: number): CasCluster {
  const replicas = ['a', 'b'];
  const cluster = new CasCluster({ replicas, leader: 'a', leaderEpoch: epoch, isr: replicas });
  partition.lead(leadershipOf(epoch, { replicas, isr: replicas, cluster }));
  return cluster;
}

function publish(partition: Partition, count: number): void {
  for (let done = 0; done < count; done++) partition.append(batchOf(1));
}

/** Two records further than the leader was, in an epoch that it never heard of. */
const ASTRAY: FetchPosition = at(0, 3, { lastEpoch: EPOCH - 2 });

/** Named while its leader did not know the epoch that it leads in by now. */
function namedTooEarly(): FetchEntry {
  const partition = idlePartition();
  lead(partition, EPOCH - 1);
  publish(partition, 1);
  const entry = new FetchEntry(host, partition, ASTRAY);
  lead(partition, EPOCH);
  publish(partition, 4);
  return entry;
}

function answerOf(entry: FetchEntry): string | undefined {
  const answer = entry.answer(ROOM);
  return typeof answer === 'object' ? describePartition(answer) : answer;
}

describe('a position that is refused when it is named', () => {
  it('because its epoch is not known yet gets nothing either when that has begun before the answer', () => {
    expect(answerOf(namedTooEarly())).toBe('0: UNAVAILABLE');
  });

  it('because there is no lease gets nothing either when there is one again before the answer', () => {
    const partition = idlePartition();
    const cluster = lead(partition, EPOCH);
    publish(partition, 5);
    cluster.leaseHeld = false;
    const entry = new FetchEntry(host, partition, ASTRAY);
    cluster.leaseHeld = true;
    expect(answerOf(entry)).toBe('0: UNAVAILABLE');
  });

  it('does not count when it is said again', () => {
    const partition = idlePartition();
    lead(partition, EPOCH - 1);
    const entry = new FetchEntry(host, partition, ASTRAY);
    const cluster = lead(partition, EPOCH);
    publish(partition, 4);
    partition.stateChanged(cluster.put({ isr: ['a'] }));
    entry.repeat();
    expect(partition.followers).toMatchObject([{ nodeId: 'b', records: 4 }]);
  });

  it('is looked at anew when it is named again', () => {
    const entry = namedTooEarly();
    entry.take(ASTRAY, -1);
    expect(answerOf(entry)).toBe('0: back to 0 in -1');
  });
});

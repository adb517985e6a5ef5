import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/kernel/system-clock.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { LocalServices } from '../../src/peer/local-services.ts';
import { CasCluster } from '../partition/cas-cluster.ts';
import { idlePartition, leadershipOf } from '../partition/fixture.ts';
import { batchOf, textOf } from '../support/batch.ts';
import { turns } from '../support/turns.ts';
import type { PeerStage } from './peer-stage.ts';
import { fetchRequest, forward, publishOf, startPeers } from './peer-stage.ts';

const NO_COORDINATOR = { coordinate: () => Promise.reject(new TypeError('not asked')) };
const EPOCH = 7;

describe('a node with replicas', () => {
  let partition: Partition;
  let services: LocalServices;
  let stage: PeerStage;

  /** Node `b` leads, and `a` follows and is in sync. */
  beforeEach(async () => {
    const isr = ['b', 'a'];
    const cluster = new CasCluster({ replicas: isr, leader: 'b', leaderEpoch: EPOCH, isr });
    partition = idlePartition({ clock: systemClock });
    partition.lead(leadershipOf(EPOCH, { selfId: 'b', isr, cluster }));
    const find = (topicId: string): Partition | undefined => (topicId === 't1' ? partition : undefined);
    services = new LocalServices({ clock: systemClock, find }, NO_COORDINATOR);
    stage = await startPeers({ services });
  });
  afterEach(async () => {
    await stage[Symbol.asyncDispose]();
    services.close();
    await partition.close();
  });

  const publish = (acks: 0 | 1 | 2, batch = batchOf(1)) =>
    forward(stage.client, publishOf({ topicId: 't1', leaderEpoch: EPOCH, acks, batch }));
  const position = (offset: number) => ({
    ...{ topicId: 't1', partition: 0, leaderEpoch: EPOCH, fetchOffset: offset, durableOffset: offset },
    ...{ lastEpoch: offset > 0 ? EPOCH : -1, durableStart: 0, unread: false },
  });
  const readOf = (offset: number) => ({
    topicId: 't1',
    partition: 0,
    offset,
    maxBytes: 1e6,
    maxWaitMs: 5000,
  });

  it('takes publishes, and answers those with acks 2 when its follower has them', async () => {
    expect(await publish(1)).toMatchObject({ kind: 'appended', baseOffset: 0 });
    const waiting = publish(2, batchOf([{ value: 'second' }]));
    const { sessionId, partitions } = await stage.client.fetch('b', fetchRequest({ changed: [position(0)] }));
    expect(textOf(partitions[0]!.batches)[0]).toBe('0 null=v');
    await stage.client.fetch(
      'b',
      fetchRequest({ sessionId, sequence: 1, received: 0, changed: [position(2)] }),
    );
    expect(await waiting).toMatchObject({ kind: 'appended', baseOffset: 1 });
  });

  it('refuses what it does not lead in that epoch, and what is no batch', async () => {
    await expect(forward(stage.client, publishOf({ topicId: 't2' }))).rejects.toMatchObject({
      code: 'NOT_LEADER',
    });
    const late = publishOf({ topicId: 't1', leaderEpoch: EPOCH - 1 });
    await expect(forward(stage.client, late)).rejects.toMatchObject({ code: 'NOT_LEADER' });
    await expect(publish(1, Buffer.from('no batch'))).rejects.toMatchObject({ code: 'CORRUPT_BATCH' });
  });

  it('answers questions, and deletes', async () => {
    await publish(1);
    partition.reportFollower('a', 1, 1);
    const refs = [
      { topicId: 't1', partition: 0 },
      { topicId: 't2', partition: 0 },
    ];
    const notLeader = expect.objectContaining({ code: 'NOT_LEADER' }) as unknown;
    const facts = await stage.client.describePartitions('b', refs);
    expect(facts).toEqual([expect.objectContaining({ highWatermark: 1, leaderEpoch: EPOCH }), notLeader]);
    expect(await stage.client.listOffsets('b', refs, { at: 'latest' })).toEqual([1, notLeader]);
    expect(await stage.client.deleteRecords('b', refs, { at: 'latest' })).toEqual([1, notLeader]);
    expect(partition.logStart).toBe(1);
  });

  it('lets others read, and wait for more', async () => {
    await publish(1);
    partition.reportFollower('a', 1, 0);
    const first = await stage.client.read('b', readOf(0));
    expect(textOf(first.batches)).toEqual(['0 null=v']);
    const waiting = stage.client.read('b', readOf(1));
    await publish(1);
    partition.reportFollower('a', 2, 0);
    expect(textOf((await waiting).batches)).toEqual(['1 null=v']);
    await expect(stage.client.read('b', { ...readOf(0), topicId: 't2' })).rejects.toMatchObject({
      code: 'PARTITION_NOT_FOUND',
    });
  });

  it('ends the wait of a node that is gone', async () => {
    const watch = vi.spyOn(partition, 'watch');
    const unwatch = vi.spyOn(partition, 'unwatch');
    const reading = stage.client.read('b', readOf(0)).catch(() => undefined);
    while (watch.mock.calls.length === 0) await turns(1);
    stage.client.close();
    await reading;
    while (unwatch.mock.calls.length === 0) await turns(1);
    expect(unwatch.mock.calls).toEqual(watch.mock.calls);
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import { Asking } from '../../src/kernel/slots.ts';
import type { DiskShared } from '../../src/log/disk/disk-shared.ts';
import { DEFAULT_DISK_LIMITS, createDiskShared } from '../../src/log/disk/disk-shared.ts';
import { FetchSessions } from '../../src/partition/fetch-sessions.ts';
import type { LogReader } from '../../src/partition/log-reader.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import { CopyReads } from '../../src/peer/copy-reads.ts';
import { LeaderAnswers } from '../../src/peer/leader-answers.ts';
import { KEEP_ALL, openDiskLog } from '../log/disk/open-disk-log.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { turns } from '../support/turns.ts';
import { CasCluster } from './cas-cluster.ts';
import { EPOCH, FetchingNode, at } from './fetching-node.ts';
import { idlePartition, leadershipOf } from './fixture.ts';

/** Reads that a disk is asked for at once. */
const AT_ONCE = 8;

let clock: FakeClock;
let disk: FakeDisk;
let shared: DiskShared;
let partition: Partition;
let sessions: FetchSessions;
/** Lets the disk read. */
let release: () => void;

/** Node `a` leads it with `b` and `c`; what is old is on the disk only. */
async function lead(): Promise<Partition> {
  const producers = new ProducerWindow(clock, 100, { producers: 0, maxProducers: 100 });
  const log = await openDiskLog({
    ...{ disk, shared, directory: '/topics/orders/0', clock, state: producers },
    ...{ firstOffset: 0, settings: KEEP_ALL },
  });
  const led = idlePartition({ clock, log, producers });
  const replicas = ['a', 'b', 'c'];
  const cluster = new CasCluster({ replicas, leader: 'a', leaderEpoch: EPOCH, isr: ['a'] });
  led.lead(leadershipOf(EPOCH, { replicas, isr: ['a'], cluster }));
  for (let n = 0; n < 100; n++) led.append(batchOf([{ value: 'x'.repeat(1000) }]));
  await new Promise((resolve) => led.whenAcknowledged(led.logEnd, 1, resolve));
  return led;
}

/** Reads of the disk that were begun, and those that wait for them. */
async function reads(): Promise<{ begun: number; waiting: number }> {
  await turns(20);
  const begun = disk.calls.filter(({ kind }) => kind === 'read').length;
  return { begun, waiting: shared.reads.waitingCount };
}

const reader = (): LogReader => partition.openReader({ at: 'earliest' }) as LogReader;
const from = (nodeId: string): FetchingNode => new FetchingNode(nodeId, sessions);

beforeEach(async () => {
  clock = new FakeClock();
  disk = new FakeDisk();
  await disk.makeDirectory('/topics/orders');
  shared = createDiskShared(disk, { ...DEFAULT_DISK_LIMITS, tailBytes: 0 });
  partition = await lead();
  sessions = new FetchSessions({ clock, find: () => partition });
  release = disk.hold(['read']);
  // The disk has as much to do as it is given at once.
  for (let n = 0; n < AT_ONCE; n++) void reader().read(1000);
  expect(await reads()).toEqual({ begun: AT_ONCE, waiting: 0 });
});

describe('a read of the disk for a follower leaves the queue', () => {
  it('when its session is replaced, however often', async () => {
    for (let round = 0; round < 50; round++) from('b').ask([at(0, 0)]);
    expect((await reads()).waiting).toBe(1);
  });

  it('when its session ends', async () => {
    from('b').ask([at(0, 0)]);
    from('c').ask([at(0, 0)]);
    expect((await reads()).waiting).toBe(2);
    sessions.forget('b');
    expect((await reads()).waiting).toBe(1);
  });

  it('when it does not follow the partition there any more', async () => {
    const follower = from('b');
    follower.ask([at(0, 0)]);
    await turns();
    follower.ask([], { forgotten: [{ topicId: 't1', partition: 0 }] });
    expect((await reads()).waiting).toBe(0);
  });

  it('when it goes on somewhere else, and not when it has only become more durable', async () => {
    const follower = from('b');
    follower.ask([at(0, 2, { durableOffset: 1 })]);
    await turns();
    follower.ask([at(0, 2)]);
    await turns();
    follower.ask([at(0, 1)]);
    expect((await reads()).waiting).toBe(1);
    release();
    // That for what it had been at was not begun.
    expect((await reads()).begun).toBe(AT_ONCE + 1);
  });

  it('so that who still waits is next', async () => {
    for (let round = 0; round < 50; round++) from('b').ask([at(0, 0)]);
    sessions.forget('b');
    const living = from('c');
    await living.ask([at(0, 0)]).now();
    const asked = living.ask();
    release();
    expect((await reads()).begun).toBe(AT_ONCE + 1);
    expect(asked.response?.partitions[0]?.batches.length).toBeGreaterThan(0);
  });
});

describe('a read of the disk for a subscriber leaves the queue', () => {
  it('when the subscriber goes, and is told as its end', async () => {
    const gone = reader();
    const result = gone.read(1000);
    expect((await reads()).waiting).toBe(1);
    gone.close();
    expect((await reads()).waiting).toBe(0);
    expect(await result).toEqual({ kind: 'ended', code: undefined });
  });

  it('when its copy goes, and it goes on in another', async () => {
    const moved = reader();
    const result = moved.read(1000);
    await turns();
    moved.suspend();
    expect((await reads()).waiting).toBe(0);
    expect(await result).toEqual({ kind: 'idle' });
    partition.adopt(moved);
    const again = moved.read(1000);
    release();
    expect((await again) as object).toMatchObject({ kind: 'batches' });
  });
});

describe('a read of the disk for a subscriber that is still in the queue', () => {
  it('ends without a fault when the topic is deleted with its files', async () => {
    const result = reader().read(1000);
    expect((await reads()).waiting).toBe(1);
    const closing = partition.close();
    await turns(50);
    await disk.removeDirectory('/topics/orders/0');
    release();
    expect(await result).toEqual({ kind: 'ended', code: undefined });
    await closing;
  });
});

describe('a search of the disk for a time leaves the queue', () => {
  const OLDEST = { at: 'timestamp', timestampMs: 0 } as const;

  it('when who wanted to read from there goes', async () => {
    const asking = new Asking();
    const opening = partition.openReader(OLDEST, undefined, asking) as Promise<LogReader>;
    const other = partition.openReader(OLDEST) as Promise<LogReader>;
    expect((await reads()).waiting).toBe(2);
    asking.drop();
    await expect(opening).rejects.toMatchObject({ code: 'CANCELLED' });
    expect((await reads()).waiting).toBe(1);
    release();
    expect((await other).nextOffset).toBe(0);
  });

  it('when the node does not wait any more that has asked its leader', async () => {
    const answers = new LeaderAnswers(() => partition);
    const gone = new AbortController();
    // More than are looked into at once.
    const refs = Array.from({ length: 40 }, () => ({ topicId: 't1', partition: 0 }));
    const asked = answers.listOffsets(refs, OLDEST, { gone: gone.signal });
    expect((await reads()).waiting).toBe(32);
    gone.abort();
    expect(await asked).toEqual(refs.map(() => expect.objectContaining({ code: 'CANCELLED' }) as unknown));
    expect((await reads()).waiting).toBe(0);
  });
});

describe('a read of the disk for another node leaves the queue', () => {
  it('when nobody waits for its answer', async () => {
    const copies = new CopyReads({ clock, find: () => partition });
    const [living, gone] = [new AbortController(), new AbortController()];
    const request = { topicId: 't1', partition: 0, offset: 0, maxBytes: 1000, maxWaitMs: 0 };
    const read = ({ signal }: AbortController): Promise<unknown> => copies.read('b', request, signal);
    // Of either more than are read for all other nodes at once.
    const pairs = Array.from({ length: 40 }, () => [read(living), read(gone)] as const);
    gone.abort();
    const ends = await Promise.allSettled(pairs.map(([, one]) => one));
    expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
    expect((await reads()).waiting).toBe(32);
    release();
    await Promise.all(pairs.map(([one]) => one));
    expect((await reads()).begun).toBe(AT_ONCE + pairs.length);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DiskLogSettings } from '../../src/log/disk/disk-log.ts';
import { DEFAULT_DISK_LIMITS, createDiskShared } from '../../src/log/disk/disk-shared.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { KEEP_ALL, openDiskLog } from '../log/disk/open-disk-log.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { turns } from '../support/turns.ts';
import { leadershipOf, openPartition, readNow } from './fixture.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

let clock: FakeClock;
let disk: FakeDisk;
let partition: Partition;

async function open(
  flush: DiskLogSettings['flush'] = 'always',
  onLoss?: (end: number) => void,
): Promise<void> {
  const producers = new ProducerWindow(clock, 100, { producers: 0, maxProducers: 100 });
  const shared = createDiskShared(disk, { ...DEFAULT_DISK_LIMITS, tailBytes: 0 });
  const log = await openDiskLog({
    ...{ disk, shared, directory: '/topics/orders/0', clock, state: producers },
    ...{ firstOffset: 0, settings: { ...KEEP_ALL, flush } },
  });
  partition = openPartition({ clock, log, producers, onLoss });
}

/** Appends and waits until it is stored. @returns the base offset, or the code of why it is not */
async function store(batch: Buffer): Promise<number | string> {
  const { baseOffset, nextOffset } = partition.append(batch);
  return new Promise((resolve) => {
    partition.whenAcknowledged(nextOffset, 1, (error) => resolve(error ? error.code : baseOffset));
  });
}

async function heal(): Promise<void> {
  for (let attempt = 0; attempt < 20 && partition.failure; attempt++) {
    clock.advance(10_000);
    await turns(50);
  }
}

const idempotent = (baseSequence: number): Buffer =>
  batchOf(1, { producerId: 9, producerEpoch: 0, baseSequence });
const readerAt = (at: 'earliest' | 'latest'): PartitionReader =>
  partition.openReader({ at }) as PartitionReader;

beforeEach(async () => {
  clock = new FakeClock();
  disk = new FakeDisk();
  await disk.makeDirectory('/topics/orders');
  await open();
});

afterEach(async () => {
  await partition.close();
});

describe('a partition on disk', () => {
  it('shows a batch to readers only once it is on the disk', async () => {
    const release = disk.hold();
    const stored = store(batchOf(1));
    const reader = readerAt('earliest');
    await turns();
    const before = readNow(reader).kind;
    release();
    await stored;
    expect([before, readNow(reader).kind]).toEqual(['idle', 'batches']);
  });

  it('shows a batch to readers before it is acknowledged', async () => {
    partition.append(batchOf(1));
    const seen = await new Promise((resolve) => {
      partition.whenAcknowledged(1, 1, () => resolve(partition.highWatermark));
    });
    expect(seen).toBe(1);
  });

  it('acknowledges nothing that could not be written, and says why', async () => {
    const mend = disk.fail({ kinds: ['write'], code: 'ENOSPC' });
    expect(await store(batchOf(1))).toBe('STORAGE_FULL');
    mend();
  });

  it('refuses everything while storage fails, with the reason of it', async () => {
    const mend = disk.fail({ kinds: ['write'], code: 'EIO' });
    await store(idempotent(0));
    expect(() => partition.append(idempotent(0))).toThrow(coded('STORAGE_FAILED'));
    expect(partition.failure?.code).toBe('STORAGE_FAILED');
    mend();
  });

  it('gives the offsets of what failed to what comes after the fault, and readers only that', async () => {
    await store(batchOf([{ value: 'a' }]));
    const mend = disk.fail({ kinds: ['write'], code: 'EIO' });
    await store(batchOf([{ value: 'lost' }]));
    mend();
    await heal();
    expect(await store(batchOf([{ value: 'b' }]))).toBe(1);
    const reader = readerAt('earliest');
    const texts: string[] = [];
    for (let result = await reader.read(1e6); result.kind === 'batches'; result = await reader.read(1e6)) {
      texts.push(...result.batches.map((batch) => batch.toString('latin1')));
    }
    expect(texts.join('')).not.toContain('lost');
  });

  it('takes a batch of a producer again that had failed, and no second time', async () => {
    await store(idempotent(0));
    const mend = disk.fail({ kinds: ['write'], code: 'EIO' });
    await store(idempotent(1));
    mend();
    await heal();
    expect([await store(idempotent(1)), await store(idempotent(1))]).toEqual([1, 1]);
    expect(partition.logEnd).toBe(2);
  });

  it('knows producers again after the process was killed', async () => {
    await store(idempotent(0));
    await store(idempotent(1));
    disk = disk.kill();
    await open();
    expect(await store(idempotent(1))).toBe(1);
    expect(await store(idempotent(2))).toBe(2);
  });

  it('knows producers again after an orderly stop', async () => {
    await store(idempotent(0));
    await partition.close();
    await open();
    expect(await store(idempotent(0))).toBe(0);
  });

  it('is closed only once everything is on the disk', async () => {
    const release = disk.hold();
    partition.append(batchOf(1));
    let closed = false;
    const closing = Promise.resolve(partition.close()).then(() => (closed = true));
    await turns();
    const before = closed;
    release();
    await closing;
    expect(before).toBe(false);
  });

  it('deletes records up to an offset inside a batch, for good', async () => {
    await store(batchOf(10));
    partition.deleteBefore(4);
    const reader = partition.openReader({ at: 'offset', offset: 0 }) as PartitionReader;
    expect(readNow(reader)).toMatchObject({ kind: 'gap', from: 0, to: 4 });
    await partition.close();
    await open();
    expect(partition.logStart).toBe(4);
  });

  it('deletes nothing that is not visible yet', async () => {
    const release = disk.hold();
    partition.append(batchOf(1));
    expect(() => partition.deleteBefore(1)).toThrow(coded('OFFSET_OUT_OF_RANGE'));
    release();
    await turns();
  });
});

describe('a reader that is behind', () => {
  it('is told of what is deleted while it is being read', async () => {
    for (let n = 0; n < 80; n++) await store(batchOf([{ value: 'x'.repeat(1000) }]));
    const reader = readerAt('earliest');
    const release = disk.hold(['read']);
    const reading = reader.read(1e6);
    expect(reading).toBeInstanceOf(Promise);
    await turns();
    partition.deleteBefore(20);
    await turns(50);
    release();
    expect(await reading).toMatchObject({ kind: 'gap', from: 0, to: 20 });
  });
});

describe('a log that came back shorter than what it had promised', () => {
  /** Two batches that are safe, then two that only the system has, then a disk that loses those. */
  async function loseTwo(readers: () => void, onLoss?: (end: number) => void): Promise<void> {
    await partition.close();
    disk = new FakeDisk();
    await disk.makeDirectory('/topics/orders');
    await open('interval', onLoss);
    await store(batchOf(2));
    await store(batchOf(2));
    clock.advance(2000);
    await turns(20);
    await store(batchOf(2));
    await store(batchOf(2));
    readers();
    disk.fail({ code: 'EIO', kinds: ['sync'], path: /\.log$/, times: 1 });
    clock.advance(1000);
    await turns(20);
    disk.dropCaches();
    await heal();
  }

  it('ends readers who were beyond at once, and no others', async () => {
    let [ahead, behind]: PartitionReader[] = [];
    let woken = 0;
    const told: number[] = [];
    await loseTwo(
      () => {
        [ahead, behind] = [readerAt('latest'), readerAt('earliest')];
        readNow(ahead);
        ahead.onReadable = () => woken++;
      },
      (end) => told.push(end),
    );
    expect([woken, readNow(ahead!)]).toEqual([1, { kind: 'ended', code: 'OFFSET_OUT_OF_RANGE' }]);
    expect((await behind!.read(1e6)).kind).toBe('batches');
    expect([partition.highWatermark, partition.logEnd, told]).toEqual([4, 4, [4]]);
  });

  it('goes on with what comes next', async () => {
    await loseTwo(() => undefined);
    expect([await store(batchOf(1)), partition.highWatermark]).toEqual([4, 5]);
  });
});

describe('retention', () => {
  /** Replicates to one that says nothing, and stores much more than is kept. */
  beforeEach(async () => {
    partition.lead(leadershipOf(8, { isr: ['a', 'b'] }));
    partition.log.configure({ ...KEEP_ALL, retentionRecords: 10 });
    for (let count = 0; count < 10; count++) await store(batchOf(50));
    partition.sweep();
  });

  it('takes nothing that is above the high watermark', () => {
    expect([partition.logStart, partition.highWatermark]).toEqual([0, 0]);
  });

  it('takes what is too old as a whole only once the high watermark is behind it', async () => {
    partition.log.configure({ ...KEEP_ALL, retentionMs: 1000 });
    clock.advance(5000);
    partition.sweep();
    expect(partition.logStart).toBe(0);
    partition.reportFollower('b', 500, 0);
    partition.sweep();
    await turns(50);
    expect(partition.logStart).toBe(500);
  });

  it('takes what is below it then', () => {
    partition.reportFollower('b', 300, 0);
    partition.sweep();
    expect(partition.logStart).toBeGreaterThan(200);
    expect(partition.logStart).toBeLessThanOrEqual(300);
  });
});

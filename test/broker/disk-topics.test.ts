import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Asking } from '../../src/kernel/slots.ts';
import { DEFAULT_DISK_LIMITS, createDiskShared } from '../../src/log/disk/disk-shared.ts';
import type { DiskShared } from '../../src/log/disk/disk-shared.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { DiskLogs } from '../../src/replicas/disk-logs.ts';
import { memoryAndDiskReplicaLogs, memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { batchOf, textOf } from '../support/batch.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { turns } from '../support/turns.ts';
import { ALICE, SUBSCRIBER, TestBroker } from './fixture.ts';
import type { MakeLogs } from './fixture.ts';

const DISK = { settings: { storage: 'disk' } } as const;
const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

let test: TestBroker;
let disk: FakeDisk;
let shared: DiskShared;

const logs: MakeLogs = async ({ clock, coordinator }) => {
  shared = createDiskShared(disk, { ...DEFAULT_DISK_LIMITS, tailBytes: 0 });
  const observer = {
    onRecovered: () => undefined,
    onCorrupt: () => undefined,
    onFault: () => undefined,
    onHealed: () => undefined,
    onLeftover: () => undefined,
    onUnknown: () => undefined,
    onPutBack: () => undefined,
    onRemoveFailed: () => undefined,
  };
  const diskLogs = await DiskLogs.open({
    directory: '/data/topics',
    clock,
    clusterId: coordinator.clusterId,
    topics: coordinator.topics(),
    shared,
    observer,
  });
  return memoryAndDiskReplicaLogs(memoryReplicaLogs(clock, new MemoryBudget(Infinity)), diskLogs);
};

async function read(topic: string): Promise<string[]> {
  const { readers } = await test.subscribe(topic, { start: { at: 'earliest' } });
  const texts: string[] = [];
  for (const reader of readers) texts.push(...(await readAll(reader)));
  return texts;
}

async function readAll(reader: PartitionReader): Promise<string[]> {
  const result = await reader.read(1e6);
  return result.kind === 'batches' ? [...textOf(result.batches), ...(await readAll(reader))] : [];
}

/** Ends the process in the middle of everything and starts another. */
async function killAndStart(): Promise<void> {
  await test.crash();
  disk = disk.kill();
  await test.start();
}

beforeEach(async () => {
  disk = new FakeDisk();
  await disk.makeDirectory('/data');
  test = await TestBroker.open({}, undefined, logs);
});

afterEach(async () => {
  await test[Symbol.asyncDispose]();
});

describe('a topic on disk', () => {
  it('has its records again after an orderly stop', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.publish('orders', batchOf([{ value: 'a' }]));
    await test.stop();
    await test.start();
    expect(await read('orders')).toEqual(['0 null=a']);
  });

  it('has its records again after the process was killed, and goes on behind them', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.publish('orders', batchOf([{ value: 'a' }]));
    await killAndStart();
    expect((await test.publish('orders', batchOf(1))).baseOffset).toBe(1);
    expect(await read('orders')).toEqual(['0 null=a', '1 null=v']);
  });

  it('grows, and the new partitions come back too', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.broker.alterTopic(ALICE, { name: 'orders', partitions: 3 });
    await test.publish('orders', batchOf(1), 2);
    await killAndStart();
    expect(await read('orders')).toEqual(['0 null=v']);
  });

  it('leaves nothing behind when it is deleted', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.publish('orders', batchOf(1));
    await test.broker.deleteTopic(ALICE, 'orders');
    await turns(50);
    expect(disk.names('/data/topics')).toEqual(['cluster']);
  });

  it('does not come back after it was deleted and the process killed', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.publish('orders', batchOf(1));
    await test.broker.deleteTopic(ALICE, 'orders');
    await killAndStart();
    await turns(50);
    expect(disk.names('/data/topics')).toEqual(['cluster']);
    expect(await test.broker.listTopics(ALICE, { internal: true })).toEqual([]);
  });

  it('is put aside when the process is killed before the deletion is answered', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.publish('orders', batchOf(1));
    disk.hold(['rename']);
    void test.broker.deleteTopic(ALICE, 'orders');
    await turns(50);
    await killAndStart();
    // Nothing on the disk says that it was deleted.
    expect(disk.names('/data/topics').filter((name) => name !== 'cluster')).toEqual([
      expect.stringMatching(/\.unknown$/),
    ]);
    expect(await test.broker.listTopics(ALICE, { internal: true })).toEqual([]);
  });

  it('begins anew when it is deleted and created again', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.publish('orders', batchOf(1));
    await test.broker.deleteTopic(ALICE, 'orders');
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    expect(await read('orders')).toEqual([]);
    await turns(50);
    expect(disk.names('/data/topics')).toHaveLength(2);
  });

  it('is created anew while its predecessor is still being opened', async () => {
    const release = disk.hold(['list', 'write', 'sync', 'syncDirectory']);
    const first = test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    first.catch(() => undefined);
    await expect.poll(() => test.coordinator.topic('orders')).toBeDefined();
    await test.broker.deleteTopic(ALICE, 'orders');
    release();
    await expect(first).rejects.toThrow(coded('TOPIC_NOT_FOUND'));
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    expect((await test.publish('orders', batchOf(1))).baseOffset).toBe(0);
  });

  it('is refused, and not begun anew, when its files are gone', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.publish('orders', batchOf(1));
    const { id } = test.coordinator.topic('orders')!;
    await test.stop();
    await disk.removeDirectory(`/data/topics/${id}`);
    await test.start();
    await expect(test.publish('orders', batchOf(1))).rejects.toThrow(coded('STORAGE_FAILED'));
  });

  it('is as it was altered to be while it was being opened', async () => {
    const release = disk.hold(['list', 'write', 'sync', 'syncDirectory']);
    const creating = test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await expect.poll(() => test.coordinator.topic('orders')).toBeDefined();
    const { settings } = test.coordinator.topic('orders')!;
    await test.coordinator.alterTopic('orders', {
      partitions: 2,
      settings: { ...settings, batchMaxBytes: 1024 },
    });
    release();
    await creating;
    await expect
      .poll(async () => (await test.broker.describeTopic(ALICE, 'orders')).partitions.length)
      .toBe(2);
    const large = batchOf([{ value: 'x'.repeat(2000) }]);
    await expect(test.publish('orders', large, 0)).rejects.toThrow(coded('BATCH_TOO_LARGE'));
  });

  it('says why it takes nothing while its disk is full, and takes batches again after', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    const mend = disk.fail({ kinds: ['write'], code: 'ENOSPC' });
    await expect(test.publish('orders', batchOf(1))).rejects.toThrow(coded('STORAGE_FULL'));
    const [partition] = (await test.broker.describeTopic(ALICE, 'orders')).partitions;
    expect(partition!.error?.code).toBe('STORAGE_FULL');
    mend();
    for (let attempt = 0; attempt < 5; attempt++) {
      test.clock.advance(10_000);
      await turns(50);
    }
    expect((await test.publish('orders', batchOf(1))).baseOffset).toBe(0);
  });
});

describe('a topic that cannot be opened', () => {
  /**
   * Starts a node with two topics, of which it cannot read one.
   * @param partitions those that it cannot read, a regular expression
   */
  async function startBroken(partitions = '[01]'): Promise<() => void> {
    await test.broker.createTopic(ALICE, { name: 'good', ...DISK });
    await test.publish('good', batchOf(1));
    await test.broker.createTopic(ALICE, { name: 'bad', partitions: 2, ...DISK });
    await test.publish('bad', batchOf([{ value: 'kept' }]), 1);
    await test.crash();
    disk = disk.kill();
    const { id } = test.coordinator.topic('bad')!;
    const mend = disk.fail({ kinds: ['list'], path: new RegExp(`${id}/${partitions}`), code: 'EIO' });
    await test.start();
    return mend;
  }

  it('does not keep the others from being used', async () => {
    await startBroken();
    expect(await read('good')).toEqual(['0 null=v']);
  });

  it('is refused with the reason', async () => {
    await startBroken();
    await expect(test.publish('bad', batchOf(1))).rejects.toThrow(coded('STORAGE_FAILED'));
    expect(await test.broker.describeTopic(ALICE, 'bad')).toMatchObject({
      partitions: [],
      error: { code: 'STORAGE_FAILED' },
    });
    expect((await test.broker.listTopics(ALICE, { internal: false })).map(({ name }) => name)).toEqual([
      'bad',
      'good',
    ]);
  });

  it('is used as far as it can be, when that is so of some partitions only', async () => {
    await startBroken('1');
    expect((await test.publish('bad', batchOf(1), 0)).baseOffset).toBe(0);
    await expect(test.publish('bad', batchOf(1), 1)).rejects.toThrow(coded('STORAGE_FAILED'));
    const { error, partitions } = await test.broker.describeTopic(ALICE, 'bad');
    expect([error, ...partitions.map((one) => one.error?.code)]).toEqual([
      undefined,
      undefined,
      'STORAGE_FAILED',
    ]);
    expect(test.told).toEqual(['bad failed STORAGE_FAILED']);
    expect(test.broker.snapshot()).toMatchObject({ failedTopics: 1, partitions: 2 });
  });

  it('is read from the partition that could not be opened once it can', async () => {
    const mend = await startBroken('1');
    const { readers } = await test.subscribe('bad', { start: { at: 'earliest' } });
    expect(readers.map(({ partition }) => partition)).toEqual([0]);
    mend();
    test.clock.advance(1000);
    await expect.poll(() => readers.map(({ partition }) => partition)).toEqual([0, 1]);
    expect(await readAll(readers[1]!)).toEqual(['0 null=kept']);
  });

  it('keeps a key on its partition when that cannot be opened', async () => {
    await startBroken('1');
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, n) => test.publish('bad', batchOf([{ key: `k${n}` }]))),
    );
    const kinds = new Set(outcomes.map(({ status }) => status));
    expect(kinds).toEqual(new Set(['fulfilled', 'rejected']));
  });

  it('keeps no file open', async () => {
    await startBroken();
    await test.broker.deleteTopic(ALICE, 'good');
    await turns(50);
    expect(disk.openFiles).toBe(0);
  });

  it('is told of once, and again when it is well', async () => {
    const mend = await startBroken();
    for (let second = 0; second < 10; second++) {
      test.clock.advance(1000);
      await turns(20);
    }
    mend();
    for (let second = 0; second < 30; second++) {
      test.clock.advance(1000);
      await turns(20);
    }
    expect(test.told).toEqual(['bad failed STORAGE_FAILED', 'bad recovered']);
    expect(await read('bad')).toEqual(['0 null=kept']);
  });

  it('is not tried for every publish', async () => {
    await startBroken();
    const before = disk.calls.length;
    for (let n = 0; n < 10; n++) await test.publish('bad', batchOf(1)).catch(() => undefined);
    expect(disk.calls.length).toBe(before);
  });

  it('can be deleted', async () => {
    await startBroken();
    await test.broker.deleteTopic(ALICE, 'bad');
    await turns(50);
    expect(disk.names('/data/topics')).toHaveLength(2);
    expect(test.broker.snapshot().failedTopics).toBe(0);
  });

  it('fails its creation, and nothing else', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const mend = disk.fail({ kinds: ['makeDirectory'], code: 'EACCES' });
    await expect(test.broker.createTopic(ALICE, { name: 'orders', ...DISK })).rejects.toThrow(
      coded('STORAGE_FAILED'),
    );
    mend();
    await turns(20);
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  it('fails alone when nobody here waits for it', async () => {
    // Another node's topic: nobody here awaits its opening.
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const mend = disk.fail({ kinds: ['makeDirectory'], code: 'EACCES' });
    const { settings } = await test.broker.createTopic(ALICE, { name: 'other' });
    await test.coordinator.createTopic({
      name: 'orders',
      partitions: 1,
      settings: { ...settings, storage: 'disk' },
    });
    await turns(20);
    mend();
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    expect(test.told).toEqual(['orders failed STORAGE_FAILED']);
  });

  it('gets its missing partitions once the fault is over', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    const mend = disk.fail({ kinds: ['makeDirectory'], code: 'ENOSPC' });
    await expect(test.broker.alterTopic(ALICE, { name: 'orders', partitions: 3 })).rejects.toThrow(
      coded('STORAGE_FULL'),
    );
    mend();
    test.clock.advance(1000);
    const faults = async (): Promise<unknown[]> =>
      (await test.broker.describeTopic(ALICE, 'orders')).partitions.map(({ error }) => error);
    await expect.poll(faults).toEqual([undefined, undefined, undefined]);
  });
});

describe('deleting records', () => {
  const KINDS = ['memory', 'disk'] as const;

  it.each(KINDS)('in %s moves the start to an offset, and readers behind it are told', async (storage) => {
    await test.broker.createTopic(ALICE, { name: 'orders', settings: { storage } });
    await test.publish('orders', batchOf(10));
    const { readers } = await test.subscribe('orders', { start: { at: 'earliest' } });
    const before = { at: 'offset', offset: 4 } as const;
    expect(await test.broker.deleteRecords(ALICE, 'orders', [], before)).toEqual([
      { topic: 'orders', partition: 0, offset: 4 },
    ]);
    expect(await readers[0]!.read(1e6)).toMatchObject({ kind: 'gap', from: 0, to: 4 });
  });

  it.each(KINDS)('in %s before latest leaves none', async (storage) => {
    await test.broker.createTopic(ALICE, { name: 'orders', partitions: 2, settings: { storage } });
    await test.publish('orders', batchOf(10), 0);
    await test.publish('orders', batchOf(5), 1);
    await test.broker.deleteRecords(ALICE, 'orders', [], { at: 'latest' });
    const starts = (await test.broker.describeTopic(ALICE, 'orders')).partitions.map(
      ({ logStart }) => logStart,
    );
    expect(starts).toEqual([10, 5]);
  });

  it.each(KINDS)('in %s before a time leaves what is not older', async (storage) => {
    await test.broker.createTopic(ALICE, { name: 'orders', settings: { storage } });
    const times = [1000, 2000, 3000].map((timestampMs) => ({ timestampMs }));
    await test.publish('orders', batchOf(times));
    const [position] = await test.broker.deleteRecords(ALICE, 'orders', [0], {
      at: 'timestamp',
      timestampMs: 2000,
    });
    expect(position!.offset).toBe(1);
  });

  it('is answered when they cannot come back, and not before', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', ...DISK });
    await test.publish('orders', batchOf(10));
    const release = disk.hold();
    let isAnswered = false;
    const before = { at: 'offset', offset: 4 } as const;
    const deleting = test.broker
      .deleteRecords(ALICE, 'orders', [], before)
      .finally(() => (isAnswered = true));
    await turns(50);
    expect(isAnswered).toBe(false);
    release();
    expect(await deleting).toEqual([{ topic: 'orders', partition: 0, offset: 4 }]);
  });

  it('deletes nowhere when it would delete what nobody can read yet', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', partitions: 2, ...DISK });
    await test.publish('orders', batchOf(10), 0);
    const release = disk.hold();
    const publishing = test.publish('orders', batchOf(10), 1);
    const before = { at: 'offset', offset: 5 } as const;
    await expect(test.broker.deleteRecords(ALICE, 'orders', [], before)).rejects.toThrow(
      coded('OFFSET_OUT_OF_RANGE'),
    );
    release();
    await publishing;
    expect((await test.broker.describeTopic(ALICE, 'orders')).partitions[0]!.logStart).toBe(0);
  });

  it('deletes nowhere when one partition does not go so far', async () => {
    await test.broker.createTopic(ALICE, { name: 'orders', partitions: 2 });
    await test.publish('orders', batchOf(10), 0);
    const before = { at: 'offset', offset: 5 } as const;
    await expect(test.broker.deleteRecords(ALICE, 'orders', [], before)).rejects.toThrow(
      coded('OFFSET_OUT_OF_RANGE'),
    );
    expect((await test.broker.describeTopic(ALICE, 'orders')).partitions[0]!.logStart).toBe(0);
  });
});

describe('a search for a time that waits for the disk', () => {
  const start = { at: 'timestamp', timestampMs: 0 } as const;

  it.each(['listOffsets', 'openReader', 'subscribe'] as const)(
    'leaves the queue when who has asked goes: %s',
    async (what) => {
      await test.broker.createTopic(ALICE, { name: 't', ...DISK });
      await test.publish('t', batchOf([{ value: 'a' }]));
      const release = disk.hold(['read']);
      const asking = new Asking();
      const ask = (): Promise<unknown> => {
        switch (what) {
          case 'listOffsets':
            return test.broker.listOffsets(ALICE, 't', [], start, asking);
          case 'openReader':
            return test.broker.openReader(ALICE, {
              topic: 't',
              partition: 0,
              start,
              name: 'x',
              asker: asking,
            });
          case 'subscribe':
            return test.subscribe('t', {
              start,
              subscriber: { ...SUBSCRIBER, asker: asking, takePartition: () => undefined },
            });
        }
      };
      const others = Array.from({ length: 8 }, () => test.broker.listOffsets(ALICE, 't', [], start));
      await turns(20);
      const asked = ask();
      await turns(20);
      expect(shared.reads.waitingCount).toBe(1);
      asking.drop();
      await expect(asked).rejects.toThrow(coded('CANCELLED'));
      expect(shared.reads.waitingCount).toBe(0);
      release();
      await Promise.all(others);
    },
  );
});

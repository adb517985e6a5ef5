import { beforeEach, describe, expect, it } from 'vitest';
import { createDiskShared } from '../../src/log/disk/disk-shared.ts';
import { NO_STATE } from '../../src/log/log-state.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { DiskLogs } from '../../src/replicas/disk-logs.ts';
import type { OpenedLog, ReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { memoryAndDiskReplicaLogs, memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import { stampedBatch } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { newTopic } from './cluster-stage.ts';

const ID = '11111111-2222-3333-4444-555555555555';
const TOPIC: TopicDefinition = { ...newTopic('orders', { storage: 'disk' }), id: ID, createdMs: 0 };
const SEGMENT = `/data/topics/${ID}/0/00000000000000000000.log`;
const NOTHING = {
  ...{ onRecovered() {}, onCorrupt() {}, onFault() {}, onHealed() {} },
  ...{ onLeftover() {}, onUnknown() {}, onPutBack() {}, onRemoveFailed() {} },
};

let disk: FakeDisk;
let clock: FakeClock;
let logs: DiskLogs;

async function start(): Promise<void> {
  const shared = createDiskShared(disk);
  const topics = [TOPIC];
  const where = { directory: '/data/topics', clusterId: 'c1' };
  logs = await DiskLogs.open({ ...where, clock, topics, shared, observer: NOTHING });
}

async function restart(): Promise<void> {
  disk = disk.kill();
  await start();
}

async function open(isKnown: boolean): Promise<OpenedLog> {
  return logs.open({ topic: TOPIC, partition: 0, isKnown, state: NO_STATE });
}

/** A log with two batches. */
async function used(): Promise<void> {
  const { log } = await open(false);
  log.append(stampedBatch(0, 2));
  log.append(stampedBatch(2, 2));
  await log.close();
}

beforeEach(async () => {
  disk = new FakeDisk();
  clock = new FakeClock();
  await disk.makeDirectory('/data');
  await start();
});

describe('logs of replicas on disk', () => {
  it('are there once they were begun, also after the process was killed', async () => {
    expect(await logs.has(TOPIC, 0)).toBe(false);
    await used();
    await restart();
    expect([await logs.has(TOPIC, 0), await logs.has(TOPIC, 1)]).toEqual([true, false]);
    expect(await logs.stored(TOPIC)).toEqual([0]);
    const { log, isIntact } = await open(true);
    expect([log.logEnd, isIntact]).toEqual([4, true]);
  });

  it('are not begun anew where there was one', async () => {
    await expect(open(true)).rejects.toThrow(expect.objectContaining({ code: 'STORAGE_FAILED' }) as Error);
  });

  it('are not intact when something in them is damaged, at any start until they were said to be whole', async () => {
    await used();
    const bytes = disk.peek(SEGMENT)!;
    bytes[20]! ^= 1;
    disk.plant(SEGMENT, bytes);
    for (const name of disk.names(`/data/topics/${ID}/0`).filter((one) => one.endsWith('.snapshot'))) {
      disk.plant(`/data/topics/${ID}/0/${name}`, undefined);
    }
    for (let round = 0; round < 2; round++) {
      await restart();
      expect(await open(true)).toMatchObject({ isIntact: false });
    }
    await restart();
    await (await open(true)).markWhole?.();
    await restart();
    expect(await open(true)).toMatchObject({ isIntact: true });
  });

  it('are not intact from the beginning where what was there before is gone', async () => {
    const { isIntact } = await logs.open({
      ...{ topic: TOPIC, partition: 0, isKnown: false, isLost: true },
      state: NO_STATE,
    });
    await restart();
    expect([isIntact, (await open(true)).isIntact]).toEqual([false, false]);
  });

  it('go with their partition, and with their topic', async () => {
    await used();
    await logs.removePartition(TOPIC, 0);
    expect(await logs.has(TOPIC, 0)).toBe(false);
    await used();
    await logs.removeTopic(TOPIC);
    await logs[Symbol.asyncDispose]();
    expect(disk.names('/data/topics')).toEqual(['cluster']);
  });
});

describe('logs in memory and on disk', () => {
  it('are where their topic says', async () => {
    const memory = memoryReplicaLogs(clock, new MemoryBudget(Infinity));
    const both: ReplicaLogs = memoryAndDiskReplicaLogs(memory, logs);
    const inMemory = { ...TOPIC, settings: { ...TOPIC.settings, storage: 'memory' } } as const;
    for (const topic of [TOPIC, inMemory]) {
      await both.open({ topic, partition: 0, isKnown: false, state: NO_STATE });
    }
    expect([await both.has(TOPIC, 0), await both.has(inMemory, 0)]).toEqual([true, false]);
    expect([await both.stored?.(TOPIC), await both.stored?.(inMemory)]).toEqual([[0], []]);
    await both.removePartition(inMemory, 0);
    expect(await both.has(TOPIC, 0)).toBe(true);
    await both.removePartition(TOPIC, 0);
    expect(await both.has(TOPIC, 0)).toBe(false);
    await both.removeTopic(inMemory);
  });
});

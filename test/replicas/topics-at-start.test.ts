import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import { EmbeddedCoordinator } from '../../src/coordination/embedded/embedded.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { createDiskShared } from '../../src/log/disk/disk-shared.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { DiskLogs } from '../../src/replicas/disk-logs.ts';
import { memoryAndDiskReplicaLogs, memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { Replicas } from '../../src/replicas/replicas.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { newTopic } from './cluster-stage.ts';

const ORDERS = newTopic('orders', { storage: 'disk', replicationFactor: 1 });
const ignored = (): undefined => undefined;

let dataDir: string;
let clock: FakeClock;
let disk: FakeDisk;
let coordinator: EmbeddedCoordinator;
let diskLogs: DiskLogs;
let replicas: Replicas;
/** What could not be removed, and why. */
let told: string[];

/** A node starts, and something happens after it has looked what is on its disk. */
async function start(meanwhile: () => unknown = ignored): Promise<void> {
  coordinator = await EmbeddedCoordinator.open({ dataDir, clock, random: systemRandom, nodeId: 'a' });
  diskLogs = await DiskLogs.open({
    directory: '/data/topics',
    clock,
    clusterId: coordinator.clusterId,
    topics: coordinator.topics(),
    shared: createDiskShared(disk),
    observer: {
      ...{ onRecovered: ignored, onCorrupt: ignored, onFault: ignored, onHealed: ignored },
      ...{ onLeftover: ignored, onPutBack: ignored },
      onUnknown: (folder) => told.push(`unknown ${folder}`),
      onRemoveFailed: ({ code }) => told.push(code),
    },
  });
  await meanwhile();
  replicas = await Replicas.open({
    coordinator,
    clock,
    random: new SeededRandom(1),
    logs: memoryAndDiskReplicaLogs(memoryReplicaLogs(clock, new MemoryBudget(Infinity)), diskLogs),
    counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
    inflatedMaxBytes: 1024 * 1024,
    listener: { onOpened: ignored, onClosed: ignored },
    observer: { onRemoveFailed: ({ name }, _, { code }) => told.push(`${name} ${code}`) },
  });
}

/** Ends the process without a word, and starts another on what it has left. */
async function restart(meanwhile?: () => unknown): Promise<void> {
  await coordinator[Symbol.asyncDispose]();
  disk = disk.kill();
  await start(meanwhile);
}

const at = ({ id }: TopicDefinition): Partition => replicas.get(id, 0)!;

/** A topic with one record on the disk. */
async function used(): Promise<TopicDefinition> {
  const topic = await coordinator.createTopic(ORDERS);
  await replicas.settled(topic.id);
  at(topic).append(batchOf([{ value: 'old' }]));
  await new Promise((resolve) => at(topic).whenAcknowledged(1, 1, resolve));
  return topic;
}

/** Topics that have a folder, or have left one. */
async function folders(): Promise<readonly string[]> {
  await turns(50);
  return disk.names('/data/topics').filter((name) => name !== 'cluster');
}

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sluice-replicas-'));
  clock = new FakeClock();
  disk = new FakeDisk();
  await disk.makeDirectory('/data');
  told = [];
  await start();
});

afterEach(async () => {
  await replicas.close();
  await coordinator[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
});

describe('a topic that is deleted while a node starts', () => {
  it('leaves nothing on its disk, now and after the next start', async () => {
    await used();
    await restart(() => coordinator.deleteTopic('orders'));
    expect(await folders()).toEqual([]);
    await restart();
    expect([await folders(), told]).toEqual([[], []]);
  });

  it('leaves nothing to another of its name that is made in the same moment', async () => {
    const old = await used();
    let made = old;
    await restart(async () => {
      await coordinator.deleteTopic('orders');
      made = await coordinator.createTopic(ORDERS);
    });
    expect(at(made)).toMatchObject({ role: 'leader', logStart: 0, logEnd: 0 });
    expect([await folders(), replicas.get(old.id, 0)]).toEqual([[made.id], undefined]);
    await restart();
    expect([await folders(), at(made).logEnd]).toEqual([[made.id], 0]);
  });

  it('takes no other with it, also where that was made in the same moment', async () => {
    const kept = await used();
    let made = kept;
    await restart(async () => (made = await coordinator.createTopic({ ...ORDERS, name: 'new' })));
    expect([...(await folders())].sort()).toEqual([kept.id, made.id].sort());
    expect([at(kept).logEnd, at(made).logEnd]).toEqual([1, 0]);
  });

  it('is tried again when its folder cannot be taken away', async () => {
    const { id } = await used();
    await coordinator[Symbol.asyncDispose]();
    disk = disk.kill();
    const mend = disk.fail({ kinds: ['rename'], path: new RegExp(`${id}$`), code: 'EBUSY' });
    await start(() => coordinator.deleteTopic('orders'));
    expect([await folders(), told]).toEqual([[id], ['orders STORAGE_FAILED']]);
    mend();
    clock.advance(1000);
    expect(await folders()).toEqual([]);
  });
});

describe('a topic whose folder cannot be taken away when it is deleted', () => {
  it.each(['EBUSY', 'EACCES'])('is told of once and goes as soon as it can, after %s', async (code) => {
    const { id } = await used();
    const mend = disk.fail({ kinds: ['rename'], path: new RegExp(`${id}$`), code });
    await coordinator.deleteTopic('orders');
    await replicas.removed(id);
    for (let round = 0; round < 5; round++) {
      expect([await folders(), told]).toEqual([[id], ['orders STORAGE_FAILED']]);
      clock.advance(60_000);
    }
    mend();
    await folders();
    clock.advance(60_000);
    expect(await folders()).toEqual([]);
  });

  it('holds up nothing: neither another of its name nor the end of the node, after which it is left alone', async () => {
    const { id } = await used();
    disk.fail({ kinds: ['rename'], path: new RegExp(`${id}$`), code: 'EACCES' });
    await coordinator.deleteTopic('orders');
    await replicas.removed(id);
    const made = await coordinator.createTopic(ORDERS);
    await replicas.settled(made.id);
    expect(at(made).logEnd).toBe(0);
    await replicas.close();
    const { length } = disk.calls;
    clock.advance(60_000);
    await turns();
    expect(disk.calls.length).toBe(length);
  });
});

describe('a topic whose folder was taken away and cannot be removed', () => {
  it('is told of, and goes with the next start', async () => {
    const { id } = await used();
    disk.fail({ kinds: ['removeDirectory'], path: /deleted$/, code: 'EBUSY', after: 1, times: 1 });
    await coordinator.deleteTopic('orders');
    await replicas.removed(id);
    await diskLogs[Symbol.asyncDispose]();
    await restart();
    expect(await folders()).toEqual([]);
    expect(told).not.toEqual([]);
  });
});

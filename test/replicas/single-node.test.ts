import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OFFSET_BLOCK } from '../../src/coordination/coordinator.ts';
import { EmbeddedCoordinator } from '../../src/coordination/embedded/embedded.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import type { Partition } from '../../src/partition/partition.ts';
import type { ReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { Replicas } from '../../src/replicas/replicas.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { newTopic as clusterTopic } from './cluster-stage.ts';
import { ScriptedLogs } from './scripted-logs.ts';

const newTopic: typeof clusterTopic = (name, settings) =>
  clusterTopic(name, { replicationFactor: 1, ...settings });

function gated(): PromiseWithResolvers<void> {
  return Promise.withResolvers();
}

describe('Replicas of a node on its own', () => {
  let dataDir: string;
  let clock: FakeClock;
  let coordinator: EmbeddedCoordinator;
  let replicas: Replicas;
  let told: string[];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-replicas-'));
    clock = new FakeClock();
    told = [];
  });
  afterEach(async () => {
    await stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  async function start(
    logs: ReplicaLogs = memoryReplicaLogs(clock, new MemoryBudget(Infinity)),
  ): Promise<void> {
    coordinator = await EmbeddedCoordinator.open({ dataDir, clock, random: systemRandom, nodeId: 'a' });
    replicas = await Replicas.open({
      coordinator,
      clock,
      random: new SeededRandom(1),
      logs,
      counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
      inflatedMaxBytes: 1024 * 1024,
      listener: {
        onOpened: (topic, { partition, role }) => told.push(`opened ${topic.name}/${partition} ${role}`),
        onClosed: (topic, { partition }) => told.push(`closed ${topic.name}/${partition}`),
      },
      observer: {
        onFailed: ({ topic, partition }, { code }) => told.push(`failed ${topic.name}/${partition} ${code}`),
        onRecovered: ({ topic, partition }) => told.push(`recovered ${topic.name}/${partition}`),
      },
    });
  }

  async function stop(): Promise<void> {
    await replicas.close();
    await coordinator[Symbol.asyncDispose]();
  }

  function at(name: string, partition = 0): Partition {
    return replicas.get(coordinator.topic(name)!.id, partition)!;
  }

  it('leads whatever is created, before the one who creates it goes on', async () => {
    await start();
    const topic = await coordinator.createTopic({ ...newTopic('orders'), partitions: 3 });
    await replicas.settled(topic.id);
    expect(told).toEqual(['opened orders/0 leader', 'opened orders/1 leader', 'opened orders/2 leader']);
    expect(replicas.ofTopic(topic.id).map(({ partition }) => partition)).toEqual([0, 1, 2]);
    expect(at('orders').append(batchOf(1), 2)).toMatchObject({ baseOffset: 0, nextOffset: 1 });
    expect(at('orders').isAcknowledged(1, 2)).toBe(true);
    expect(at('orders').highWatermark).toBe(1);
  });

  it('opens partitions that are added, and configures those that are there', async () => {
    await start();
    const topic = await coordinator.createTopic(newTopic('orders'));
    await coordinator.alterTopic('orders', { partitions: 2, settings: { batchMaxBytes: 1024 } });
    await replicas.settled(topic.id);
    expect(replicas.ofTopic(topic.id)).toHaveLength(2);
    const large = batchOf([{ value: 'v'.repeat(2000) }]);
    expect(() => at('orders').append(large)).toThrow(expect.objectContaining({ code: 'BATCH_TOO_LARGE' }));
  });

  it('closes what is deleted in the same turn, and removes it after that', async () => {
    const logs = new ScriptedLogs(clock);
    await start(logs);
    const topic = await coordinator.createTopic(newTopic('orders', { storage: 'disk' }));
    await replicas.settled(topic.id);
    const partition = at('orders');
    await coordinator.deleteTopic('orders');
    expect([partition.closed, told.at(-1), replicas.get(topic.id, 0)]).toEqual([
      true,
      'closed orders/0',
      undefined,
    ]);
    await turns();
    expect(logs.calls).toEqual(['begin orders/0', 'remove orders']);
  });

  it('goes on at the log end after an orderly stop, and above all that may have been given out after a crash', async () => {
    await start();
    const topic = await coordinator.createTopic(newTopic('orders'));
    await replicas.settled(topic.id);
    at('orders').append(batchOf(3));
    await stop();
    await start();
    expect(at('orders')).toMatchObject({
      role: 'leader',
      logStart: 3,
      logEnd: 3,
      highWatermark: 3,
      leaderEpoch: 2,
    });
    at('orders').append(batchOf(1));
    await coordinator[Symbol.asyncDispose]();
    await start();
    expect(at('orders')).toMatchObject({ logStart: OFFSET_BLOCK, logEnd: OFFSET_BLOCK });
  });

  describe('logs that cannot be opened', () => {
    const full = new SluiceError('STORAGE_FULL', 'full');

    it('are tried again, and who waits is told why', async () => {
      const logs = new ScriptedLogs(clock);
      await start(logs);
      logs.error = full;
      const topic = await coordinator.createTopic(newTopic('orders', { storage: 'disk' }));
      await expect(replicas.settled(topic.id)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
      expect(replicas.failures(topic.id)).toEqual([full]);
      logs.error = undefined;
      clock.advance(1000);
      await replicas.settled(topic.id);
      expect(told).toEqual(['failed orders/0 STORAGE_FULL', 'opened orders/0 leader', 'recovered orders/0']);
      expect(replicas.failures(topic.id)).toEqual([]);
    });

    it('are tried at once when somebody asks for it', async () => {
      const logs = new ScriptedLogs(clock);
      await start(logs);
      logs.error = full;
      const topic = await coordinator.createTopic(newTopic('orders', { storage: 'disk' }));
      await replicas.settled(topic.id).catch(() => undefined);
      await expect(replicas.retry(topic.id)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
      logs.error = undefined;
      await replicas.retry(topic.id);
      expect(at('orders').role).toBe('leader');
    });

    it('hold up no others, neither when they are slow', async () => {
      const logs = new ScriptedLogs(clock);
      await start(logs);
      const gate = gated();
      logs.gates.set('slow/0', gate.promise);
      const slow = await coordinator.createTopic(newTopic('slow', { storage: 'disk' }));
      const quick = await coordinator.createTopic(newTopic('quick', { storage: 'disk' }));
      await replicas.settled(quick.id);
      expect(told).toEqual(['opened quick/0 leader']);
      gate.resolve();
      await replicas.settled(slow.id);
      expect(told).toEqual(['opened quick/0 leader', 'opened slow/0 leader']);
    });

    it('are closed again when their topic is deleted meanwhile', async () => {
      const logs = new ScriptedLogs(clock);
      await start(logs);
      const gate = gated();
      logs.gates.set('slow/0', gate.promise);
      await coordinator.createTopic(newTopic('slow', { storage: 'disk' }));
      await coordinator.deleteTopic('slow');
      await turns();
      expect(logs.calls).toEqual([]);
      gate.resolve();
      await turns();
      expect([logs.calls, told]).toEqual([['begin slow/0', 'remove slow'], []]);
    });

    it('have the settings that were altered meanwhile', async () => {
      const logs = new ScriptedLogs(clock);
      await start(logs);
      const gate = gated();
      logs.gates.set('slow/0', gate.promise);
      const topic = await coordinator.createTopic(newTopic('slow', { storage: 'disk' }));
      await coordinator.alterTopic('slow', { settings: { batchMaxBytes: 1024 } });
      gate.resolve();
      await replicas.settled(topic.id);
      const large = batchOf([{ value: 'v'.repeat(2000) }]);
      expect(() => at('slow').append(large)).toThrow(expect.objectContaining({ code: 'BATCH_TOO_LARGE' }));
    });
  });

  describe('on disk', () => {
    it('opens what was there before', async () => {
      const logs = new ScriptedLogs(clock);
      await start(logs);
      await replicas.settled((await coordinator.createTopic(newTopic('orders', { storage: 'disk' }))).id);
      await stop();
      await start(logs);
      expect(logs.calls).toEqual(['begin orders/0', 'open orders/0']);
      expect(at('orders').role).toBe('leader');
    });

    it('does not begin again what was there and is missing, however often it is tried', async () => {
      const logs = new ScriptedLogs(clock);
      await start(logs);
      const topic = await coordinator.createTopic(newTopic('orders', { storage: 'disk' }));
      await replicas.settled(topic.id);
      await stop();
      logs.there.clear();
      await start(logs);
      for (let round = 0; round < 3; round++) {
        await expect(replicas.retry(topic.id)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      }
      expect([logs.calls, replicas.get(topic.id, 0)]).toEqual([['begin orders/0'], undefined]);
    });

    it('begins what never was, though the topic was there before', async () => {
      await start(new ScriptedLogs(clock));
      await stop();
      // A topic that was created when the process ended.
      coordinator = await EmbeddedCoordinator.open({ dataDir, clock, random: systemRandom, nodeId: 'a' });
      await coordinator.createTopic(newTopic('orders', { storage: 'disk' }));
      await coordinator[Symbol.asyncDispose]();
      const logs = new ScriptedLogs(clock);
      await start(logs);
      expect([logs.calls[0], at('orders').role]).toEqual(['begin orders/0', 'leader']);
    });

    it('goes on with what is left of a log that was damaged, since nobody else has more', async () => {
      const logs = new ScriptedLogs(clock);
      await start(logs);
      await replicas.settled((await coordinator.createTopic(newTopic('orders', { storage: 'disk' }))).id);
      await stop();
      logs.damaged.add('orders/0');
      logs.calls.length = 0;
      await start(logs);
      expect(at('orders').role).toBe('leader');
      expect(logs.calls).toEqual(['open orders/0', 'whole orders/0']);
    });
  });
});

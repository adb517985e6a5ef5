import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import { remove } from '../../src/coordination/etcd/store.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { Removals } from '../../src/replicas/removals.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { ClusterStage, newTopic } from './cluster-stage.ts';
import { ScriptedLogs } from './scripted-logs.ts';

const BUSY = new SluiceError('STORAGE_FAILED', 'busy');

describe('what is to be taken away', () => {
  let clock: FakeClock;
  let removals: Removals;
  let failure: SluiceError | undefined;
  let tries: string[];
  let told: string[];

  const begin = (key: string): void =>
    removals.begin(key, {
      remove: () => {
        tries.push(key);
        if (failure) throw failure;
      },
      onFailed: ({ code }) => told.push(`${key} ${code}`),
    });
  const pass = async (): Promise<void> => {
    clock.advance(60_000);
    await turns();
  };

  beforeEach(() => {
    clock = new FakeClock();
    removals = new Removals(clock, new SeededRandom(1));
    failure = BUSY;
    [tries, told] = [[], []];
  });

  it('is tried until it is, and told of once', async () => {
    begin('a');
    await removals.settled('a');
    await pass();
    failure = undefined;
    await pass();
    await pass();
    expect([tries, told]).toEqual([['a', 'a', 'a'], ['a STORAGE_FAILED']]);
  });

  it('is tried no more when it is dropped, and what is not is', async () => {
    for (const key of ['t/0', 't/1', 'u/0']) begin(key);
    await removals.allSettled();
    await removals.dropAll('t/');
    tries = [];
    await pass();
    expect(tries).toEqual(['u/0']);
  });

  it('is not tried again when it is closed', async () => {
    begin('a');
    await removals.close();
    await pass();
    expect(tries).toEqual(['a']);
  });

  it('is tried one at a time', async () => {
    let running = 0;
    let most = 0;
    const slow = async (): Promise<void> => {
      most = Math.max(most, ++running);
      await turns();
      running--;
    };
    for (let times = 0; times < 3; times++) removals.begin('a', { remove: slow, onFailed: () => undefined });
    await turns(50);
    expect([most, running]).toEqual([1, 0]);
  });
});

describe('the log of a partition that others have now and that cannot be removed', () => {
  const ALL = ['a', 'b', 'c'];
  let stage: ClusterStage;
  let topic: TopicDefinition;
  let disk: ScriptedLogs;
  const isThere = (): boolean => disk.there.has('orders/0');

  beforeEach(async () => {
    stage = new ClusterStage();
    disk = new ScriptedLogs(stage.clock);
    for (const id of ALL) await stage.start(id, id === 'c' ? { logs: disk } : {});
    topic = await stage.createTopic(newTopic('orders', { storage: 'disk' }));
    await stage.assign(topic, { replicas: ALL, leader: 'a', isr: ALL });
    disk.removeError = BUSY;
    await stage.assign(topic, { replicas: ['a', 'b'], isr: ['a', 'b'] });
    expect(isThere()).toBe(true);
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  const later = async (): Promise<void> => {
    disk.removeError = undefined;
    await stage.pass(5000);
  };

  it('is tried again', async () => {
    await later();
    expect(isThere()).toBe(false);
  });

  it('is removed before the node is a replica again: the others may have dropped what deletes a part of it', async () => {
    await stage.assign(topic, { replicas: ALL });
    disk.calls.length = 0;
    await later();
    const calls = disk.calls.filter((call) => call.endsWith('orders/0'));
    expect(calls.slice(0, 2)).toEqual(['remove orders/0', 'begin orders/0']);
    expect(isThere()).toBe(true);
  });

  it('is kept when the node is counted on again', async () => {
    await stage.assign(topic, { replicas: ALL, isr: ALL });
    await later();
    expect(disk.calls).not.toContain('remove orders/0');
    expect(isThere()).toBe(true);
  });

  it('is kept when it is not known any more who has the partition', async () => {
    stage.etcd.transact([], [remove(`/sluice/c/partitions/${topic.id}/0`)], []);
    await stage.settle();
    await later();
    expect(isThere()).toBe(true);
  });

  it('goes with its topic when that is deleted', async () => {
    disk.removeError = undefined;
    await stage.node('b').coordinator.deleteTopic('orders');
    await stage.pass(5000);
    expect(disk.calls.filter((call) => call.startsWith('remove'))).toEqual(['remove orders']);
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import { LedPartitionState } from '../../src/broker/group-state.ts';
import type { StateLog } from '../../src/groups/ports.ts';
import type { SluiceError } from '../../src/kernel/errors.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { leadershipOf, openPartition, readAll } from '../partition/fixture.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';

describe('the log of a coordinator', () => {
  let partition: Partition;
  let state: LedPartitionState;
  beforeEach(() => {
    partition = openPartition();
    state = new LedPartitionState(partition, new FakeClock());
  });

  const append = (log: StateLog, ...keys: string[]) =>
    log
      .append(keys.map((key) => ({ key, value: Buffer.from('v') })))
      .then(() => 'stored')
      .catch((error: unknown) => (error as SluiceError).code);
  const stored = async () => readAll(await partition.openReader({ at: 'earliest' }));

  it('stores what one turn brings as one batch, in order', async () => {
    const log = state.openLog();
    const outcomes = await Promise.all([append(log, 'a', 'b'), append(log), append(log, 'c')]);
    expect(outcomes).toEqual(['stored', 'stored', 'stored']);
    expect(await stored()).toEqual(['0 a=v', '1 b=v', '2 c=v']);
    expect(partition.counters.batchesIn).toBe(1);
  });

  it('keeps batches small, but what belongs together in one', async () => {
    const log = state.openLog();
    const large = Buffer.alloc(700_000);
    await Promise.all(['a', 'b'].map((key) => log.append([{ key, value: large }])));
    expect(partition.counters.batchesIn).toBe(2);
  });

  it('stores what no batch can hold as several, in order', async () => {
    const log = state.openLog();
    const keys = Array.from({ length: 70_000 }, (_, at) => String(at));
    const values = keys.map((key) => ({ key, value: null }));
    await Promise.all([log.append(values), log.append([{ key: 'last', value: null }])]);
    expect((await stored()).slice(-2)).toEqual(['69999 69999=null', '70000 last=null']);
    expect(partition.counters.batchesIn).toBe(2);
    const large = openPartition({ settings: { batchMaxBytes: 16 * 1024 * 1024, timestamps: 'create' } });
    const values16 = ['a', 'b', 'c'].map((key) => ({ key, value: Buffer.alloc(6 * 1024 * 1024) }));
    await new LedPartitionState(large, new FakeClock()).openLog().append(values16);
    expect(large.counters.batchesIn).toBe(3);
  });

  it('stores nothing behind what it could not store', async () => {
    const small = openPartition({ settings: { batchMaxBytes: 1024, timestamps: 'create' } });
    const log = new LedPartitionState(small, new FakeClock()).openLog();
    const large = log.append([{ key: 'a', value: Buffer.alloc(2 * 1024 * 1024) }]);
    const behind = append(log, 'b');
    await expect(large).rejects.toMatchObject({ code: 'BATCH_TOO_LARGE' });
    expect([await behind, await append(log, 'c')]).toEqual(['NOT_LEADER', 'NOT_LEADER']);
    expect(small.logEnd).toBe(0);
  });

  it('stores that a key is gone', async () => {
    await state.openLog().append([{ key: 'a', value: null }]);
    expect(await stored()).toEqual(['0 a=null']);
  });

  it('takes nothing in another epoch, although this node leads again', async () => {
    const log = state.openLog();
    partition.idle(8);
    const outcome = append(log, 'a');
    partition.lead(leadershipOf(9));
    expect(await outcome).toBe('NOT_LEADER');
    expect(await append(log, 'b')).toBe('NOT_LEADER');
    expect(await stored()).toEqual([]);
    expect(await append(new LedPartitionState(partition, new FakeClock()).openLog(), 'c')).toBe('stored');
  });

  it('says of what cannot be stored why, and of what nobody has confirmed that nobody knows', async () => {
    const replicated = openPartition();
    replicated.idle(8);
    replicated.lead(leadershipOf(9, { isr: ['a', 'b'], replicas: ['a', 'b'], minInsync: 2 }));
    const log = new LedPartitionState(replicated, new FakeClock()).openLog();
    const waiting = append(log, 'a');
    await turns();
    replicated.idle(10);
    expect(await waiting).toBe('UNAVAILABLE');
  });

  it('writes nothing any more once it is closed', async () => {
    const log = state.openLog();
    const waiting = append(log, 'a');
    log.close();
    expect(await waiting).toBe('NOT_LEADER');
    await turns();
    expect(await append(log, 'b')).toBe('NOT_LEADER');
    expect(await stored()).toEqual([]);
  });

  it('has everything to be read that was stored before, and says how far that is', async () => {
    await state.openLog().append([{ key: 'a', value: Buffer.from('v') }]);
    expect(state.end()).toBe(1);
    expect(readAll(await state.openReader())).toEqual(['0 a=v']);
    expect([state.partition, state.leaderEpoch]).toEqual([0, 7]);
  });
});

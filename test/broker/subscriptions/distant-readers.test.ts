import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { batchOf } from '../../support/batch.ts';
import { BrokerCluster, readNow } from '../cluster-stage.ts';

const record = (value: string): Buffer => batchOf([{ value }]);
const EARLIEST = { start: { at: 'earliest' } } as const;

let stage: BrokerCluster;
beforeEach(async () => {
  stage = await BrokerCluster.open();
});
afterEach(() => stage[Symbol.asyncDispose]());

describe('a subscription while a leader cannot be asked', () => {
  it('to the latest misses nothing of what is acknowledged from then on', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('a', 't', record('before'), 0, 2);
    for (const id of ['a', 'b']) stage.cutOff.add(id);
    const { readers } = await stage.subscribe('c', 't');
    await stage.assign(topic, { isr: ['a'] });
    await stage.publish('a', 't', record('after'));
    for (const id of ['a', 'b']) stage.cutOff.delete(id);
    await stage.pass(4000);
    expect(await readNow(readers[0]!)).toContain('1 null=after');
  });

  it('to the latest begins at once with what another in-sync replica has', async () => {
    await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('a', 't', record('before'), 0, 2);
    await stage.pass(1000);
    const answer = stage.holdOffsets('a');
    const { readers } = await stage.subscribe('c', 't');
    expect(readers).toHaveLength(1);
    await stage.publish('a', 't', record('after'), 0, 2);
    await stage.pass(1000);
    expect(await readNow(readers[0]!)).toEqual(['1 null=after']);
    answer();
    await stage.pass(1000);
    expect(readers).toHaveLength(1);
  });

  it('begins with the others within a second, and with that one when it answers', async () => {
    for (const name of ['t.1', 't.2']) await stage.createTopic(name, [[name === 't.1' ? 'a' : 'b']]);
    await stage.publish('a', 't.1', record('x'));
    stage.cutOff.add('a');
    const answer = stage.holdOffsets('a');
    const beganMs = stage.clock.monotonicMs();
    const { readers } = await stage.subscribe('c', 't.*', EARLIEST);
    expect(stage.clock.monotonicMs() - beganMs).toBeLessThanOrEqual(1100);
    expect(readers.map(({ topic }) => topic)).toEqual(['t.2']);
    stage.cutOff.delete('a');
    answer();
    await stage.pass(4000);
    expect(readers.map(({ topic }) => topic)).toEqual(['t.2', 't.1']);
    expect(await readNow(readers[1]!)).toEqual(['0 null=x']);
    await stage.pass(6000);
    expect(stage.node('c').observers!.size).toBe(2);
  });

  it('has one reader of each partition, though one is added while the others begin', async () => {
    const topic = await stage.createTopic('t', [['a']]);
    const answer = stage.holdOffsets('a');
    const subscribing = stage.subscribe('c', 't', EARLIEST);
    await stage.node('a').coordinator.alterTopic('t', { partitions: 2 });
    await stage.assign(topic, { replicas: ['a'], leader: 'a', isr: ['a'] }, 1);
    const { readers } = await subscribing;
    await stage.pass(1500);
    answer();
    await stage.pass(3000);
    expect(readers.map(({ partition }) => partition).sort()).toEqual([0, 1]);
  });

  it('has one reader of a partition that moves while its log is searched', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('a', 't', record('x'), 0, 2);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    stage.searchGate = promise.then(() => undefined);
    const start = { at: 'timestamp', timestampMs: 0 } as const;
    const subscribing = stage.subscribe('a', 't', { start });
    await stage.settle();
    await stage.assign(topic, { replicas: ['b'], leader: 'b', isr: ['b'] });
    stage.searchGate = undefined;
    resolve(undefined);
    const { readers } = await subscribing;
    await stage.pass(3000);
    expect(readers).toHaveLength(1);
    expect(await readNow(readers[0]!)).toEqual(['0 null=x']);
  });

  it('is one question for all, however many wait and wherever they go on', async () => {
    await stage.createTopic('t', [['a'], ['a']]);
    for (const partition of [0, 1]) await stage.publish('a', 't', batchOf(9), partition);
    stage.cutOff.add('a');
    const gathered: Awaited<ReturnType<BrokerCluster['subscribe']>>[] = [];
    for (const offset of [1, 2, 3, 4]) {
      const resume = [0, 1].map((partition) => ({ topic: 't', partition, offset }));
      gathered.push(await stage.subscribe('c', 't', { resume }));
    }
    await stage.pass(500);
    stage.node('a').asked.length = 0;
    stage.cutOff.delete('a');
    await stage.pass(5000);
    expect(gathered.flatMap(({ readers }) => readers.map(({ nextOffset }) => nextOffset))).toEqual([
      1, 1, 2, 2, 3, 3, 4, 4,
    ]);
    expect(stage.node('a').asked.filter((method) => method === 'listOffsets')).toHaveLength(1);
  });
});

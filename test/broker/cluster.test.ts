import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import { batchOf } from '../support/batch.ts';
import { BrokerCluster, readNow } from './cluster-stage.ts';
import { newTopic } from '../replicas/cluster-stage.ts';
import { ALICE } from './fixture.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const record = (value: string, key?: string): Buffer =>
  batchOf([key === undefined ? { value } : { key, value }]);
const EARLIEST = { start: { at: 'earliest' } } as const;

let stage: BrokerCluster;
beforeEach(async () => {
  stage = await BrokerCluster.open();
});
afterEach(() => stage[Symbol.asyncDispose]());

describe('publishing in a cluster', () => {
  it('makes a topic once when two nodes begin to use it at the same time', async () => {
    const ofNode = (id: string) => stage.node(id).broker.metadata(ALICE, ['new'], true);
    const answers = await stage.until(Promise.all([ofNode('a'), ofNode('b')]));
    expect(answers.flat().map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  it('hands a batch to the node that leads, whose offsets are the answer', async () => {
    await stage.createTopic('t', [['a']]);
    await stage.publish('a', 't', batchOf(2));
    expect(await stage.publish('b', 't', batchOf(3))).toEqual({
      kind: 'appended',
      partition: 0,
      baseOffset: 2,
      appendTimeMs: 0,
    });
    expect(stage.node('a').asked).toEqual(['forward']);
  });

  it('keeps the order of what is handed on', async () => {
    await stage.createTopic('t', [['a']]);
    const outcomes = await Promise.all([1, 2, 3].map((count) => stage.publish('b', 't', batchOf(count))));
    expect(outcomes.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 3]);
  });

  it('finds a repeated batch of a producer wherever it was published first', async () => {
    await stage.createTopic('t', [['a']]);
    const producer = await stage.until(stage.node('b').broker.initProducer(ALICE));
    const batch = (): Buffer => batchOf([{ value: 'x' }], { ...producer, baseSequence: 0 });
    await stage.publish('b', 't', batch());
    expect(await stage.publish('c', 't', batch())).toMatchObject({ kind: 'duplicate', baseOffset: 0 });
  });

  it('spreads keys over all partitions, whoever leads them', async () => {
    await stage.createTopic('t', [['a'], ['b'], ['c']]);
    const broker = stage.node('a').broker;
    const partitions = new Set<number>();
    for (let n = 0; n < 20; n++) {
      broker.publish(ALICE, 't', undefined, record('v', `k${n}`), 1, (outcome) => {
        if ('partition' in outcome) partitions.add(outcome.partition);
      });
    }
    await stage.settle();
    expect([...partitions].sort()).toEqual([0, 1, 2]);
  });

  it('is refused with NOT_LEADER while nobody leads', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    await stage.assign(topic, { leader: null });
    await expect(stage.publish('a', 't', batchOf(1))).rejects.toThrow(coded('NOT_LEADER'));
    await expect(stage.publish('c', 't', batchOf(1))).rejects.toThrow(coded('NOT_LEADER'));
    expect(stage.node('c').broker.counters.refusedPublishes).toEqual({ NOT_LEADER: 1 });
  });

  it('goes to the next leader as soon as that leads', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('c', 't', batchOf(1), 0, 2);
    await stage.assign(topic, { leader: 'b' });
    expect(await stage.publish('c', 't', batchOf(1))).toMatchObject({ baseOffset: 1 });
    expect(await stage.publish('a', 't', batchOf(1))).toMatchObject({ baseOffset: 2 });
  });

  it('fails with what is wrong when the leader cannot be reached', async () => {
    await stage.createTopic('t', [['a']]);
    stage.cutOff.add('a');
    await expect(stage.publish('b', 't', batchOf(1))).rejects.toThrow(coded('UNAVAILABLE'));
  });

  it('names the partition that there is none of, wherever it would be', async () => {
    await stage.createTopic('t', [['a']]);
    await expect(stage.publish('b', 't', batchOf(1), 1)).rejects.toThrow(coded('PARTITION_NOT_FOUND'));
  });
});

describe('creating a topic in a cluster', () => {
  it('is answered when all partitions have leaders', async () => {
    let isDone = false;
    const creating = stage.node('b').broker.createTopic(ALICE, { name: 't', partitions: 2 });
    void creating.then(() => (isDone = true));
    await stage.settle();
    const topic = stage.node('a').coordinator.topic('t')!;
    await stage.assign(topic, { replicas: ['a'], leader: 'a', isr: ['a'] }, 0);
    expect(isDone).toBe(false);
    await stage.assign(topic, { replicas: ['b'], leader: 'b', isr: ['b'] }, 1);
    expect(isDone).toBe(true);
    expect((await creating).partitions.map(({ leaderNodeId }) => leaderNodeId)).toEqual(['a', 'b']);
  });

  it('is answered after five seconds without them', async () => {
    let isDone = false;
    void stage
      .node('b')
      .broker.createTopic(ALICE, { name: 't' })
      .then(() => (isDone = true));
    await stage.pass(4900);
    expect(isDone).toBe(false);
    await stage.pass(200);
    expect(isDone).toBe(true);
  });

  it('keeps what is published meanwhile for the leader', async () => {
    const outcomes: unknown[] = [];
    for (const count of [1, 2]) {
      stage
        .node('b')
        .broker.publish(ALICE, 't', undefined, batchOf(count), 1, (outcome) => outcomes.push(outcome));
    }
    await stage.settle();
    expect(outcomes).toEqual([]);
    const topic = stage.node('a').coordinator.topic('t')!;
    await stage.assign(topic, { replicas: ['c'], leader: 'c', isr: ['c'] });
    expect(outcomes).toEqual([
      expect.objectContaining({ baseOffset: 0 }),
      expect.objectContaining({ baseOffset: 1 }),
    ]);
  });

  it('spreads batches over partitions that are added once they are led', async () => {
    const topic = await stage.createTopic('t', [['a']]);
    await stage.node('a').coordinator.alterTopic('t', { partitions: 2 });
    await stage.settle();
    const publish = async (): Promise<number[]> => {
      const found: number[] = [];
      for (let n = 0; n < 4; n++) {
        stage.node('b').broker.publish(ALICE, 't', undefined, batchOf(1), 1, (outcome) => {
          if ('partition' in outcome) found.push(outcome.partition);
        });
      }
      await stage.settle();
      return found.sort();
    };
    expect(await publish()).toEqual([0, 0, 0, 0]);
    await stage.assign(topic, { replicas: ['c'], leader: 'c', isr: ['c'] }, 1);
    expect(await publish()).toEqual([0, 0, 1, 1]);
  });
});

describe('asking about a topic in a cluster', () => {
  it('says who leads without asking anybody', async () => {
    await stage.createTopic('t', [['a'], ['b']]);
    const [topic] = await stage.node('c').broker.metadata(ALICE, ['t'], false);
    expect(topic!.partitions.map(({ leaderNodeId }) => leaderNodeId)).toEqual(['a', 'b']);
    expect([...stage.node('a').asked, ...stage.node('b').asked]).toEqual([]);
  });

  it('asks each leader once for how its partitions are', async () => {
    await stage.createTopic('t', [['a'], ['b'], ['a'], ['c']]);
    for (const index of [0, 1, 2, 3]) await stage.publish('c', 't', batchOf(index + 1), index);
    stage.node('a').asked.length = 0;
    const { partitions } = await stage.node('c').broker.describeTopic(ALICE, 't');
    expect(partitions.map(({ logEnd }) => logEnd)).toEqual([1, 2, 3, 4]);
    expect(stage.node('a').asked).toEqual(['describe']);
  });

  it('asks a leader once more that does not lead yet', async () => {
    await stage.createTopic('t', [['a'], ['b']]);
    const { partitions: led } = stage.node('b').services;
    const asked = vi.spyOn(led, 'describe');
    asked.mockReturnValueOnce([new SluiceError('NOT_LEADER', 'this node has no copy of it')]);
    const { partitions } = await stage.until(stage.node('c').broker.describeTopic(ALICE, 't'));
    expect(partitions.map(({ error }) => error)).toEqual([undefined, undefined]);
    expect([...stage.node('a').asked, ...stage.node('b').asked]).toEqual([
      'describe',
      'describe',
      'describe',
    ]);
  });

  it('is answered also where a leader is not', async () => {
    const topic = await stage.createTopic('t', [['a'], ['b'], ['c']]);
    await stage.publish('b', 't', batchOf(5), 1);
    stage.cutOff.add('a');
    await stage.assign(topic, { leader: null }, 2);
    const { partitions, error } = await stage.node('b').broker.describeTopic(ALICE, 't');
    expect([error, ...partitions.map((one) => one.error?.code)]).toEqual([
      undefined,
      'UNAVAILABLE',
      undefined,
      'NOT_LEADER',
    ]);
    expect(partitions.map(({ leaderNodeId }) => leaderNodeId)).toEqual(['a', 'b', '']);
  });

  it('lists and deletes at whoever leads', async () => {
    await stage.createTopic('t', [['a'], ['b']]);
    for (const index of [0, 1]) await stage.publish('c', 't', batchOf(10 + index), index);
    const { broker } = stage.node('a');
    const offsets = async (at: 'latest' | 'earliest'): Promise<number[]> =>
      (await broker.listOffsets(ALICE, 't', [], { at })).map(({ offset }) => offset);
    expect(await offsets('latest')).toEqual([10, 11]);
    await broker.deleteRecords(ALICE, 't', [], { at: 'offset', offset: 4 });
    expect(await offsets('earliest')).toEqual([4, 4]);
  });

  it('deletes for good only what all in-sync replicas have deleted, one of which leads next', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('a', 't', batchOf(10), 0, 2);
    await stage.pass(600);
    const { broker } = stage.node('c');
    const gate = Promise.withResolvers<undefined>();
    stage.fetchGate = gate.promise.then(() => undefined);
    let isDeleted = false;
    const before = { at: 'offset', offset: 4 } as const;
    const deleting = broker.deleteRecords(ALICE, 't', [], before).then(() => (isDeleted = true));
    await stage.pass(2000);
    expect(isDeleted).toBe(false);
    gate.resolve(undefined);
    await stage.until(deleting);
    stage.cutOff.add('a');
    await stage.assign(topic, { leader: 'b', isr: ['b'] });
    await stage.pass(600);
    expect(await broker.listOffsets(ALICE, 't', [], { at: 'earliest' })).toMatchObject([{ offset: 4 }]);
  });

  it('deletes for good without a replica that does not answer, once that is not in sync any more', async () => {
    await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('a', 't', batchOf(10), 0, 2);
    await stage.pass(600);
    stage.fetchGate = new Promise(() => undefined);
    const deleting = stage.node('c').broker.deleteRecords(ALICE, 't', [], { at: 'offset', offset: 4 });
    expect(await stage.until(deleting)).toMatchObject([{ partition: 0, offset: 4 }]);
    const { partitions } = await stage.node('a').broker.describeTopic(ALICE, 't');
    expect(partitions[0]!.isr).toEqual(['a']);
  });

  it('says that what was deleted may come back when the leader changes meanwhile', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('a', 't', batchOf(10), 0, 2);
    await stage.pass(600);
    stage.fetchGate = new Promise(() => undefined);
    const deleting = stage.node('c').broker.deleteRecords(ALICE, 't', [], { at: 'offset', offset: 4 });
    deleting.catch(() => undefined);
    await stage.settle();
    await stage.assign(topic, { leader: 'b' });
    await expect(stage.until(deleting)).rejects.toThrow(coded('UNAVAILABLE'));
  });

  it('deletes nothing when one partition cannot be asked', async () => {
    await stage.createTopic('t', [['a'], ['b']]);
    for (const index of [0, 1]) await stage.publish('a', 't', batchOf(10), index);
    stage.cutOff.add('b');
    const { broker } = stage.node('a');
    const before = { at: 'offset', offset: 4 } as const;
    await expect(broker.deleteRecords(ALICE, 't', [], before)).rejects.toThrow(coded('UNAVAILABLE'));
    expect(await broker.listOffsets(ALICE, 't', [0], { at: 'earliest' })).toMatchObject([{ offset: 0 }]);
  });
});

describe('a subscription on a follower', () => {
  it('reads the copy of its own node', async () => {
    await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('a', 't', record('one'), 0, 2);
    const { readers } = await stage.subscribe('b', 't', EARLIEST);
    expect(await readNow(readers[0]!)).toEqual(['0 null=one']);
    await stage.publish('b', 't', record('two'), 0, 2);
    await stage.pass(600);
    expect(await readNow(readers[0]!)).toEqual(['1 null=two']);
    expect(stage.node('a').asked).not.toContain('read');
  });

  it('begins at the latest record of the leader, though its copy is behind', async () => {
    const topic = await stage.createTopic('t', [['a']]);
    await stage.publish('a', 't', record('before'));
    const gate = Promise.withResolvers<undefined>();
    stage.fetchGate = gate.promise.then(() => undefined);
    await stage.assign(topic, { replicas: ['a', 'b'] });
    const { readers } = await stage.subscribe('b', 't');
    await stage.publish('a', 't', record('after'));
    gate.resolve(undefined);
    await stage.pass(1000);
    expect(await readNow(readers[0]!)).toEqual(['1 null=after']);
  });

  it('is refused when it wants to begin above the end', async () => {
    await stage.createTopic('t', [['a', 'b']]);
    const start = { at: 'offset', offset: 9 } as const;
    await expect(stage.subscribe('b', 't', { start })).rejects.toThrow(coded('OFFSET_OUT_OF_RANGE'));
    expect(stage.node('b').broker.snapshot().subscriptions).toBe(0);
  });

  it('goes on when its node becomes the leader', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    const { readers } = await stage.subscribe('b', 't');
    await stage.assign(topic, { leader: 'b' });
    await stage.publish('a', 't', record('x'), 0, 2);
    await stage.pass(600);
    expect(await readNow(readers[0]!)).toEqual(['0 null=x']);
  });
});

describe('a subscription where the copy is out of step', () => {
  const hold = (): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    stage.fetchGate = promise.then(() => undefined);
    return () => resolve(undefined);
  };

  it.each(['earliest', 'latest', 'last-per-key'] as const)(
    'reads from %s what others keep, and its own once that is in sync',
    async (at) => {
      const topic = await stage.createTopic('t', [['a']]);
      await stage.publish('a', 't', record('before', 'k'));
      const release = hold();
      await stage.assign(topic, { replicas: ['a', 'b'] });
      const { readers } = await stage.subscribe('b', 't', { start: { at } });
      await stage.publish('a', 't', record('after', 'l'));
      const found: string[] = [];
      for (let n = 0; n < 10; n++) {
        await stage.pass(200);
        found.push(...(await readNow(readers[0]!)));
      }
      expect(found).toEqual([...(at === 'latest' ? [] : ['0 k=before']), '1 l=after']);
      expect(stage.node('b').broker.copy(topic.id, 0)?.readers).toBe(0);
      release();
      await stage.pass(10_000);
      expect(stage.node('b').broker.copy(topic.id, 0)?.readers).toBe(1);
      expect(stage.node('b').observers!.size).toBe(0);
    },
  );

  it('leaves its own when that stays behind', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    const { readers } = await stage.subscribe('b', 't');
    await stage.publish('a', 't', record('one'), 0, 2);
    await stage.pass(600);
    expect(await readNow(readers[0]!)).toEqual(['0 null=one']);
    hold();
    await stage.assign(topic, { isr: ['a'] });
    await stage.pass(600);
    await stage.publish('a', 't', record('two'));
    await stage.pass(2000);
    expect(await readNow(readers[0]!)).toEqual(['1 null=two']);
  });

  it('reads what others keep where its own cannot be opened', async () => {
    stage.broken.add('b');
    const { readers } = await stage.subscribe('b', 't*', EARLIEST);
    const topic = await stage.createTopic('t', [['a', 'b']]);
    await stage.assign(topic, { isr: ['a'] });
    await stage.publish('a', 't', record('x'));
    await stage.pass(600);
    expect(await readNow(readers[0]!)).toEqual(['0 null=x']);
    const later = await stage.subscribe('b', 't', EARLIEST);
    await stage.pass(600);
    expect(await readNow(later.readers[0]!)).toEqual(['0 null=x']);
  });
});

describe('a subscription where there is no copy', () => {
  it('reads what others keep', async () => {
    await stage.createTopic('t', [['a', 'b']]);
    await stage.publish('a', 't', record('one'), 0, 2);
    const { readers } = await stage.subscribe('c', 't', EARLIEST);
    await stage.publish('a', 't', record('two'), 0, 2);
    await stage.pass(600);
    expect(await readNow(readers[0]!)).toEqual(['0 null=one', '1 null=two']);
  });

  it('begins at the latest record', async () => {
    await stage.createTopic('t', [['a']]);
    await stage.publish('a', 't', record('before'));
    const { readers } = await stage.subscribe('c', 't');
    await stage.publish('a', 't', record('after'));
    await stage.pass(600);
    expect(await readNow(readers[0]!)).toEqual(['1 null=after']);
  });

  it('has the latest record of each key first', async () => {
    await stage.createTopic('t', [['a']]);
    for (const value of ['1', '2', '3'])
      await stage.publish('a', 't', record(value, value === '2' ? 'l' : 'k'));
    const { readers } = await stage.subscribe('c', 't', { start: { at: 'last-per-key' } });
    const found: string[] = [];
    for (let n = 0; n < 5; n++) {
      found.push(...(await readNow(readers[0]!)));
      await stage.pass(200);
    }
    expect(found).toEqual(['1 l=2', '2 k=3']);
  });

  it('has one copy however many subscribe, and none when they have gone', async () => {
    await stage.createTopic('t', [['a']]);
    const subscriptions = [await stage.subscribe('c', 't'), await stage.subscribe('c', 't')];
    const { observers } = stage.node('c');
    expect(observers!.size).toBe(1);
    for (const { subscription } of subscriptions) subscription.close();
    await stage.pass(10_000);
    expect(observers!.size).toBe(0);
  });

  it('reads topics that appear from their beginning', async () => {
    const { readers } = await stage.subscribe('c', 't.*');
    await stage.createTopic('t.1', [['a'], ['c']]);
    for (const index of [0, 1]) await stage.publish('a', 't.1', record('x'), index);
    await stage.pass(1000);
    const texts = await Promise.all(readers.map(readNow));
    expect(texts).toEqual([['0 null=x'], ['0 null=x']]);
    expect(readers.map(({ partition }) => partition).sort()).toEqual([0, 1]);
  });

  it('ends when the topic is deleted', async () => {
    await stage.createTopic('t', [['a']]);
    const { readers, subscription } = await stage.subscribe('c', 't');
    await readNow(readers[0]!);
    let isWoken = false;
    readers[0]!.onReadable = () => (isWoken = true);
    await stage.until(stage.node('a').broker.deleteTopic(ALICE, 't'));
    await stage.settle();
    expect([isWoken, await readNow(readers[0]!)]).toEqual([true, ['ended undefined']]);
    expect(subscription.positions()).toEqual([]);
  });

  it('begins as soon as somebody can say where', async () => {
    await stage.createTopic('t', [['a']]);
    await stage.publish('a', 't', record('before'));
    stage.cutOff.add('a');
    const { readers } = await stage.subscribe('c', 't', EARLIEST);
    expect(readers).toEqual([]);
    stage.cutOff.delete('a');
    await stage.pass(3000);
    expect(await readNow(readers[0]!)).toEqual(['0 null=before']);
  });

  it('has no reader until there is a copy, where none can be had', async () => {
    await stage.start('d', false);
    const topic = await stage.createTopic('t', [['a']]);
    await stage.publish('a', 't', record('before'));
    const { readers } = await stage.subscribe('d', 't');
    expect(readers).toEqual([]);
    await stage.publish('a', 't', record('after'));
    await stage.assign(topic, { replicas: ['a', 'd'] });
    await stage.pass(2000);
    expect(await readNow(readers[0]!)).toEqual(['1 null=after']);
  });
});

describe('a subscription to topics of which one is deleted meanwhile', () => {
  beforeEach(async () => {
    for (const name of ['t.1', 't.2', 't.3']) await stage.createTopic(name, [['a']]);
  });
  const deleteOne = async (): Promise<void> => {
    await stage.until(stage.node('a').broker.deleteTopic(ALICE, 't.1'));
    await stage.settle();
  };

  it('begins with the others', async () => {
    const answer = stage.holdOffsets('a');
    const subscribing = stage.subscribe('c', 't.*', EARLIEST);
    await stage.settle();
    await deleteOne();
    answer();
    const { readers } = await subscribing;
    expect(readers.map(({ topic }) => topic).sort()).toEqual(['t.2', 't.3']);
  });

  it('is refused when it names that one', async () => {
    const answer = stage.holdOffsets('a');
    const subscribing = stage.subscribe('c', 't.1', EARLIEST);
    const outcome = expect(subscribing).rejects.toThrow(coded('TOPIC_NOT_FOUND'));
    await stage.settle();
    await deleteOne();
    answer();
    await outcome;
    expect(stage.node('c').broker.snapshot().subscriptions).toBe(0);
  });

  it('gets the others later, where they could not be opened at first', async () => {
    stage.cutOff.add('a');
    const { readers } = await stage.subscribe('c', 't.*', EARLIEST);
    expect(readers).toEqual([]);
    const answer = stage.holdOffsets('a');
    await stage.pass(1000);
    stage.cutOff.delete('a');
    await deleteOne();
    answer();
    await stage.pass(3000);
    expect(readers.map(({ topic }) => topic).sort()).toEqual(['t.2', 't.3']);
  });
});

describe('a copy that moves', () => {
  it('takes nothing from its readers, and gives them nothing twice', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    const { readers } = await stage.subscribe('b', 't', EARLIEST);
    const found: string[] = [];
    let published = 0;
    const step = async (): Promise<void> => {
      for (let n = 0; n < 3; n++) await stage.publish('c', 't', record(String(published++)));
      found.push(...(await readNow(readers[0]!)));
      await stage.pass(600);
    };
    await step();
    for (const replicas of [['a', 'c'], ['a', 'b'], ['a'], ['a', 'b', 'c']]) {
      await stage.assign(topic, { replicas, isr: ['a'] });
      await step();
    }
    await stage.pass(2000);
    found.push(...(await readNow(readers[0]!)));
    expect(found).toEqual(Array.from({ length: published }, (_, n) => `${n} null=${n}`));
    expect(readers).toHaveLength(1);
    expect(stage.node('b').broker.copy(topic.id, 0)?.readers).toBe(1);
    await stage.pass(10_000);
    expect(stage.node('b').observers!.size).toBe(0);
  });

  it('is read only once it has come as far as its readers', async () => {
    const topic = await stage.createTopic('t', [['a']]);
    const { readers } = await stage.subscribe('b', 't', EARLIEST);
    await stage.publish('a', 't', record('one'));
    await stage.pass(600);
    expect(await readNow(readers[0]!)).toEqual(['0 null=one']);
    const gate = Promise.withResolvers<undefined>();
    stage.fetchGate = gate.promise.then(() => undefined);
    await stage.assign(topic, { replicas: ['a', 'b'] });
    expect(stage.node('b').broker.copy(topic.id, 0)?.logEnd).toBe(0);
    await stage.publish('a', 't', record('two'));
    await stage.pass(1200);
    expect(await readNow(readers[0]!)).toEqual(['1 null=two']);
    gate.resolve(undefined);
    await stage.pass(3000);
    expect(stage.node('b').broker.copy(topic.id, 0)?.readers).toBe(1);
    await stage.publish('a', 't', record('three'));
    await stage.pass(1200);
    expect(await readNow(readers[0]!)).toEqual(['2 null=three']);
  });

  it('wakes a reader that waits for more', async () => {
    const topic = await stage.createTopic('t', [['a', 'b']]);
    const { readers } = await stage.subscribe('b', 't');
    expect(await readNow(readers[0]!)).toEqual([]);
    let isWoken = false;
    readers[0]!.onReadable = () => (isWoken = true);
    await stage.assign(topic, { replicas: ['a'], isr: ['a'] });
    isWoken = false;
    await readNow(readers[0]!);
    await stage.publish('a', 't', record('x'));
    await stage.pass(600);
    expect(isWoken).toBe(true);
    expect(await readNow(readers[0]!)).toEqual(['0 null=x']);
  });

  it('leaves its readers waiting where there is nowhere else to read', async () => {
    await stage.start('d', false);
    const topic = await stage.createTopic('t', [['a', 'd']]);
    const { readers, subscription } = await stage.subscribe('d', 't');
    await stage.assign(topic, { replicas: ['a'], isr: ['a'] });
    await stage.publish('a', 't', record('meanwhile'));
    expect(await readNow(readers[0]!)).toEqual([]);
    expect(subscription.positions()).toEqual([{ topic: 't', partition: 0, offset: 0 }]);
    await stage.assign(topic, { replicas: ['a', 'd'] });
    await stage.pass(1000);
    expect(await readNow(readers[0]!)).toEqual(['0 null=meanwhile']);
  });

  it('lets its readers end when the node stops', async () => {
    await stage.createTopic('t', [['a'], ['b']]);
    const { readers } = await stage.subscribe('b', 't');
    await stage.until(stage.node('b').broker[Symbol.asyncDispose]());
    const ends = await Promise.all(readers.map(readNow));
    expect(ends).toEqual([['ended undefined'], ['ended undefined']]);
  });
});

it('a subscription that is refused leaves nothing behind that fails when its topic, not led yet, is deleted', async () => {
  const { coordinator, broker } = stage.node('a');
  const topic = await coordinator.createTopic({ ...newTopic('t'), partitions: 2 });
  await stage.assign(topic, { replicas: ['a'], leader: 'a', isr: ['a'] }, 0);
  const resume = [{ topic: 't', partition: 0, offset: 99 }];
  const subscribing = stage.subscribe('a', 't', { resume });
  await expect(subscribing).rejects.toThrow(coded('OFFSET_OUT_OF_RANGE'));
  await stage.until(broker.deleteTopic(ALICE, 't'));
  // What nobody has caught by now would fail this run.
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
});

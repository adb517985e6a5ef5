import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SettlementKind } from '../../src/gen/sluice/client/v1/groups_pb.ts';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { FakeParts } from '../groups/fake-part.ts';
import { batchOf } from '../support/batch.ts';
import { BrokerCluster } from './cluster-stage.ts';
import { ALICE } from './fixture.ts';

const STORAGE = { partitions: 2, replicationFactor: 3, minInsync: 1, storage: 'memory' } as const;
const ALL = ['a', 'b', 'c'];

/** `g1` and `orders/default` are in different partitions of `__groups`. */
describe('groups of a cluster', () => {
  let cluster: BrokerCluster;
  let parts: Map<string, FakeParts>;
  let topic: TopicDefinition;

  beforeEach(async () => {
    cluster = new BrokerCluster();
    parts = new Map();
    for (const id of ALL) {
      const made = new FakeParts();
      parts.set(id, made);
      cluster.groups = { storage: STORAGE, makeParts: made.make };
      await cluster.start(id);
    }
    topic = await cluster.createTopic('__groups', [ALL, ALL]);
    await cluster.settle();
  });
  afterEach(() => cluster[Symbol.asyncDispose]());

  const groupsOf = (id: string) => cluster.node(id).broker.groups;
  const commit = (id: string, offset: number, group = 'g1') =>
    cluster.until(
      groupsOf(id).ask(ALICE, 'commitOffsets', {
        group,
        offsets: [{ topic: 'orders', offset: BigInt(offset) }],
      }),
    );
  const describeGroup = async (id: string, group = 'g1') => {
    const found = await cluster.until(groupsOf(id).ask(ALICE, 'describeGroup', { group }));
    return [found.coordinatorNodeId, ...found.offsets.map(({ committed }) => Number(committed))];
  };
  const refusal = (asking: Promise<unknown>) =>
    cluster.until(
      asking.then(
        () => 'none',
        (error: unknown) => (error as SluiceError).code,
      ),
    );

  it('every node answers, and the leader of the partition coordinates', async () => {
    await commit('b', 7);
    for (const id of ALL) expect(await describeGroup(id)).toEqual(['a', 7]);
    expect(parts.get('b')!.groups).toEqual([]);
  });

  it('the coordinator is told who asks, also at another node', async () => {
    for (const id of ['b', 'a']) {
      await commit(id, 7);
      const asked = parts.get('a')!.groups.map(({ asker }) => asker);
      expect(asked).toContainEqual({ principal: 'alice', administers: true });
    }
  });

  it('whoever leads next has what was answered, and what it replaced is told so', async () => {
    await commit('a', 7);
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: 'b' }, partition);
    await cluster.pass(500);
    for (const id of ALL) expect(await describeGroup(id)).toEqual(['b', 7]);
    expect(parts.get('a')!.groups.map(({ life }) => life.at(-1))).toEqual(['closed', 'closed']);
  });

  it('leases that a coordinator could tell nobody of are given back to whoever coordinates next', async () => {
    await commit('a', 7);
    const settlements = [{ partition: 1, grant: 9n, first: 3n, end: 5n, kind: SettlementKind.RELEASE }];
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: null }, partition);
    parts.get('a')!.queues[0]!.options.releaseUntold({ topic: 'orders', group: '', settlements });
    await cluster.pass(8000);
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: 'b' }, partition);
    await cluster.pass(1000);
    const asked = parts.get('b')!.queues.flatMap(({ questions }) => questions);
    expect(asked).toMatchObject([{ topic: 'orders', settlements }]);
  });

  it('the same node in another epoch begins anew from what is stored', async () => {
    await commit('a', 7);
    const before = parts.get('a')!.groups.length;
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: null }, partition);
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: 'a' }, partition);
    await cluster.pass(500);
    expect(await describeGroup('c')).toEqual(['a', 7]);
    expect(parts.get('a')!.groups.length).toBe(before + 2);
  });

  it('a question that waits while nobody coordinates goes to whoever does then', async () => {
    await commit('a', 7);
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: null }, partition);
    const asking = groupsOf('c').ask(ALICE, 'describeGroup', { group: 'g1' });
    await cluster.pass(3000);
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: 'b' }, partition);
    expect((await cluster.until(asking)).coordinatorNodeId).toBe('b');
  });

  it('nobody coordinates for five seconds: NOT_LEADER', async () => {
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: null }, partition);
    const asking = groupsOf('c').ask(ALICE, 'describeGroup', { group: 'g1' });
    let refused: unknown;
    asking.catch((error: unknown) => (refused = error));
    await cluster.pass(4500);
    expect(refused).toBeUndefined();
    await cluster.pass(1000);
    expect(refused).toMatchObject({ code: 'NOT_LEADER' });
  });

  it('whose asker has gone learns of it, here and on another node', async () => {
    for (const id of ['a', 'b']) {
      const gone = new AbortController();
      const asking = groupsOf(id).ask(ALICE, 'receive', { topic: 'orders' }, { signal: gone.signal });
      const refused = refusal(asking);
      await cluster.settle();
      gone.abort();
      expect(await refused).toBe('CANCELLED');
    }
    const queues = parts.get('a')!.queues.filter(({ asked }) => asked.length > 0);
    expect(queues.flatMap(({ life }) => life)).toEqual(['started with 0', 'asker gone', 'asker gone']);
  });

  it('a node that drains gives up what waits, and takes no more; for other nodes it goes on', async () => {
    const refused = refusal(groupsOf('a').ask(ALICE, 'receive', { topic: 'orders' }));
    await cluster.settle();
    cluster.node('a').broker.drain();
    expect(await refused).toBe('DRAINING');
    expect(await refusal(groupsOf('a').ask(ALICE, 'describeGroup', { group: 'g1' }))).toBe('DRAINING');
    await commit('b', 8);
    expect(await describeGroup('b')).toEqual(['a', 8]);
  });

  it('a node that drains still takes what its clients have to say when they go, until it is closed', async () => {
    const { broker } = cluster.node('c');
    broker.drain();
    await commit('c', 8);
    expect(await describeGroup('b')).toEqual(['a', 8]);
    await broker.groups.close();
    expect(await refusal(groupsOf('c').ask(ALICE, 'leaveGroup', { group: 'g1', memberId: 'm' }))).toBe(
      'DRAINING',
    );
  });

  it('lists are what all coordinators have', async () => {
    await cluster.assign(topic, { leader: 'b' }, 1);
    for (const [nth, group] of ['g1', 'g2', 'g3', 'g4'].entries()) await commit('c', nth, group);
    const listed = await cluster.until(groupsOf('c').ask(ALICE, 'listGroups', {}));
    expect(listed.groups.map(({ group }) => group)).toEqual(['g1', 'g2', 'g3', 'g4']);
    const { queues } = await cluster.until(groupsOf('c').ask(ALICE, 'listQueues', {}));
    expect(queues.map((queue) => [queue.topic, queue.coordinatorNodeId])).toEqual([
      ['t0', 'a'],
      ['t1', 'b'],
    ]);
  });

  it('what could not be stored ends the coordinator, which begins anew from what is stored', async () => {
    await commit('a', 7);
    const { settings } = topic;
    await cluster.node('a').coordinator.alterTopic('__groups', { settings: { ...settings, minInsync: 3 } });
    await cluster.assign(topic, { isr: ['a'] }, 0);
    await cluster.assign(topic, { isr: ['a'] }, 1);
    expect(await refusal(commit('a', 9))).not.toBe('none');
    expect(groupsOf('a').counts()).toMatchObject({ failures: 1 });
    await cluster.node('a').coordinator.alterTopic('__groups', { settings });
    await cluster.pass(1000);
    expect(await describeGroup('a')).toEqual(['a', 7]);
  });

  it('facts that make no sense keep a coordinator from beginning, until they are gone', async () => {
    const [first] = parts.get('a')!.groups;
    await first!.options.log
      .append([{ key: 'o/g1/orders/0', value: Buffer.from('rubbish') }])
      .catch(() => undefined);
    const { partition } = first!.options.log;
    await cluster.assign(topic, { leader: 'b' }, partition);
    await cluster.pass(1000);
    expect(groupsOf('b').counts().failures).toBeGreaterThan(0);
    expect(groupsOf('b').counts().loading).toBe(1);
  });

  it('questions wait for a coordinator that loads, and it for what it is loaded from to be replicated', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<undefined>();
    await commit('a', 7);
    cluster.fetchGate = gate.then(() => undefined);
    const late = groupsOf('a').ask(ALICE, 'commitOffsets', {
      group: 'g1',
      offsets: [{ topic: 'orders', offset: 9n }],
    });
    late.catch(() => undefined);
    await cluster.settle();
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: null }, partition);
    for (const partition of [0, 1]) await cluster.assign(topic, { leader: 'a' }, partition);
    const asking = groupsOf('a').ask(ALICE, 'describeGroup', { group: 'g1' });
    let answered: unknown;
    void asking.then((answer) => (answered = answer.offsets.map(({ committed }) => committed)));
    await cluster.pass(500);
    expect(answered).toBeUndefined();
    open(undefined);
    await cluster.pass(2000);
    expect(answered).toEqual([9n]);
  });

  it('what the coordinator does with topics works wherever they are led', async () => {
    await cluster.createTopic('jobs', [['b'], ['c']]);
    const { topics } = parts.get('a')!.groups[0]!.options;
    expect(topics.find('jobs')).toMatchObject({ name: 'jobs', partitions: 2 });
    expect(topics.all().map(({ name }) => name)).toEqual(['jobs']);
    await cluster.publish('c', 'jobs', batchOf(3), 1);
    expect(await cluster.until(topics.ends('jobs', [0, 1]))).toEqual([0, 3]);
    expect(await cluster.until(topics.offsetAt('jobs', 1, { at: 'earliest' }))).toBe(0);
    const open = await cluster.until(topics.openReader('jobs', 1, { at: 'offset', offset: 0 }));
    await cluster.pass(500);
    expect(await open.reader.read(1e6)).toMatchObject({ kind: 'batches' });
    open.close();
    const producerId = await cluster.until(topics.initProducer());
    const batch = () => batchOf(2, { producerId, producerEpoch: 0, baseSequence: 0 });
    expect(await cluster.until(topics.publish('jobs', 0, batch()))).toEqual({
      kind: 'appended',
      baseOffset: 0,
    });
    expect(await cluster.until(topics.publish('jobs', 0, batch()))).toEqual({
      kind: 'duplicate',
      baseOffset: 0,
    });
    const heard: string[] = [];
    const end = topics.watch((name) => heard.push(`${name} ${topics.find(name)?.partitions}`));
    await cluster.until(topics.ensureLike('dlq.jobs', 'jobs'));
    end();
    expect(heard).toEqual(['dlq.jobs 2']);
    await expect(topics.ends('nothing', [0])).rejects.toThrow(SluiceError);
  });
});

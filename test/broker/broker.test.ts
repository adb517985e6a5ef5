import { afterEach, describe, expect, it } from 'vitest';
import { batchOf, textOf } from '../support/batch.ts';
import { ALICE, BOB, TestBroker } from './fixture.ts';

let test: TestBroker;
const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

afterEach(async () => {
  await test[Symbol.asyncDispose]();
});

describe('publishing', () => {
  it('creates a topic on first use and stores the batch', async () => {
    test = await TestBroker.open();
    const outcome = await test.publish('orders', batchOf(3));
    expect(outcome).toEqual({ kind: 'appended', partition: 0, baseOffset: 0, appendTimeMs: 0 });
  });

  it('keeps the order of what is published while the topic is being created', async () => {
    test = await TestBroker.open();
    const offsets = await Promise.all([1, 2, 3].map((records) => test.publish('orders', batchOf(records))));
    expect(offsets.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 3]);
  });

  it('answers inside the call once the topic is open', async () => {
    test = await TestBroker.open();
    await test.publish('orders', batchOf(1));
    let answered = false;
    test.broker.publish(ALICE, 'orders', 0, batchOf(1), 1, () => (answered = true));
    expect(answered).toBe(true);
  });

  it('refuses an unknown topic when topics are not created on first use', async () => {
    test = await TestBroker.open({ autoCreate: false });
    await expect(test.publish('orders', batchOf(1))).rejects.toThrow(coded('TOPIC_NOT_FOUND'));
  });

  it('refuses a partition that is not there', async () => {
    test = await TestBroker.open();
    await expect(test.publish('orders', batchOf(1), 1)).rejects.toThrow(coded('PARTITION_NOT_FOUND'));
  });

  it('puts a key on the partition where Kafka would have it', async () => {
    test = await TestBroker.open({ partitions: 8 });
    // murmur2('21') is −973932308 in Kafka's own tests.
    const { partition } = await test.publish('orders', batchOf([{ key: '21' }]));
    expect(partition).toBe((-973932308 & 0x7fffffff) % 8);
  });

  it('takes partitions in turn for batches without a key', async () => {
    test = await TestBroker.open({ partitions: 3 });
    const outcomes = await Promise.all(
      [1, 1, 1, 1].map((records) => test.publish('orders', batchOf(records))),
    );
    expect(outcomes.map(({ partition }) => partition)).toEqual([0, 1, 2, 0]);
  });

  it('inflates nothing of a batch whose checksum is wrong', async () => {
    test = await TestBroker.open({ partitions: 4 });
    await test.publish('orders', batchOf(1));
    const batch = batchOf([{ key: 'a', value: 'x'.repeat(1000) }], { codec: 'gzip' });
    batch[batch.length - 10]! ^= 0xff;
    await expect(test.publish('orders', batch)).rejects.toThrow(/CRC/);
  });

  it('counts refusals by code', async () => {
    test = await TestBroker.open();
    const torn = batchOf(1);
    torn[torn.length - 1]! ^= 1;
    await expect(test.publish('orders', torn)).rejects.toThrow(coded('CORRUPT_BATCH'));
    expect(test.broker.counters.refusedPublishes).toEqual({ CORRUPT_BATCH: 1 });
  });

  it('refuses everything new while draining, and lets readers go on', async () => {
    test = await TestBroker.open();
    await test.publish('orders', batchOf(1));
    const { readers } = await test.subscribe('orders', { start: { at: 'earliest' } });
    test.broker.drain();
    await expect(test.publish('orders', batchOf(1))).rejects.toThrow(coded('DRAINING'));
    expect(readers[0]!.read(1000)).toMatchObject({ kind: 'batches' });
  });
});

describe('bounds on topics', () => {
  it('creates no more topics than allowed, also when all are asked for at once', async () => {
    test = await TestBroker.open({ maxTopics: 2 });
    const names = ['a', 'b', 'c', 'd'];
    const results = await Promise.allSettled(names.map((name) => test.publish(name, batchOf(1))));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
  });

  it('creates no more partitions than allowed', async () => {
    test = await TestBroker.open({ maxPartitions: 4 });
    await test.broker.createTopic(ALICE, { name: 'a', partitions: 3 });
    await expect(test.broker.createTopic(ALICE, { name: 'b', partitions: 2 })).rejects.toThrow(
      coded('OVERLOADED'),
    );
    await expect(test.broker.alterTopic(ALICE, { name: 'a', partitions: 5 })).rejects.toThrow(
      coded('OVERLOADED'),
    );
  });

  it('adds no more partitions than allowed, also when several topics grow at once', async () => {
    test = await TestBroker.open({ maxPartitions: 8 });
    for (const name of ['a', 'b']) await test.broker.createTopic(ALICE, { name, partitions: 1 });
    const results = await Promise.allSettled(
      ['a', 'b'].map((name) => test.broker.alterTopic(ALICE, { name, partitions: 5 })),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(test.broker.snapshot().partitions).toBe(6);
  });

  it('alters what others have left of a topic that they alter at the same time', async () => {
    test = await TestBroker.open();
    await test.broker.createTopic(ALICE, { name: 'a', partitions: 1 });
    await Promise.all([
      test.broker.alterTopic(ALICE, { name: 'a', partitions: 3 }),
      test.broker.alterTopic(ALICE, { name: 'a', settings: { retentionRecords: 20 } }),
      test.broker.alterTopic(ALICE, { name: 'a', settings: { batchMaxBytes: 2048 } }),
    ]);
    expect(test.coordinator.topic('a')).toMatchObject({
      partitions: 3,
      settings: { retentionRecords: 20, batchMaxBytes: 2048 },
    });
  });

  it('refuses an alteration that others have made impossible at the same time', async () => {
    test = await TestBroker.open();
    await test.broker.createTopic(ALICE, {
      name: 'a',
      settings: { retentionBytes: 10_000, batchMaxBytes: 5000 },
    });
    const results = await Promise.allSettled(
      [{ retentionBytes: 6000 }, { batchMaxBytes: 8000 }].map((settings) =>
        test.broker.alterTopic(ALICE, { name: 'a', settings }),
      ),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });

  it('takes a number of partitions that no topic can have for a mistake and not for a lack of room', async () => {
    test = await TestBroker.open({ maxPartitions: 8 });
    const request = { name: 'a', partitions: 2 ** 32 - 1 };
    await expect(test.broker.createTopic(ALICE, request)).rejects.toThrow(coded('INVALID_ARGUMENT'));
    await test.broker.createTopic(ALICE, { name: 'a' });
    await expect(test.broker.alterTopic(ALICE, request)).rejects.toThrow(coded('INVALID_ARGUMENT'));
  });

  it('has room again after a topic is deleted', async () => {
    test = await TestBroker.open({ maxTopics: 1 });
    await test.broker.createTopic(ALICE, { name: 'a' });
    await test.broker.deleteTopic(ALICE, 'a');
    await expect(test.broker.createTopic(ALICE, { name: 'b' })).resolves.toMatchObject({ name: 'b' });
  });
});

describe('subscriptions', () => {
  it('gives a reader inside the call when the topic exists', async () => {
    test = await TestBroker.open();
    await test.broker.createTopic(ALICE, { name: 'orders' });
    const pending = test.subscribe('orders');
    await test.publish('orders', batchOf(1));
    const { readers } = await pending;
    expect(readers[0]!.nextOffset).toBe(0);
  });

  it('picks up a topic created later that a wildcard matches, from its beginning', async () => {
    test = await TestBroker.open();
    const { readers } = await test.subscribe('prices.*');
    await test.publish('prices.eu', batchOf([{ value: 'one' }]));
    await test.publish('stock', batchOf(1));
    expect(readers.map(({ topic }) => topic)).toEqual(['prices.eu']);
    expect(readers[0]!.read(1000)).toMatchObject({ kind: 'batches' });
  });

  it('misses nothing that is published while its topic is being created for it', async () => {
    test = await TestBroker.open();
    const subscribing = test.subscribe('orders');
    await Promise.all([test.publish('orders', batchOf(1)), test.publish('orders', batchOf(1))]);
    const { readers } = await subscribing;
    expect(readers.map((reader) => [reader.nextOffset, reader.lag().records])).toEqual([[0, 2]]);
  });

  it('is not left behind when its topic cannot be created', async () => {
    test = await TestBroker.open({ maxTopics: 0 });
    await expect(test.subscribe('orders')).rejects.toThrow(coded('OVERLOADED'));
    expect(test.broker.snapshot().subscriptions).toBe(0);
  });

  it('picks up partitions that are added', async () => {
    test = await TestBroker.open();
    await test.broker.createTopic(ALICE, { name: 'orders' });
    const { readers } = await test.subscribe('orders');
    await test.broker.alterTopic(ALICE, { name: 'orders', partitions: 3 });
    expect(readers.map(({ partition }) => partition)).toEqual([0, 1, 2]);
  });

  it('resumes at explicit positions and begins elsewhere with the start', async () => {
    test = await TestBroker.open({ partitions: 2 });
    await test.publish('orders', batchOf(5), 0);
    await test.publish('orders', batchOf(5), 1);
    const resume = [{ topic: 'orders', partition: 1, offset: 3 }];
    const { subscription } = await test.subscribe('orders', { resume });
    expect(subscription.positions().map(({ offset }) => offset)).toEqual([5, 3]);
  });

  it('opens nothing when one start is above a log end', async () => {
    test = await TestBroker.open({ partitions: 2 });
    await test.publish('orders', batchOf(5), 0);
    const subscribing = test.subscribe('orders', { start: { at: 'offset', offset: 2 } });
    await expect(subscribing).rejects.toThrow(coded('OFFSET_OUT_OF_RANGE'));
    expect(
      (await test.broker.describeTopic(ALICE, 'orders')).partitions.map(({ subscribers }) => subscribers),
    ).toEqual([0, 0]);
    expect(test.broker.snapshot().subscriptions).toBe(0);
  });

  it('ends readers when the topic is deleted, and reads it again when it is created again', async () => {
    test = await TestBroker.open();
    await test.publish('orders', batchOf(1));
    const { readers } = await test.subscribe('orders');
    await test.broker.deleteTopic(ALICE, 'orders');
    expect(readers[0]!.read(1000)).toEqual({ kind: 'ended', code: undefined });
    await test.publish('orders', batchOf(1));
    expect(readers).toHaveLength(2);
  });

  it('frees the memory of a deleted topic', async () => {
    test = await TestBroker.open();
    await test.publish('orders', batchOf(1));
    await test.broker.deleteTopic(ALICE, 'orders');
    expect(test.broker.snapshot()).toMatchObject({ topics: 0, partitions: 0, retainedBytes: 0 });
  });

  it('takes no new partitions after it is closed', async () => {
    test = await TestBroker.open();
    const { subscription, readers } = await test.subscribe('#');
    subscription.close();
    await test.publish('orders', batchOf(1));
    expect(readers).toEqual([]);
  });

  it('delivers only the keys a filter asks for', async () => {
    test = await TestBroker.open();
    const { readers } = await test.subscribe('sensors/room1/#');
    await test.publish('sensors', batchOf([{ key: 'room1/t' }, { key: 'room2/t' }, { key: 'room1' }]));
    const result = await readers[0]!.read(10_000);
    expect(result.kind === 'batches' && textOf(result.batches)).toEqual(['0 room1/t=v', '2 room1=v']);
  });

  it('shows lag of one’s own subscriptions', async () => {
    test = await TestBroker.open({}, { allows: (_who, _what, topic) => topic !== undefined });
    await test.subscribe('orders', {}, ALICE);
    await test.subscribe('orders', {}, BOB);
    await test.publish('orders', batchOf(4));
    test.clock.advance(250);
    const statuses = test.broker.listSubscriptions(BOB);
    expect(statuses).toHaveLength(1);
    expect(statuses[0]).toMatchObject({ principal: 'bob', lagRecords: 4, lagMs: 250, filter: 'orders' });
  });
});

describe('access', () => {
  const readsPublic = (principal: { name: string }, operation: string, topic: string | undefined): boolean =>
    principal.name === 'alice' || (operation === 'subscribe' && topic?.startsWith('public') === true);

  it('refuses a literal topic and silently leaves it out of a wildcard', async () => {
    test = await TestBroker.open({}, { allows: readsPublic });
    await test.publish('secret', batchOf(1));
    await test.publish('public', batchOf(1));
    await expect(test.subscribe('secret', {}, BOB)).rejects.toThrow(coded('FORBIDDEN'));
    const { readers } = await test.subscribe('#', {}, BOB);
    await test.publish('secret2', batchOf(1));
    await test.publish('public2', batchOf(1));
    expect(readers.map(({ topic }) => topic)).toEqual(['public', 'public2']);
  });

  it('refuses to publish without the right, before the topic is created', async () => {
    test = await TestBroker.open({}, { allows: readsPublic });
    await expect(test.publish('public', batchOf(1), 0, BOB)).rejects.toThrow(coded('FORBIDDEN'));
    expect(test.broker.snapshot().topics).toBe(0);
  });

  it('lists and describes only what one may see', async () => {
    test = await TestBroker.open({}, { allows: readsPublic });
    await test.publish('secret', batchOf(1));
    await test.publish('public', batchOf(1));
    expect((await test.broker.listTopics(BOB, { internal: true })).map(({ name }) => name)).toEqual([
      'public',
    ]);
    await expect(test.broker.describeTopic(BOB, 'secret')).rejects.toThrow(coded('FORBIDDEN'));
  });

  it('keeps tokens and status for who administers the node', async () => {
    test = await TestBroker.open({}, { allows: readsPublic });
    const token = { principal: 'x', grants: [], expiresMs: 0 };
    await expect(test.broker.createToken(BOB, token)).rejects.toThrow(coded('FORBIDDEN'));
    expect(() => test.broker.status(BOB)).toThrow(coded('FORBIDDEN'));
  });

  it('makes a token that is listed without its secret and can be revoked once', async () => {
    test = await TestBroker.open();
    const grants = [{ topics: 'orders.*', operations: ['publish'] as const }];
    const { id, token } = await test.broker.createToken(ALICE, {
      principal: 'billing',
      grants,
      expiresMs: 0,
    });
    expect(test.broker.listTokens(ALICE)).toMatchObject([{ id, principal: 'billing', grants, expiresMs: 0 }]);
    expect(JSON.stringify(test.broker.listTokens(ALICE))).not.toContain(token.slice(-43));
    await test.broker.revokeToken(ALICE, id);
    await expect(test.broker.revokeToken(ALICE, id)).rejects.toThrow(coded('TOKEN_NOT_FOUND'));
  });
});

describe('administration', () => {
  it('changes retention of a topic at once', async () => {
    test = await TestBroker.open();
    for (let batch = 0; batch < 10; batch++) await test.publish('orders', batchOf(10));
    await test.broker.alterTopic(ALICE, { name: 'orders', settings: { retentionRecords: 20 } });
    expect((await test.broker.describeTopic(ALICE, 'orders')).partitions[0]).toMatchObject({
      logStart: 80,
      logEnd: 100,
    });
  });

  it('drops what is too old though nothing is published', async () => {
    test = await TestBroker.open();
    await test.broker.createTopic(ALICE, { name: 'orders', settings: { retentionMs: 5000 } });
    await test.publish('orders', batchOf(10));
    test.clock.advance(7000);
    expect((await test.broker.describeTopic(ALICE, 'orders')).partitions[0]).toMatchObject({
      logStart: 10,
      retainedBytes: 0,
    });
  });

  it('does not let a topic lose partitions', async () => {
    test = await TestBroker.open();
    await test.broker.createTopic(ALICE, { name: 'orders', partitions: 3 });
    await expect(test.broker.alterTopic(ALICE, { name: 'orders', partitions: 2 })).rejects.toThrow(
      coded('INVALID_ARGUMENT'),
    );
  });

  it('refuses a topic that exists, unless that is fine', async () => {
    test = await TestBroker.open();
    await test.broker.createTopic(ALICE, { name: 'orders', partitions: 3 });
    await expect(test.broker.createTopic(ALICE, { name: 'orders' })).rejects.toThrow(coded('TOPIC_EXISTS'));
    const same = await test.broker.createTopic(ALICE, { name: 'orders', ifNotExists: true });
    expect(same.partitions).toHaveLength(3);
  });

  it.each([
    [{ name: '__mine' }, 'INVALID_TOPIC'],
    [{ name: 'a/b' }, 'INVALID_TOPIC'],
    [{ name: 'a', partitions: 0 }, 'INVALID_ARGUMENT'],
    [{ name: 'a', settings: { retentionBytes: 0 } }, 'INVALID_ARGUMENT'],
    [{ name: 'a', settings: { storage: 'disk' as const } }, 'UNSUPPORTED'],
  ])('refuses to create %j', async (request, code) => {
    test = await TestBroker.open();
    await expect(test.broker.createTopic(ALICE, request)).rejects.toThrow(coded(code));
    expect(test.coordinator.topics()).toEqual([]);
  });

  it('lists the offsets that a place means', async () => {
    test = await TestBroker.open();
    await test.publish('orders', batchOf([{ timestampMs: 100 }, { timestampMs: 200 }, { timestampMs: 300 }]));
    const at = { at: 'timestamp', timestampMs: 150 } as const;
    expect(await test.broker.listOffsets(ALICE, 'orders', [], at)).toEqual([
      { topic: 'orders', partition: 0, offset: 1 },
    ]);
  });

  it('answers what a request repeats once', async () => {
    test = await TestBroker.open();
    await test.broker.createTopic(ALICE, { name: 'repeated', partitions: 2 });
    const names = await test.broker.metadata(ALICE, ['repeated', 'repeated', 'repeated'], false);
    const at = { at: 'earliest' } as const;
    const positions = await test.broker.listOffsets(ALICE, 'repeated', [1, 1, 1], at);
    expect([names.length, positions.length]).toEqual([1, 1]);
  });

  it('refuses a request for the metadata of thousands of topics by name', async () => {
    test = await TestBroker.open({ autoCreate: false });
    const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `t${index}`);
    expect(await test.broker.metadata(ALICE, names(1000), false)).toHaveLength(1000);
    await expect(test.broker.metadata(ALICE, names(1001), false)).rejects.toThrow(coded('INVALID_ARGUMENT'));
  });

  it('says per topic why there is no metadata', async () => {
    test = await TestBroker.open({ autoCreate: false });
    await test.broker.createTopic(ALICE, { name: 'orders' });
    const found = await test.broker.metadata(ALICE, ['orders', 'nope'], true);
    expect(found.map(({ error }) => error?.code)).toEqual([undefined, 'TOPIC_NOT_FOUND']);
  });

  it('takes the batches of a producer id only from who was given it, also after a restart', async () => {
    test = await TestBroker.open();
    const { producerId, producerEpoch } = await test.broker.initProducer(ALICE);
    const batch = (): Buffer => batchOf([{ value: 'x' }], { producerId, producerEpoch, baseSequence: 0 });
    await expect(test.publish('orders', batch(), 0, BOB)).rejects.toThrow(coded('UNKNOWN_PRODUCER'));
    expect((await test.publish('orders', batch(), 0, ALICE)).kind).toBe('appended');
    await test.stop();
    await test.start();
    await expect(test.publish('orders', batch(), 0, BOB)).rejects.toThrow(coded('UNKNOWN_PRODUCER'));
    expect((await test.publish('orders', batch(), 0, ALICE)).kind).toBe('appended');
  });

  it('never takes a record for one that somebody published before under ids to come', async () => {
    test = await TestBroker.open();
    const batch = (producerId: number, value: string): Buffer =>
      batchOf([{ value }], { producerId, producerEpoch: 0, baseSequence: 0 });
    const { producerId: own } = await test.broker.initProducer(BOB);
    for (const ahead of [...Array(10).keys()]) {
      for (const id of [ahead, own + ahead + 1]) {
        await expect(test.publish('orders', batch(id, 'junk'), 0, BOB)).rejects.toThrow(
          coded('UNKNOWN_PRODUCER'),
        );
      }
    }
    const { producerId } = await test.broker.initProducer(ALICE);
    expect((await test.publish('orders', batch(producerId, 'paid'), 0, ALICE)).kind).toBe('appended');
  });

  it('never gives the same producer id twice, also after a crash', async () => {
    test = await TestBroker.open();
    const first = await Promise.all([test.broker.initProducer(ALICE), test.broker.initProducer(ALICE)]);
    await test.crash();
    await test.start();
    const ids = [...first, await test.broker.initProducer(ALICE)].map(({ producerId }) => producerId);
    expect(new Set(ids).size).toBe(3);
  });
});

describe('records of a topic', () => {
  it('are deleted only by who administers it', async () => {
    const authorizer = { allows: (_: unknown, operation: string) => operation !== 'admin' };
    test = await TestBroker.open({}, authorizer);
    await test.publish('orders', batchOf(1));
    await expect(test.broker.deleteRecords(ALICE, 'orders', [], { at: 'latest' })).rejects.toThrow(
      coded('FORBIDDEN'),
    );
  });
});

describe('restart of a memory topic', () => {
  it('keeps the topic, empty, and goes on at the old log end after an orderly stop', async () => {
    test = await TestBroker.open();
    await test.publish('orders', batchOf(7));
    await test.stop();
    await test.start();
    expect((await test.broker.describeTopic(ALICE, 'orders')).partitions[0]).toMatchObject({
      logStart: 7,
      logEnd: 7,
    });
  });

  it('tells a subscriber that resumes of a gap instead of other records under the same offsets', async () => {
    test = await TestBroker.open();
    await test.publish('orders', batchOf(7));
    await test.crash();
    await test.start();
    const { baseOffset } = await test.publish('orders', batchOf([{ value: 'new' }]));
    const { readers } = await test.subscribe('orders', {
      resume: [{ topic: 'orders', partition: 0, offset: 3 }],
    });
    expect(readers[0]!.read(1000)).toEqual({ kind: 'gap', from: 3, to: baseOffset, reason: 1 });
    const result = await readers[0]!.read(1000);
    expect(result.kind === 'batches' && textOf(result.batches)).toEqual([`${baseOffset} null=new`]);
  });

  it('has a larger leader epoch after each start', async () => {
    test = await TestBroker.open();
    await test.publish('orders', batchOf(1));
    const epoch = async () => (await test.broker.describeTopic(ALICE, 'orders')).partitions[0]!.leaderEpoch;
    const before = await epoch();
    await test.stop();
    await test.start();
    expect(await epoch()).toBe(before + 1);
  });
});

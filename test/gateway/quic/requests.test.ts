import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FRAME } from '../../../src/wire/frame.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { NativeClient } from './native-client.ts';
import { batchOf, produce, settle } from './native-client.ts';

describe('requests', () => {
  let stage: GatewayStage;
  let client: NativeClient;
  beforeEach(async () => {
    stage = await GatewayStage.open();
    client = await stage.client();
  });
  afterEach(async () => stage[Symbol.asyncDispose]());

  it('creates, alters, describes, lists and deletes a topic', async () => {
    const settings = { retentionBytes: 10_000_000n, timestamps: 'append' };
    await client.request({ case: 'createTopic', value: { name: 'orders', partitions: 2, settings } });
    await client.request({
      case: 'alterTopic',
      value: { name: 'orders', partitions: 3, settings: { retentionMs: 60_000n } },
    });
    const { topic } = await client.request({ case: 'describeTopic', value: { name: 'orders' } });
    expect(topic).toMatchObject({
      name: 'orders',
      settings: { ...settings, retentionMs: 60_000n, storage: 'memory' },
    });
    expect(topic!.partitions.map(({ partition }) => partition)).toEqual([0, 1, 2]);
    await client.request({ case: 'deleteTopic', value: { name: 'orders' } });
    expect((await client.request({ case: 'listTopics', value: {} })).topics).toEqual([]);
  });

  it('stamps append time into the answer where the topic does', async () => {
    await client.request({
      case: 'createTopic',
      value: { name: 'timed', settings: { timestamps: 'append' } },
    });
    const { appendTimeMs } = await produce(client.bidi(), 'timed', batchOf(['x']));
    expect(appendTimeMs).toBe(stage.clock.now());
  });

  it.each<[string, string, Parameters<NativeClient['ask']>[0]]>([
    ['a topic that exists', 'TOPIC_EXISTS', { case: 'createTopic', value: { name: 'there' } }],
    ['an illegal name', 'INVALID_TOPIC', { case: 'createTopic', value: { name: 'a/b' } }],
    [
      'a storage that is none',
      'INVALID_ARGUMENT',
      { case: 'createTopic', value: { name: 'b', settings: { storage: 'tape' } } },
    ],
    [
      'a size beyond 2^53 − 1',
      'INVALID_ARGUMENT',
      { case: 'createTopic', value: { name: 'b', settings: { retentionBytes: 2n ** 60n } } },
    ],
    ['a topic that is not there', 'TOPIC_NOT_FOUND', { case: 'describeTopic', value: { name: 'nowhere' } }],
    [
      'a time between two syncs that is none',
      'INVALID_ARGUMENT',
      { case: 'createTopic', value: { name: 'b', settings: { flushIntervalMs: 0n } } },
    ],
    [
      'to delete records without saying which',
      'INVALID_ARGUMENT',
      { case: 'deleteRecords', value: { topic: 'there' } },
    ],
    [
      'offsets of the last of each key',
      'INVALID_ARGUMENT',
      { case: 'listOffsets', value: { topic: 'there', at: { at: { case: 'lastPerKey', value: true } } } },
    ],
    [
      'a partition that is not there',
      'PARTITION_NOT_FOUND',
      { case: 'listOffsets', value: { topic: 'there', partitions: [7] } },
    ],
    [
      'an operation that is none',
      'INVALID_ARGUMENT',
      { case: 'createToken', value: { principal: 'p', grants: [{ topics: '*', operations: ['fly'] }] } },
    ],
    [
      'a token that is not there',
      'TOKEN_NOT_FOUND',
      { case: 'revokeToken', value: { id: '0123456789abcdef' } },
    ],
  ])('refuses %s with %s', async (_what, code, body) => {
    await client.request({ case: 'createTopic', value: { name: 'there' } });
    expect(await client.refusal(body)).toBe(code);
  });

  it('creates a topic once when it may exist', async () => {
    const body = { case: 'createTopic', value: { name: 'orders', ifNotExists: true } } as const;
    const first = await client.request(body);
    expect((await client.request(body)).topic!.id).toBe(first.topic!.id);
  });

  it('tells leaders of topics, where nodes are, and why it cannot', async () => {
    await client.request({ case: 'createTopic', value: { name: 'orders', partitions: 2 } });
    const asked = { topics: ['orders', 'nowhere'] };
    const { topics, nodes } = await client.request({ case: 'metadata', value: asked });
    expect(topics.map(({ name, errorCode, partitions }) => [name, errorCode, partitions.length])).toEqual([
      ['orders', 0, 2],
      ['nowhere', 30, 0],
    ]);
    expect(nodes).toMatchObject([{ nodeId: 'n', urls: ['quic://n:7450'], zone: 'z' }]);
  });

  it('tells offsets', async () => {
    await produce(client.bidi(), 'orders', batchOf(['a', 'b', 'c']));
    const offsetAt = async (at: { case: 'latest' | 'earliest'; value: boolean }): Promise<bigint> =>
      (await client.request({ case: 'listOffsets', value: { topic: 'orders', at: { at } } })).positions[0]!
        .offset;
    expect([
      await offsetAt({ case: 'earliest', value: true }),
      await offsetAt({ case: 'latest', value: true }),
    ]).toEqual([0n, 3n]);
  });

  it('deletes records, and tells where partitions begin then', async () => {
    await produce(client.bidi(), 'orders', batchOf(['a', 'b', 'c']));
    const before = { at: { case: 'offset' as const, value: 2n } };
    const { positions } = await client.request({ case: 'deleteRecords', value: { topic: 'orders', before } });
    expect(positions).toMatchObject([{ topic: 'orders', partition: 0, offset: 2n }]);
  });

  it('gives each producer another id', async () => {
    const first = await client.request({ case: 'initProducer', value: {} });
    const second = await client.request({ case: 'initProducer', value: {} });
    expect(second.producerId).not.toBe(first.producerId);
  });

  it('makes, lists and revokes tokens', async () => {
    const grants = [{ topics: 'orders.*', operations: ['publish', 'subscribe'] }];
    const { id, token } = await client.request({ case: 'createToken', value: { principal: 'shop', grants } });
    const { tokens } = await client.request({ case: 'listTokens', value: {} });
    expect(token).toMatch(/^slt_/);
    expect(tokens[0]).toMatchObject({ id, principal: 'shop', grants, expiresMs: 0n });
    await client.request({ case: 'revokeToken', value: { id } });
    expect((await client.request({ case: 'listTokens', value: {} })).tokens).toEqual([]);
  });

  it('counts what went through the node', async () => {
    await client.request({ case: 'subscribe', value: { subscriptionId: 1, filter: 'news' } });
    const { channel } = await client.delivery();
    const batch = batchOf(['a', 'b']);
    await produce(client.bidi(), 'news', batch);
    await channel.next();
    const status = await client.request({ case: 'nodeStatus', value: {} });
    expect(status).toMatchObject({
      connections: 1,
      subscriptions: 1,
      topics: 1,
      partitions: 1,
      recordsIn: 2n,
      bytesIn: BigInt(batch.length),
      bytesOut: BigInt(batch.length),
      software: 'test',
      draining: false,
    });
  });

  it('works on few requests of a client that does not read the answers', async () => {
    for (let i = 0; i < 100; i += 1)
      await client.request({ case: 'createTopic', value: { name: `topic-${i}` } });
    const before = stage.gateway.counters.requests;
    const greedy = await stage.client({ streamWindowBytes: 16 * 1024 });
    greedy.control.receive!.pause();
    for (let i = 0; i < 2000; i += 1) greedy.ask({ case: 'listTopics', value: {} });
    await settle();
    expect(stage.gateway.counters.requests - before).toBeLessThan(100);
    greedy.control.receive!.resume();
    for (let i = 0; i < 2000; i += 1) await greedy.control.expect(FRAME.RESPONSE);
    expect(await stage.servesOthers()).toBe(true);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ResponseSchema } from '../../../src/gen/sluice/client/v1/control_pb.ts';
import type { GroupCase, GroupQuestionInit } from '../../../src/groups/api.ts';
import { groupRequest } from '../../../src/groups/messages.ts';
import { decodeControl } from '../../../src/wire/control.ts';
import { encodeFrame, FRAME } from '../../../src/wire/frame.ts';
import { FakeParts } from '../../groups/fake-part.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { FrameChannel, NativeClient } from './native-client.ts';
import { batchOf, errorOf, produceFrame, settle, until } from './native-client.ts';

const STORAGE = { partitions: 1, replicationFactor: 1, minInsync: 1, storage: 'memory' } as const;
const MiB = 1024 * 1024;

describe('request stream', () => {
  let parts: FakeParts;
  let stage: GatewayStage;
  let client: NativeClient;
  let channel: FrameChannel;

  async function open(options: Parameters<typeof GatewayStage.open>[0] = {}): Promise<void> {
    parts = new FakeParts();
    stage = await GatewayStage.open({ groups: { storage: STORAGE, makeParts: parts.make }, ...options });
  }
  beforeEach(async () => {
    await open();
    client = await stage.client();
    channel = client.bidi();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  const ask = <C extends GroupCase>(name: C, question: GroupQuestionInit<C>, on = channel) =>
    client.ask({ case: 'group', value: groupRequest(name, question) }, on);
  const answer = async (on = channel) =>
    decodeControl(ResponseSchema, (await on.expect(FRAME.RESPONSE)).payload);
  /** Waits until somebody waits for records. */
  const waiting = (count = 1) => until(() => parts.queues[0]?.counts()['waiting'] === count);

  it('questions are answered as each can be, while the control stream goes on', async () => {
    const waits = ask('receive', { topic: 'jobs' });
    const asked = ask('describeGroup', { group: 'g' });
    expect((await answer()).correlationId).toBe(asked);
    await client.request({ case: 'nodeStatus', value: {} });
    expect(waits).toBeLessThan(asked);
    await waiting();
    expect(stage.gateway.gauges()).toMatchObject({ requestStreams: 1, publishStreams: 0 });
  });

  it('takes every request, not only those about groups', async () => {
    client.ask({ case: 'listTopics', value: {} }, channel);
    expect((await answer()).body.case).toBe('listTopics');
  });

  it('an answer may be as large as a frame of records, which it may not be on the control stream', async () => {
    ask('receive', { topic: 'plenty', maxBytes: 0xffff_ffff });
    const { payload } = await channel.expect(FRAME.RESPONSE);
    expect(payload.length).toBeGreaterThan(15 * MiB);
    ask('receive', { topic: 'plenty', maxBytes: 0xffff_ffff }, client.control);
    const small = await client.control.expect(FRAME.RESPONSE);
    expect(small.payload.length).toBeGreaterThan(3 * MiB);
    expect(small.payload.length).toBeLessThan(4 * MiB);
  });

  it('whoever waits often gets less each time', async () => {
    for (let nth = 0; nth < 63; nth += 1) ask('receive', { topic: 'jobs' });
    await waiting(63);
    const other = client.bidi();
    ask('receive', { topic: 'plenty', maxBytes: 16 * MiB }, other);
    const { payload } = await other.expect(FRAME.RESPONSE);
    expect(payload.length).toBeLessThan(1.1 * MiB);
  });

  it.each(['end', 'reset'] as const)('%s of what the client sends gives up what waits', async (how) => {
    ask('receive', { topic: 'jobs' });
    await waiting();
    if (how === 'end') channel.send!.end();
    else channel.send!.reset(0);
    expect(errorOf(await channel.next())).toBe('CANCELLED');
    expect(await channel.ended).toBe('end');
    expect(parts.queues[0]!.life).toContain('asker gone');
    expect(stage.gateway.gauges().requestStreams).toBe(0);
  });

  it('who wants no answers any more does not wait', async () => {
    ask('receive', { topic: 'jobs' });
    await waiting();
    channel.receive!.stop(0);
    await until(() => parts.queues[0]!.life.includes('asker gone'));
    expect(stage.gateway.gauges().requestStreams).toBe(0);
  });

  it('what waits ends with the connection, on the control stream too', async () => {
    ask('receive', { topic: 'jobs' });
    ask('receive', { topic: 'jobs' }, client.control);
    await waiting(2);
    client.connection.close(0, '');
    await waiting(0);
    expect(parts.queues[0]!.life.filter((event) => event === 'asker gone')).toHaveLength(2);
    expect(stage.gateway.gauges().requestStreams).toBe(0);
  });

  it('a drain gives up what waits, and sends the client away once it is told', async () => {
    ask('receive', { topic: 'jobs' });
    await waiting();
    stage.broker.drain();
    const drained = stage.gateway.drain('stop', []);
    expect(errorOf(await channel.next())).toBe('DRAINING');
    for (let passed = 0; passed < 1000; passed += 100) {
      stage.clock.advance(100);
      await settle();
    }
    await drained;
  });

  it('is not read while many questions wait, and goes on when they are answered', async () => {
    for (let nth = 0; nth < 64; nth += 1) ask('receive', { topic: 'jobs' });
    await waiting(64);
    ask('describeGroup', { group: 'g' });
    await settle();
    expect(parts.groups[0]!.asked).toEqual([]);
    stage.broker.groups.drain();
    for (let nth = 0; nth < 65; nth += 1) expect(errorOf(await channel.next())).toBe('DRAINING');
  });

  it.each([
    ['a frame that is not known', Buffer.from([0x7f, 0, 0, 0, 0, 0]), 'UNKNOWN_FRAME'],
    ['a frame that belongs elsewhere', encodeFrame(FRAME.HELLO, '', Buffer.alloc(0)), 'PROTOCOL_ERROR'],
    ['a publish', produceFrame('orders', batchOf(['x'])), 'PROTOCOL_ERROR'],
    ['a request that is none', encodeFrame(FRAME.REQUEST, '', Buffer.from('rubbish')), 'PROTOCOL_ERROR'],
    ['a request that is too large', Buffer.from([0x12, 0, 0x7f, 0xff, 0xff, 0xff]), 'FRAME_TOO_LARGE'],
  ] as const)('%s ends the stream and nothing else', async (_, bytes, code) => {
    ask('receive', { topic: 'jobs' });
    await waiting();
    channel.write(bytes);
    expect(await channel.ended).toBe(`reset ${code}`);
    await waiting(0);
    await client.request({ case: 'nodeStatus', value: {} });
    expect(stage.gateway.gauges().requestStreams).toBe(0);
  });

  it('a stream on which nothing whole ever came is neither, and ends with an error', async () => {
    channel.write(Buffer.from([0x12, 0, 0]));
    await settle();
    expect(stage.gateway.gauges().requestStreams).toBe(0);
    channel.send!.end();
    expect(await channel.ended).toBe('reset PROTOCOL_ERROR');
    const silent = client.bidi();
    silent.write(Buffer.alloc(0));
    silent.send!.end();
    await client.request({ case: 'nodeStatus', value: {} });
    expect(stage.gateway.gauges().publishStreams).toBe(0);
  });

  it('a stream on which was published takes no requests', async () => {
    channel.write(produceFrame('orders', batchOf(['x'])));
    await channel.expect(FRAME.PRODUCED);
    ask('describeGroup', { group: 'g' });
    expect(await channel.ended).toBe('reset PROTOCOL_ERROR');
  });

  it('a request stream is bidirectional', async () => {
    const uni = client.uni();
    ask('describeGroup', { group: 'g' }, uni);
    expect(await uni.stopped).toBe('PROTOCOL_ERROR');
  });

  it('nothing is asked before the client has said who it is', async () => {
    await stage[Symbol.asyncDispose]();
    await open({ tokens: { alice: 'secret' } });
    client = await stage.connect();
    client.control.write(Buffer.alloc(0));
    const early = client.bidi();
    ask('describeGroup', { group: 'g' }, early);
    expect(await early.ended).toBe('reset UNAUTHENTICATED');
    expect(parts.groups).toEqual([]);
    await client.hello({ token: 'secret' });
    const late = client.bidi();
    ask('describeGroup', { group: 'g' }, late);
    await answer(late);
  });

  it('whoever may come without a token says HELLO first all the same', async () => {
    const other = await stage.connect();
    other.control.write(Buffer.alloc(0));
    const early = other.bidi();
    ask('describeGroup', { group: 'g' }, early);
    expect(await early.ended).toBe('reset PROTOCOL_ERROR');
  });
});

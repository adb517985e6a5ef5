import { afterEach, describe, expect, it } from 'vitest';
import { ERRORS, SluiceError } from '../../../src/kernel/errors.ts';
import { encodeFrame, FRAME } from '../../../src/wire/frame.ts';
import { decodeProduced } from '../../../src/wire/produce.ts';
import { BATCH_FIELD } from '../../../src/wire/record-batch.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import type { StageOptions } from './gateway-stage.ts';
import { GatewayStage } from './gateway-stage.ts';
import type { FrameChannel, NativeClient } from './native-client.ts';
import { batchOf, produce, produceFrame, receive, settle, until } from './native-client.ts';

describe('publish stream', () => {
  let stage: GatewayStage;
  const open = async (options?: StageOptions): Promise<NativeClient> => {
    stage = await GatewayStage.open(options);
    return stage.client();
  };
  afterEach(async () => stage[Symbol.asyncDispose]());

  const changed = (change: (batch: Buffer) => void): Buffer => {
    const batch = batchOf(['x']);
    change(batch);
    return batch;
  };

  it.each<[string, string, string, () => Buffer]>([
    [
      'with a wrong CRC',
      'CORRUPT_BATCH',
      't',
      () => changed((batch) => batch.writeUInt32BE(1, BATCH_FIELD.CRC)),
    ],
    [
      'with another magic',
      'CORRUPT_BATCH',
      't',
      () => changed((batch) => batch.writeUInt8(1, BATCH_FIELD.MAGIC)),
    ],
    [
      'with an unknown codec',
      'UNKNOWN_CODEC',
      't',
      () => changed((batch) => batch.writeUInt16BE(3, BATCH_FIELD.ATTRIBUTES)),
    ],
    ['of no bytes', 'CORRUPT_BATCH', 't', () => Buffer.alloc(0)],
    ['cut short', 'CORRUPT_BATCH', 't', () => batchOf(['abcdef']).subarray(0, -2)],
    ["above the topic's limit", 'BATCH_TOO_LARGE', 't', () => batchOf(['x'.repeat(1024 * 1024)])],
    ['for an illegal topic', 'INVALID_TOPIC', 'no spaces', () => batchOf(['x'])],
    ['for no topic', 'INVALID_TOPIC', '', () => batchOf(['x'])],
    ['for a topic name of 250 characters', 'INVALID_TOPIC', 't'.repeat(250), () => batchOf(['x'])],
  ])('refuses a batch %s with %s and goes on', async (_what, code, topic, batch) => {
    const client = await open();
    const stream = client.bidi();
    expect((await produce(stream, topic, batch())).error).toBe(code);
    expect((await produce(stream, 't', batchOf(['good']))).error).toBeUndefined();
    expect(await stage.servesOthers()).toBe(true);
  });

  it('refuses a partition that does not exist', async () => {
    const client = await open();
    expect((await produce(client.bidi(), 't', batchOf(['x']), { partition: 9 })).error).toBe(
      'PARTITION_NOT_FOUND',
    );
  });

  const header = (type: number, topicBytes: number, payloadBytes: number): Buffer => {
    const bytes = Buffer.alloc(6);
    bytes[0] = type;
    bytes[1] = topicBytes;
    bytes.writeUInt32BE(payloadBytes, 2);
    return bytes;
  };

  it.each<[string, string, (channel: FrameChannel) => void]>([
    ['an unknown frame', 'UNKNOWN_FRAME', (channel) => channel.write(header(0x7f, 0, 0))],
    ['a frame of the control stream', 'PROTOCOL_ERROR', (channel) => channel.frame(FRAME.REQUEST)],
    ['a HELLO', 'PROTOCOL_ERROR', (channel) => channel.frame(FRAME.HELLO)],
    ['a raw SUBSCRIBE', 'PROTOCOL_ERROR', (channel) => channel.frame(FRAME.SUBSCRIBE, 't')],
    [
      'a frame above the limit',
      'FRAME_TOO_LARGE',
      (channel) => channel.write(header(FRAME.PRODUCE, 1, 0xffff_ffff)),
    ],
    [
      'a PRODUCE without its head',
      'PROTOCOL_ERROR',
      (channel) => channel.frame(FRAME.PRODUCE, 't', Buffer.alloc(11)),
    ],
    [
      'acks that do not exist',
      'PROTOCOL_ERROR',
      (channel) =>
        channel.frame(
          FRAME.PRODUCE,
          't',
          Buffer.concat([Buffer.alloc(8), Buffer.from([9, 0, 0, 0]), batchOf(['x'])]),
        ),
    ],
    [
      'a topic that is not UTF-8',
      'PROTOCOL_ERROR',
      (channel) => channel.write(Buffer.concat([header(FRAME.PUBLISH, 1, 0), Buffer.from([0xff])])),
    ],
  ])('ends the stream, and only it, after %s with %s', async (_what, code, act) => {
    const client = await open();
    const stream = client.bidi();
    act(stream);
    expect([await stream.stopped, await stream.ended]).toEqual([code, `reset ${code}`]);
    expect((await produce(client.bidi(), 't', batchOf(['same connection']))).error).toBeUndefined();
    expect(await stage.servesOthers()).toBe(true);
  });

  it('answers what came before the frame that ended the stream', async () => {
    const client = await open();
    const stream = client.bidi();
    await produce(stream, 't', batchOf(['stored']));
    stream.write(header(0x7f, 0, 0));
    await stream.ended;
    const { topic } = await client.request({ case: 'describeTopic', value: { name: 't' } });
    expect(topic!.partitions[0]!.highWatermark).toBe(1n);
  });

  it('refuses PRODUCE on a unidirectional stream', async () => {
    const stream = (await open()).uni();
    stream.write(produceFrame('t', batchOf(['x'])));
    expect(await stream.stopped).toBe('PROTOCOL_ERROR');
  });

  it('answers nothing for acks 0', async () => {
    const client = await open();
    const stream = client.bidi();
    stream.write(produceFrame('t', batchOf(['x']), { acks: 0 }));
    const produced = await produce(stream, 't', batchOf(['y']), { correlation: 2 });
    expect([produced.correlation, produced.baseOffset]).toEqual([2, 1]);
  });

  it('stops the stream when a batch with acks 0 is refused', async () => {
    const stream = (await open()).bidi();
    stream.write(
      produceFrame(
        't',
        changed((batch) => batch.writeUInt32BE(1, BATCH_FIELD.CRC)),
        { acks: 0 },
      ),
    );
    expect(await stream.stopped).toBe('CORRUPT_BATCH');
  });

  it('answers to one partition in order, and does not wait for others, as where a topic has to be created first', async () => {
    const stream = (await open()).bidi();
    await produce(stream, 'old', batchOf(['x']));
    const questions: [string, number, Buffer][] = [
      ['new', 10, batchOf(['x'])],
      ['new', 11, Buffer.alloc(0)],
      ['old', 12, batchOf(['x'])],
    ];
    for (const [topic, correlation, batch] of questions)
      stream.write(produceFrame(topic, batch, { correlation }));
    const answers: number[] = [];
    while (answers.length < questions.length) {
      const { payload } = await stream.expect(FRAME.PRODUCED);
      answers.push(decodeProduced(payload).correlation);
    }
    expect(answers).toEqual([12, 10, 11]);
  });

  it('ends its half after the last answer when the client ends its own', async () => {
    const stream = (await open()).bidi();
    stream.write(produceFrame('fresh', batchOf(['x'])));
    stream.send!.end();
    await stream.expect(FRAME.PRODUCED);
    expect(await stream.ended).toBe('end');
  });

  it('takes a frame that comes in single bytes', async () => {
    const client = await open({ transport: { maxChunkBytes: 1 } });
    expect((await produce(client.bidi(), 't', batchOf(['drop by drop']))).baseOffset).toBe(0);
  });

  it('marks the answer to a batch that was stored before', async () => {
    const client = await open();
    const { producerId } = await client.request({ case: 'initProducer', value: {} });
    const encoder = new RecordBatchEncoder();
    const idempotent = (): Buffer => {
      encoder.append(null, Buffer.from('once'), [], 1);
      return encoder.finish({
        codec: 'none',
        producerId: Number(producerId),
        producerEpoch: 0,
        baseSequence: 0,
      });
    };
    const stream = client.bidi();
    const first = await produce(stream, 't', idempotent());
    const second = await produce(stream, 't', idempotent());
    expect([first.duplicate, second.duplicate, second.baseOffset]).toEqual([false, true, first.baseOffset]);
  });

  it('does not read on while a client does not read its answers', async () => {
    const client = await open({ transportLimits: { streamWindowBytes: 64 * 1024 } });
    const slow = await stage.client({ streamWindowBytes: 16 * 1024 });
    const stream = slow.bidi();
    stream.receive!.pause();
    const frame = produceFrame('t', batchOf(['x']));
    const many = Buffer.concat(Array.from({ length: 1000 }, () => frame));
    for (let i = 0; i < 20; i += 1) stream.write(many);
    await settle();
    expect(stream.send!.bufferedBytes).toBeGreaterThan(many.length * 8);
    expect((await produce(client.bidi(), 't', batchOf(['x']))).error).toBeUndefined();
    stream.receive!.resume();
    for (let i = 0; i < 20_000; i += 1) await stream.expect(FRAME.PRODUCED);
    expect(stream.send!.bufferedBytes).toBe(0);
  });

  it('refuses more unfinished frames than a connection may have, and forgets them', async () => {
    const client = await open({ limits: { maxPartialBytes: 100_000 } });
    const unfinished = Buffer.concat([header(FRAME.PRODUCE, 1, 1_000_000), Buffer.alloc(40_000, 0x74)]);
    const streams = [client.bidi(), client.bidi(), client.bidi()];
    for (const stream of streams) stream.write(unfinished);
    expect(await streams[2]!.stopped).toBe('OVERLOADED');
    expect(stage.gateway.counters.partialBytes).toBe(2 * 40_006);
    client.connection.close(0, '');
    await settle();
    expect(stage.gateway.counters.partialBytes).toBe(0);
  });

  it('ends the connection that holds the most unfinished frames when all hold too many, and takes those of others', async () => {
    const greedy = await open({ limits: { maxPartialBytesTotal: 100_000 } });
    const other = await stage.client();
    const unfinished = Buffer.concat([header(FRAME.PRODUCE, 1, 1_000_000), Buffer.alloc(49_000, 0x74)]);
    for (let stream = 0; stream < 2; stream += 1) greedy.bidi().write(unfinished);
    await settle();
    const frame = produceFrame('t', batchOf(['x'.repeat(30_000)]));
    const stream = other.bidi();
    stream.write(frame.subarray(0, 20_000));
    await settle();
    stream.write(frame.subarray(20_000));
    expect(decodeProduced((await stream.expect(FRAME.PRODUCED)).payload).error).toBeUndefined();
    expect((await greedy.closed).errorCode).toBe(ERRORS.OVERLOADED.wire);
    expect(stage.gateway.counters.partialBytes).toBe(0);
  });

  it('reads no frame before it can be taken, also when many came together', async () => {
    const client = await open({ limits: { maxInFlight: 3 } });
    const done: (() => void)[] = [];
    stage.broker.publish = (_principal, _topic, _partition, _batch, _acks, answer) => {
      done.push(() => answer({ kind: 'appended', partition: 0, baseOffset: 0, appendTimeMs: 0 }));
    };
    const stream = client.bidi();
    const frames = Array.from({ length: 10 }, () => produceFrame('t', batchOf(['x'])));
    stream.write(Buffer.concat(frames));
    await settle();
    expect(done.length).toBe(4);
    for (let taken = 0; taken < 10; taken += 1) {
      done[taken]!();
      await settle();
    }
    expect([done.length, stream.waiting.length]).toEqual([10, 10]);
  });

  it('does not read on while too many answers wait for the first of their partition', async () => {
    const client = await open({ limits: { maxInFlight: 3 } });
    let first: (() => void) | undefined;
    let asked = 0;
    stage.broker.publish = (_principal, _topic, _partition, _batch, _acks, answer) => {
      asked += 1;
      if (first) answer(new SluiceError('CORRUPT_BATCH', 'refused at once'));
      first ??= () => answer({ kind: 'appended', partition: 0, baseOffset: 0, appendTimeMs: 0 });
    };
    const stream = client.bidi();
    const frames = Array.from({ length: 100 }, () => produceFrame('t', Buffer.alloc(0), { partition: 0 }));
    stream.write(Buffer.concat(frames));
    await settle();
    expect(asked).toBe(4);
    first!();
    await settle();
    expect([asked, stream.waiting.length]).toEqual([100, 100]);
  });

  it('acts upon the end of a stream after everything before it', async () => {
    const client = await open({ limits: { maxInFlight: 0 } });
    const stream = client.bidi();
    const frames = Array.from({ length: 5 }, (_, correlation) =>
      produceFrame('new', batchOf(['x']), { correlation }),
    );
    stream.write(Buffer.concat(frames));
    stream.send!.end();
    expect(await stream.ended).toBe('end');
    expect(stream.waiting.length).toBe(5);
  });

  it('takes little of who has not said who it is', async () => {
    stage = await GatewayStage.open({ tokens: { alice: 'slt_a' } });
    const stranger = await stage.connect();
    const [small, large] = [stranger.bidi(), stranger.bidi()];
    small.write(produceFrame('t', Buffer.alloc(60_000)).subarray(0, 40_000));
    await settle();
    large.write(produceFrame('t', Buffer.alloc(60_000)).subarray(0, 40_000));
    expect(await large.stopped).toBe('UNAUTHENTICATED');
    expect(stage.gateway.counters.partialBytes).toBe(40_000);
    const known = await stage.connect();
    await known.hello({ token: 'slt_a' });
    expect((await produce(known.bidi(), 't', batchOf(['x'.repeat(200_000)]))).error).toBeUndefined();
  });

  it('serves others beside a client with ten thousand streams', async () => {
    const client = await open({ transportLimits: { maxStreams: 4096 } });
    for (let i = 0; i < 10_000; i += 1) client.bidi().write(header(FRAME.PRODUCE, 1, 100));
    await settle();
    expect(await stage.servesOthers()).toBe(true);
    expect(stage.gateway.gauges().publishStreams).toBe(4096);
    client.connection.close(0, '');
    await settle();
    expect(stage.gateway.gauges().publishStreams).toBe(0);
  });

  describe('raw', () => {
    it('stores a record with the key of the address', async () => {
      const client = await open();
      const stream = client.uni();
      stream.frame(FRAME.PUBLISH, 'sensors/room1/temp', Buffer.from('21.5'));
      stream.send!.end();
      await settle();
      await client.request({
        case: 'subscribe',
        value: {
          subscriptionId: 1,
          filter: 'sensors/room1/#',
          start: { at: { case: 'earliest', value: true } },
        },
      });
      expect(await receive((await client.delivery()).channel, 1)).toEqual(['21.5']);
    });

    it('answers a refusal on a bidirectional stream with ERROR and goes on', async () => {
      const client = await open();
      const stream = client.bidi();
      stream.frame(FRAME.PUBLISH, 'not legal', Buffer.from('x'));
      expect(await stream.error()).toBe('INVALID_TOPIC');
      stream.frame(FRAME.PUBLISH, 't', Buffer.alloc(2 * 1024 * 1024));
      expect(await stream.error()).toBe('BATCH_TOO_LARGE');
      stream.write(produceFrame('t', batchOf(['x'])));
      await stream.expect(FRAME.PRODUCED);
    });

    it('keeps to the longest key that clients are told', async () => {
      const stream = (await open({ limits: { maxKeyBytes: 4 } })).bidi();
      stream.frame(FRAME.PUBLISH, 't/12345', Buffer.from('x'));
      expect(await stream.error()).toBe('KEY_TOO_LARGE');
      stream.frame(FRAME.PUBLISH, 't/1234', Buffer.from('x'));
      stream.frame(FRAME.PUBLISH, 't/123456', Buffer.from('x'));
      expect(await stream.error()).toBe('KEY_TOO_LARGE');
      await until(() => stage.broker.counters.recordsIn > 0);
      expect(stage.broker.counters.recordsIn).toBe(1);
    });

    it('stops a unidirectional stream with the code of the refusal', async () => {
      const stream = (await open()).uni();
      stream.frame(FRAME.PUBLISH, 'not legal', Buffer.from('x'));
      expect(await stream.stopped).toBe('INVALID_TOPIC');
    });

    it('takes PUBLISH on the control stream', async () => {
      const client = await open();
      await produce(client.bidi(), 't', batchOf(['creates the topic']));
      client.control.write(encodeFrame(FRAME.PUBLISH, 't', Buffer.from('x')));
      client.control.write(encodeFrame(FRAME.PUBLISH, '/key', Buffer.from('x')));
      expect(await client.control.error()).toBe('INVALID_TOPIC');
      const { topic } = await client.request({ case: 'describeTopic', value: { name: 't' } });
      expect(topic!.partitions[0]!.highWatermark).toBe(2n);
    });
  });
});

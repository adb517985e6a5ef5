/** Each kind of bad input gets its coded error on the stream or connection it came on, and a real node goes on for everyone. */
import { gzipSync } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, ErrorCode } from '../src/client/index.ts';
import { ERRORS } from '../src/client/index.ts';
import { ErrorSchema } from '../src/gen/sluice/client/v1/control_pb.ts';
import { decodeControl } from '../src/wire/control.ts';
import { encodeFrame, FRAME } from '../src/wire/frame.ts';
import { decodeProduced } from '../src/wire/produce.ts';
import { RecordBatchEncoder } from '../src/wire/record-batch-encoder.ts';
import { eventually } from './support/eventually.ts';
import { announcement, produceFrame, requestFrame, smallBatch } from './support/hostile-frames.ts';
import type { RequestBody } from './support/hostile-frames.ts';
import { NodeProcess } from './support/node-process.ts';
import type { PeerStream } from './support/quic-peer.ts';
import { HELLO, QuicPeer } from './support/quic-peer.ts';

const MiB = 1024 * 1024;
const TOPIC = 'bad-input';
const AT = { CRC: 17, ATTRIBUTES: 21, COUNT: 57, RECORDS: 61 };

const resources = new AsyncDisposableStack();
let node: NodeProcess;
let client: Client;

beforeAll(async () => {
  node = resources.use(await NodeProcess.start({ env: { SLUICE_LOG_LEVEL: 'error' } }));
  client = resources.use(await node.connect());
});

afterAll(() => resources.disposeAsync());

/** A batch whose bytes were changed after its CRC was right, and made right again. */
function changed(change: (batch: Buffer) => void, batch = smallBatch()): Buffer {
  change(batch);
  batch.writeUInt32BE(crc32c(batch.subarray(AT.ATTRIBUTES)), AT.CRC);
  return batch;
}

/** A batch of one record of `bytes` bytes. */
function largeBatch(bytes: number, codec: 'none' | 'gzip' = 'none'): Buffer {
  const encoder = new RecordBatchEncoder();
  encoder.append(Buffer.from('key'), Buffer.alloc(bytes), [], 1_700_000_000_000);
  return encoder.finish({ codec });
}

/** Publishes on a stream and tells how the node answered. */
async function produce(stream: PeerStream, frame: Buffer): Promise<ErrorCode | 'stored'> {
  const before = stream.of(FRAME.PRODUCED).length;
  stream.write(frame);
  await eventually('an answer', () => stream.of(FRAME.PRODUCED).length > before);
  return decodeProduced(stream.of(FRAME.PRODUCED)[before]!.payload).error ?? 'stored';
}

function codeOf(wire: number | undefined): string {
  return Object.entries(ERRORS).find(([, spec]) => spec.wire === wire)?.[0] ?? String(wire);
}

describe('a batch that is refused is answered, and its stream goes on', () => {
  const long = 't'.repeat(250);
  it.each<[string, ErrorCode, () => Buffer]>([
    [
      'with a wrong CRC',
      'CORRUPT_BATCH',
      () => produceFrame(TOPIC, Buffer.from(smallBatch().fill(1, 70, 80))),
    ],
    ['that is cut', 'CORRUPT_BATCH', () => produceFrame(TOPIC, smallBatch().subarray(0, 80))],
    ['of no bytes', 'CORRUPT_BATCH', () => produceFrame(TOPIC, Buffer.alloc(0))],
    [
      'of an unknown codec',
      'UNKNOWN_CODEC',
      () =>
        produceFrame(
          TOPIC,
          changed((b) => b.writeUInt16BE(2, AT.ATTRIBUTES)),
        ),
    ],
    [
      'of a transaction',
      'UNSUPPORTED',
      () =>
        produceFrame(
          TOPIC,
          changed((b) => b.writeUInt16BE(16, AT.ATTRIBUTES)),
        ),
    ],
    [
      'of more records than fit in it',
      'CORRUPT_BATCH',
      () =>
        produceFrame(
          TOPIC,
          changed((b) => b.writeUInt32BE(1e9, AT.COUNT)),
        ),
    ],
    ['larger than the topic allows', 'BATCH_TOO_LARGE', () => produceFrame(TOPIC, largeBatch(2 * MiB))],
    ['to an illegal topic', 'INVALID_TOPIC', () => produceFrame('not a topic', smallBatch())],
    ['to a topic whose name is too long', 'INVALID_TOPIC', () => produceFrame(long, smallBatch())],
  ])('%s: %s', async (_what, code, frame) => {
    using peer = await QuicPeer.connect(node);
    await peer.hello();
    const stream = peer.bidi();
    expect(await produce(stream, frame())).toBe(code);
    expect(await produce(stream, produceFrame(TOPIC, smallBatch()))).toBe('stored');
  });
});

describe('a stream that cannot be understood ends with its error, and its connection goes on', () => {
  const zero = Buffer.alloc(0);
  const produced = produceFrame(TOPIC, smallBatch());
  const reserved = Buffer.from(produced);
  reserved[6 + TOPIC.length + 11] = 1;
  it.each<[string, ErrorCode, Buffer]>([
    ['an unknown frame', 'UNKNOWN_FRAME', Buffer.from([0x7f, 0, 0, 0, 0, 0])],
    ['a frame that is too large', 'FRAME_TOO_LARGE', announcement(FRAME.PRODUCE, TOPIC, 18 * MiB)],
    ['a control frame that is too large', 'FRAME_TOO_LARGE', announcement(FRAME.SUBSCRIBE, TOPIC, 65 * 1024)],
    ['a frame of the control stream', 'PROTOCOL_ERROR', encodeFrame(FRAME.SUBSCRIBE, TOPIC, zero)],
    ['a frame of the node', 'PROTOCOL_ERROR', encodeFrame(FRAME.BATCH, '', smallBatch())],
    ['a PRODUCE without its head', 'PROTOCOL_ERROR', encodeFrame(FRAME.PRODUCE, TOPIC, Buffer.alloc(5))],
    ['reserved bytes that are not 0', 'PROTOCOL_ERROR', reserved],
  ])('%s: %s', async (_what, code, bytes) => {
    using peer = await QuicPeer.connect(node);
    await peer.hello();
    const stream = peer.bidi();
    stream.write(bytes);
    // The number in STOP_SENDING is raw-client.test.ts's to see: quiche does not always tell it.
    await eventually(
      'the end of the stream',
      () => stream.stopped !== undefined && stream.reset !== undefined,
    );
    expect(codeOf(stream.reset)).toBe(code);
    expect(await produce(peer.bidi(), produced)).toBe('stored');
  });

  it('an end inside a frame: PROTOCOL_ERROR', async () => {
    using peer = await QuicPeer.connect(node);
    await peer.hello();
    const stream = peer.bidi();
    stream.write(produced.subarray(0, 40));
    stream.end();
    await eventually('the end of the stream', () => stream.reset !== undefined);
    expect(codeOf(stream.reset)).toBe('PROTOCOL_ERROR');
    expect(await produce(peer.bidi(), produced)).toBe('stored');
  });
});

describe('a request that is refused is answered, and the connection goes on', () => {
  const from = (offset: bigint): RequestBody => ({
    case: 'subscribe',
    value: { subscriptionId: 1, filter: TOPIC, start: { at: { case: 'offset', value: offset } } },
  });
  it.each<[string, ErrorCode, RequestBody]>([
    [
      'a subscription to an illegal name',
      'INVALID_FILTER',
      { case: 'subscribe', value: { subscriptionId: 1, filter: 'a b' } },
    ],
    ['a subscription without number', 'INVALID_ARGUMENT', { case: 'subscribe', value: { filter: TOPIC } }],
    ['an offset beyond 2^53', 'OFFSET_OUT_OF_RANGE', from(2n ** 53n)],
    ['the largest offset there is', 'OFFSET_OUT_OF_RANGE', from(2n ** 64n - 1n)],
    ['a topic of an illegal name', 'INVALID_TOPIC', { case: 'createTopic', value: { name: '../etc' } }],
    [
      'a topic of too many partitions',
      'INVALID_ARGUMENT',
      { case: 'createTopic', value: { name: 'wide', partitions: 2 ** 32 - 1 } },
    ],
    ['a subscription nobody has', 'SUBSCRIPTION_NOT_FOUND', { case: 'pause', value: { subscriptionId: 9 } }],
  ])('%s: %s', async (_what, code, body) => {
    using peer = await QuicPeer.connect(node);
    const control = await peer.hello();
    await produce(peer.bidi(), produceFrame(TOPIC, smallBatch()));
    control.write(requestFrame(body, 77));
    const answer = decodeControl(ErrorSchema, (await control.frame(FRAME.ERROR)).payload);
    expect([answer.correlationId, codeOf(answer.code)]).toEqual([77, code]);
    control.write(encodeFrame(FRAME.PING, '', Buffer.from('alive')));
    expect((await control.frame(FRAME.PONG)).payload.toString()).toBe('alive');
  });
});

describe('a control stream that cannot be understood ends its connection with its error', () => {
  const garbage = Buffer.from('ff'.repeat(40), 'hex');
  it.each<[string, ErrorCode, readonly Buffer[]]>([
    ['garbage in place of HELLO', 'PROTOCOL_ERROR', [encodeFrame(FRAME.HELLO, '', garbage)]],
    ['garbage in place of a request', 'PROTOCOL_ERROR', [HELLO, encodeFrame(FRAME.REQUEST, '', garbage)]],
    ['HELLO of another version', 'VERSION_MISMATCH', [encodeFrame(FRAME.HELLO, '', Buffer.from([8, 99]))]],
    ['HELLO twice', 'PROTOCOL_ERROR', [HELLO, HELLO]],
    ['an unknown frame', 'UNKNOWN_FRAME', [HELLO, Buffer.from([0x40, 0, 0, 0, 0, 0])]],
    ['a frame that is too large', 'FRAME_TOO_LARGE', [HELLO, announcement(FRAME.REQUEST, '', 1025 * 1024)]],
    ['a PING that is too large', 'FRAME_TOO_LARGE', [HELLO, announcement(FRAME.PING, '', 65)]],
    ['a frame of a delivery stream', 'PROTOCOL_ERROR', [HELLO, encodeFrame(FRAME.END, '', Buffer.alloc(2))]],
  ])('%s: %s', async (_what, code, frames) => {
    using peer = await QuicPeer.connect(node);
    const control = peer.bidi();
    control.write(...frames);
    expect(codeOf(await peer.end())).toBe(code);
    // The last frame says it too.
    const last = control.frames.at(-1)!;
    expect(last.type).toBe(FRAME.ERROR);
    expect(codeOf(decodeControl(ErrorSchema, last.payload).code)).toBe(code);
  });
});

describe('a batch that inflates beyond the limit', () => {
  const topic = 'bomb';
  /** 200 MiB in 200 KiB: a valid batch of one record, its records repeated as gzip members. */
  function bomb(): Buffer {
    const inside = gzipSync(Buffer.alloc(200 * MiB), { level: 9 });
    const head = largeBatch(10, 'gzip').subarray(0, AT.RECORDS);
    const batch = Buffer.concat([head, inside]);
    batch.writeUInt32BE(batch.length - 12, 8);
    return changed(() => undefined, batch);
  }

  it('ends the subscriptions that would have to read it, in each mode, and no other', async () => {
    const before = node.rssBytes;
    using peer = await QuicPeer.connect(node);
    const control = await peer.hello();
    expect(await produce(peer.bidi(), produceFrame(topic, bomb()))).toBe('stored');
    // Raw, which the node has to take apart.
    control.write(encodeFrame(FRAME.SUBSCRIBE, topic, Buffer.from('earliest')));
    await eventually('the end of the raw stream', () => peer.accepted[0]?.reset !== undefined);
    expect(codeOf(peer.accepted[0]!.reset)).toBe('BATCH_TOO_LARGE');
    // Filtered by key, where the node has to look into it, and as it is, where the client does.
    for (const filter of [`${topic}/a/#`, topic]) {
      const reading = async (): Promise<unknown> =>
        (await client.subscribe(filter, { from: 'earliest' }))[Symbol.asyncIterator]().next();
      await expect(reading(), filter).rejects.toMatchObject({ code: 'BATCH_TOO_LARGE' });
    }
    const other = await client.subscribe(TOPIC, { from: 'earliest' });
    for await (const record of other) if (record.offset >= 0) break;
    expect((node.rssBytes - before) / MiB).toBeLessThan(128);
  });
});

describe('the SDK refuses, before anything is sent,', () => {
  it.each<[string, ErrorCode, () => Promise<unknown>]>([
    [
      'a key that is too large',
      'KEY_TOO_LARGE',
      () => client.producer().send({ topic: TOPIC, key: Buffer.alloc(64 * 1024 + 1), value: '' }),
    ],
    [
      'a record that is too large',
      'RECORD_TOO_LARGE',
      () => client.producer().publish(TOPIC, Buffer.alloc(18 * MiB)),
    ],
  ])('%s: %s', async (_what, code, call) => {
    await expect(call()).rejects.toMatchObject({ code });
  });
});

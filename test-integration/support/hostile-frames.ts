/** What a client that is broken, or means harm, writes to a node's streams. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { RequestSchema } from '../../src/gen/sluice/client/v1/control_pb.ts';
import type { GroupCase, GroupQuestionInit } from '../../src/groups/api.ts';
import { groupRequest } from '../../src/groups/messages.ts';
import { encodeControl } from '../../src/wire/control.ts';
import { encodeCredit } from '../../src/wire/delivery.ts';
import { encodeFrame, FRAME } from '../../src/wire/frame.ts';
import type { FrameType } from '../../src/wire/frame.ts';
import { encodeProduceHead } from '../../src/wire/produce.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';
import type { FuzzSource } from './fuzz-source.ts';
import { HELLO } from './quic-peer.ts';

export type RequestBody = NonNullable<MessageInitShape<typeof RequestSchema>['body']>;

const TYPES = Object.values(FRAME);
const TOPICS = ['fuzz', 'fuzz/key', 'fuzz/a/+/#', '+', '#', '', '__internal', 'ä', 'x'.repeat(255)];

/** A record batch of small records. */
export function smallBatch(records = 3): Buffer {
  const encoder = new RecordBatchEncoder();
  for (let n = 0; n < records; n += 1) {
    encoder.append(Buffer.from(`key-${n}`), Buffer.alloc(40, 'v'), [], 1_700_000_000_000 + n);
  }
  return encoder.finish({ codec: 'none' });
}

/** A PRODUCE frame. */
export function produceFrame(topic: string, batch: Buffer, correlation = 1, acks: 0 | 1 | 2 = 1): Buffer {
  return Buffer.concat([encodeProduceHead(topic, { correlation, partition: 0, acks }, batch.length), batch]);
}

/** A REQUEST frame. */
export function requestFrame(body: RequestBody, correlationId = 1): Buffer {
  return encodeControl(FRAME.REQUEST, RequestSchema, { correlationId, body });
}

/** A REQUEST about consumer groups and queues. */
function groupFrame<C extends GroupCase>(name: C, question: GroupQuestionInit<C>): Buffer {
  return requestFrame({ case: 'group', value: groupRequest(name, question) });
}

const MEMBER = { group: 'g', memberId: 'm', generation: 1 };
const QUEUE = { topic: 'fuzz', group: 'q' };

const GROUP_FRAMES: readonly Buffer[] = [
  groupFrame('joinGroup', { ...MEMBER, filters: ['fuzz*', 'fuzz'], maxWaitMs: 500, sessionTimeoutMs: 2000 }),
  groupFrame('leaveGroup', MEMBER),
  groupFrame('commitOffsets', { ...MEMBER, offsets: [{ topic: 'fuzz', offset: 3n, metadata: 'x' }] }),
  groupFrame('describeGroup', MEMBER),
  groupFrame('listGroups', {}),
  groupFrame('resetGroup', { ...QUEUE, to: { at: { case: 'offset', value: 1n } } }),
  groupFrame('deleteGroup', MEMBER),
  groupFrame('receive', { ...QUEUE, maxRecords: 10, maxWaitMs: 300, leaseMs: 50 }),
  groupFrame('settle', { ...QUEUE, settlements: [{ grant: 1n, first: 0n, end: 9n, kind: 1, reason: 'r' }] }),
  groupFrame('settle', { ...QUEUE, settlements: [{ grant: 2n, first: 0n, end: 2n ** 63n, kind: 3 }] }),
  groupFrame('configureQueue', { ...QUEUE, settings: { maxAttempts: 2, backoffMs: 1, orderedByKey: true } }),
  groupFrame('describeQueue', QUEUE),
  groupFrame('listQueues', {}),
  groupFrame('deleteQueue', QUEUE),
  groupFrame('browseQueue', { ...QUEUE, maxRecords: 5, positions: [{ partition: 0, offset: 1n }] }),
  groupFrame('moveRecords', { ...QUEUE, destination: 'fuzz-moved', ranges: [{ first: 0n, end: 5n }] }),
  groupFrame('discardRecords', { ...QUEUE, ranges: [{ partition: 0, first: 0n, end: 2n ** 53n }] }),
];

/** Valid frames of each kind a client sends: what a fuzzer mutates. */
export const VALID_FRAMES: readonly Buffer[] = [
  HELLO,
  requestFrame({ case: 'metadata', value: { topics: ['fuzz'] } }),
  requestFrame({ case: 'initProducer', value: {} }),
  requestFrame({ case: 'subscribe', value: { subscriptionId: 1, filter: 'fuzz/#' } }),
  requestFrame({ case: 'unsubscribe', value: { subscriptionId: 1 } }),
  requestFrame({ case: 'pause', value: { subscriptionId: 1 } }),
  requestFrame({ case: 'listOffsets', value: { topic: 'fuzz' } }),
  requestFrame({ case: 'createTopic', value: { name: 'fuzz-made' } }),
  requestFrame({ case: 'nodeStatus', value: {} }),
  requestFrame({ case: 'listSubscriptions', value: {} }),
  ...GROUP_FRAMES,
  encodeFrame(FRAME.PING, '', Buffer.alloc(64, 7)),
  encodeFrame(FRAME.PUBLISH, 'fuzz/key', Buffer.from('value')),
  encodeFrame(FRAME.SUBSCRIBE, 'fuzz/+', Buffer.from('earliest')),
  encodeFrame(FRAME.UNSUBSCRIBE, 'fuzz/+', Buffer.alloc(0)),
  encodeCredit({ subscription: 1, streams: 8 }),
  produceFrame('fuzz', smallBatch()),
  produceFrame('fuzz', smallBatch(), 2, 0),
];

/** Header of a frame whose payload is announced and does not come. */
export function announcement(type: FrameType, topic: string, payloadBytes: number): Buffer {
  const frame = encodeFrame(type, topic, Buffer.alloc(0));
  frame.writeUInt32BE(payloadBytes, 2);
  return frame;
}

/** One piece of what such a client writes: valid, mutated, of random contents, or of nothing at all. */
export function hostilePiece(source: FuzzSource): Buffer {
  switch (source.below(6)) {
    case 0:
      return source.bytes(source.below(600));
    case 1:
      return encodeFrame(source.pick(TYPES), source.pick(TOPICS), source.bytes(source.below(300)));
    case 2:
      return announcement(source.pick(TYPES), source.pick(TOPICS), source.below(2 ** 32));
    case 3:
      return source.pick(VALID_FRAMES);
    default:
      return source.mutate(source.pick(VALID_FRAMES));
  }
}

/**
 * The frame that everything on a stream is made of; big endian.
 *
 *     0        1        2                          6              6 + t              6 + t + n
 *     ┌────────┬────────┬──────────────────────────┬──────────────┬──────────────────┐
 *     │ type   │ topic  │ payload length n         │ topic        │ payload          │
 *     │ u8     │ len u8 │ u32                      │ t bytes      │ n bytes          │
 *     └────────┴────────┴──────────────────────────┴──────────────┴──────────────────┘
 *
 * @see docs/protocol.md section 2
 */
import { SluiceError } from '../kernel/errors.ts';

/** Frame types by name. A number is never reused; 0x40 to 0x4f are kept for ACK, NACK, REJECT, EXTEND, COMMIT. */
export const FRAME = {
  PUBLISH: 0x01,
  SUBSCRIBE: 0x02,
  UNSUBSCRIBE: 0x03,
  MESSAGE: 0x04,
  HELLO: 0x10,
  WELCOME: 0x11,
  REQUEST: 0x12,
  RESPONSE: 0x13,
  ERROR: 0x14,
  GOAWAY: 0x15,
  PING: 0x16,
  PONG: 0x17,
  PRODUCE: 0x20,
  PRODUCED: 0x21,
  STREAM_OPEN: 0x30,
  BATCH: 0x31,
  GAP: 0x32,
  END: 0x33,
  DATAGRAM: 0x34,
  CREDIT: 0x35,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** Bytes of a frame before its topic. */
export const FRAME_HEADER_BYTES = 6;

/** Longest topic (or address, or filter) a frame can carry, in UTF-8 bytes. */
export const TOPIC_MAX_BYTES = 255;

/** Default bound of a payload of PUBLISH, MESSAGE, PRODUCE and BATCH, bytes. */
export const FRAME_MAX_BYTES = 17 * 1024 * 1024;

/** Bound of a payload of every other type, bytes. */
export const CONTROL_MAX_BYTES = 64 * 1024;
/** Bound of a RESPONSE: thousands of topics or subscriptions are listed in one. */
export const RESPONSE_MAX_BYTES = 4 * 1024 * 1024;

/** Bound of a REQUEST: a subscription that goes on after a lost connection names the position of each of its partitions. */
export const REQUEST_MAX_BYTES = 1024 * 1024;

/** Bound of the payload of PING and PONG, bytes. */
export const PING_MAX_BYTES = 64;

/** How large payloads may be, bytes. */
export interface FrameLimits {
  /** Of PUBLISH, MESSAGE, PRODUCE and BATCH. */
  readonly maxFrameBytes: number;
  /** Of every other type but REQUEST, RESPONSE, PING and PONG, whose bounds are fixed. */
  readonly maxControlBytes: number;
  /** Of RESPONSE. Default 4 MiB; on a request stream, where records come, as `maxFrameBytes`. */
  readonly maxResponseBytes?: number;
}

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(FRAME).map(([name, type]) => [type, name]));
const DATA_TYPES: ReadonlySet<number> = new Set([FRAME.PUBLISH, FRAME.MESSAGE, FRAME.PRODUCE, FRAME.BATCH]);

/** Name of a frame type for logs and messages, or its number in hex when this version does not know it. */
export function frameName(type: number): string {
  return NAMES.get(type) ?? `0x${type.toString(16).padStart(2, '0')}`;
}

/** Whether this version knows the frame type. */
export function isFrameType(type: number): type is FrameType {
  return NAMES.has(type);
}

/** Whether payloads of this type are records (bounded by `maxFrameBytes`) and not control messages. */
export function isDataFrame(type: number): boolean {
  return DATA_TYPES.has(type);
}

/** Bound of the payload of a frame type, bytes. */
export function maxPayloadBytes(type: number, limits: FrameLimits): number {
  if (isDataFrame(type)) return limits.maxFrameBytes;
  if (type === FRAME.PING || type === FRAME.PONG) return PING_MAX_BYTES;
  if (type === FRAME.RESPONSE) return limits.maxResponseBytes ?? RESPONSE_MAX_BYTES;
  if (type === FRAME.REQUEST) return REQUEST_MAX_BYTES;
  return limits.maxControlBytes;
}

/**
 * Header and topic of a frame, with `extraBytes` of unused room after the topic for what the caller writes there.
 *
 * @param payloadBytes length of the whole payload, `extraBytes` included
 * @returns a fresh buffer of 6 + topic + `extraBytes` bytes
 * @throws INVALID_TOPIC when the topic is longer than 255 bytes; FRAME_TOO_LARGE when the payload does not fit a u32
 */
export function encodeFrameHeader(
  type: FrameType,
  topic: string,
  payloadBytes: number,
  extraBytes = 0,
): Buffer {
  const topicBytes = topic === '' ? 0 : Buffer.byteLength(topic);
  if (topicBytes > TOPIC_MAX_BYTES) {
    throw new SluiceError(
      'INVALID_TOPIC',
      `${topicBytes} bytes of topic in ${frameName(type)}; at most ${TOPIC_MAX_BYTES}`,
    );
  }
  if (payloadBytes > 0xffff_ffff) {
    throw new SluiceError(
      'FRAME_TOO_LARGE',
      `${payloadBytes} bytes of payload do not fit a ${frameName(type)} frame`,
    );
  }
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + topicBytes + extraBytes);
  frame[0] = type;
  frame[1] = topicBytes;
  frame.writeUInt32BE(payloadBytes, 2);
  if (topicBytes > 0) frame.write(topic, FRAME_HEADER_BYTES, topicBytes, 'utf8');
  return frame;
}

/**
 * A whole frame in one fresh buffer; the payload is copied.
 *
 * @throws INVALID_TOPIC when the topic is longer than 255 bytes
 */
export function encodeFrame(type: FrameType, topic: string, payload: Uint8Array): Buffer {
  const frame = encodeFrameHeader(type, topic, payload.length, payload.length);
  frame.set(payload, frame.length - payload.length);
  return frame;
}

/** `text` cut to at most `maxBytes` of UTF-8, never inside a character. */
export function cutText(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** `address` cut to the 255 bytes a frame can carry. */
export function cutTopic(address: string): string {
  return cutText(address, TOPIC_MAX_BYTES);
}

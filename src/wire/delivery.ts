/**
 * Frames of delivery that are not protobuf; big endian.
 *
 *     GAP       0 from u64 │ 8 to u64, exclusive │ 16 reason u8
 *     END       0 error u16, 0 for none │ 2 text
 *     DATAGRAM  0 subscription u32 │ 4 partition u32 │ 8 record batch
 *     CREDIT    0 subscription u32 │ 4 streams u32
 *
 * @see docs/protocol.md section 7
 */
import { isUtf8 } from 'node:buffer';
import type { ErrorCode } from '../kernel/errors.ts';
import { ERRORS, SluiceError, errorCodeFromWire } from '../kernel/errors.ts';
import {
  CONTROL_MAX_BYTES,
  FRAME,
  FRAME_HEADER_BYTES,
  cutText,
  encodeFrameHeader,
  frameName,
} from './frame.ts';
import { readSafe64, writeSafe64 } from './offset.ts';

const GAP_BYTES = 17;
const END_HEAD_BYTES = 2;
const DATAGRAM_HEAD_BYTES = 8;
const CREDIT_BYTES = 8;

/** Why offsets are gone: retention removed them, somebody deleted them, or a datagram could not be sent. */
export const GAP_REASON = { RETENTION: 1, DELETED: 2, NOT_SENT: 3 } as const;
export type GapReason = (typeof GAP_REASON)[keyof typeof GAP_REASON];

/** Offsets in [from, to) that this subscription will not get. */
export interface GapFrame {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly reason: GapReason;
}

/** The last frame of a delivery stream. */
export interface EndFrame {
  /** Undefined: unsubscribed, or the topic was deleted. */
  readonly error: ErrorCode | undefined;
  /** For people. */
  readonly message: string;
}

/** One record batch in one datagram. */
export interface DatagramFrame {
  readonly topic: string;
  readonly subscription: number;
  readonly partition: number;
  /** View of the datagram: copy it to keep it. */
  readonly batch: Buffer;
}

/** Permission for more batch streams of an unordered subscription. */
export interface CreditFrame {
  readonly subscription: number;
  readonly streams: number;
}

/** A whole GAP frame. */
export function encodeGap(gap: GapFrame): Buffer {
  const frame = encodeFrameHeader(FRAME.GAP, '', GAP_BYTES, GAP_BYTES);
  writeSafe64(frame, gap.from, FRAME_HEADER_BYTES);
  writeSafe64(frame, gap.to, FRAME_HEADER_BYTES + 8);
  frame[FRAME_HEADER_BYTES + 16] = gap.reason;
  return frame;
}

/** Reads the payload of GAP. @throws PROTOCOL_ERROR when its length, its offsets or its reason make no sense */
export function decodeGap(payload: Buffer): GapFrame {
  expectLength(FRAME.GAP, payload, GAP_BYTES);
  const from = readSafe64(payload, 0);
  const to = readSafe64(payload, 8);
  const reason = payload[16]!;
  if (from === undefined || to === undefined || from < 0 || to < from) {
    throw new SluiceError('PROTOCOL_ERROR', 'GAP does not name a range of offsets');
  }
  if (reason !== GAP_REASON.RETENTION && reason !== GAP_REASON.DELETED && reason !== GAP_REASON.NOT_SENT) {
    throw new SluiceError('PROTOCOL_ERROR', `GAP has the unknown reason ${reason}`);
  }
  return { from, to, reason };
}

/** A whole END frame. A text that does not fit a control frame is cut. */
export function encodeEnd(end: EndFrame): Buffer {
  const text = Buffer.from(cutText(end.message, CONTROL_MAX_BYTES - END_HEAD_BYTES));
  const frame = encodeFrameHeader(FRAME.END, '', END_HEAD_BYTES + text.length, END_HEAD_BYTES + text.length);
  frame.writeUInt16BE(end.error === undefined ? 0 : ERRORS[end.error].wire, FRAME_HEADER_BYTES);
  frame.set(text, FRAME_HEADER_BYTES + END_HEAD_BYTES);
  return frame;
}

/** Reads the payload of END. An error number this version does not know is INTERNAL. @throws PROTOCOL_ERROR when it is too short */
export function decodeEnd(payload: Buffer): EndFrame {
  if (payload.length < END_HEAD_BYTES) throw new SluiceError('PROTOCOL_ERROR', 'END has no error number');
  const error = payload.readUInt16BE(0);
  return {
    error: error === 0 ? undefined : errorCodeFromWire(error),
    message: payload.toString('utf8', END_HEAD_BYTES),
  };
}

/** Bytes that a datagram needs besides its batch. */
export function datagramOverheadBytes(topic: string): number {
  return FRAME_HEADER_BYTES + Buffer.byteLength(topic) + DATAGRAM_HEAD_BYTES;
}

/** A whole DATAGRAM frame, which is the whole datagram; the batch is copied. @throws INVALID_TOPIC */
export function encodeDatagram(datagram: DatagramFrame): Buffer {
  const payloadBytes = DATAGRAM_HEAD_BYTES + datagram.batch.length;
  const frame = encodeFrameHeader(FRAME.DATAGRAM, datagram.topic, payloadBytes, payloadBytes);
  const at = frame.length - payloadBytes;
  frame.writeUInt32BE(datagram.subscription, at);
  frame.writeUInt32BE(datagram.partition, at + 4);
  frame.set(datagram.batch, at + DATAGRAM_HEAD_BYTES);
  return frame;
}

/**
 * Reads a datagram.
 *
 * @param datagram the whole datagram, frame header included; the result's batch is a view of it
 * @throws PROTOCOL_ERROR when it is not exactly one DATAGRAM frame, or its topic is not UTF-8
 */
export function decodeDatagram(datagram: Buffer): DatagramFrame {
  if (datagram.length < FRAME_HEADER_BYTES || datagram[0] !== FRAME.DATAGRAM) {
    throw new SluiceError('PROTOCOL_ERROR', 'a datagram does not hold a DATAGRAM frame');
  }
  const at = FRAME_HEADER_BYTES + datagram[1]!;
  const payloadBytes = datagram.readUInt32BE(2);
  if (payloadBytes < DATAGRAM_HEAD_BYTES || at + payloadBytes !== datagram.length) {
    throw new SluiceError(
      'PROTOCOL_ERROR',
      `a datagram of ${datagram.length} bytes announces ${at + payloadBytes}`,
    );
  }
  const topic = datagram.subarray(FRAME_HEADER_BYTES, at);
  if (!isUtf8(topic)) throw new SluiceError('PROTOCOL_ERROR', 'the topic of a datagram is not UTF-8');
  return {
    topic: topic.toString('utf8'),
    subscription: datagram.readUInt32BE(at),
    partition: datagram.readUInt32BE(at + 4),
    batch: datagram.subarray(at + DATAGRAM_HEAD_BYTES),
  };
}

/** A whole CREDIT frame. */
export function encodeCredit(credit: CreditFrame): Buffer {
  const frame = encodeFrameHeader(FRAME.CREDIT, '', CREDIT_BYTES, CREDIT_BYTES);
  frame.writeUInt32BE(credit.subscription, FRAME_HEADER_BYTES);
  frame.writeUInt32BE(credit.streams, FRAME_HEADER_BYTES + 4);
  return frame;
}

/** Reads the payload of CREDIT. @throws PROTOCOL_ERROR when its length is not 8 */
export function decodeCredit(payload: Buffer): CreditFrame {
  expectLength(FRAME.CREDIT, payload, CREDIT_BYTES);
  return { subscription: payload.readUInt32BE(0), streams: payload.readUInt32BE(4) };
}

function expectLength(type: number, payload: Buffer, bytes: number): void {
  if (payload.length === bytes) return;
  throw new SluiceError(
    'PROTOCOL_ERROR',
    `a ${frameName(type)} payload has ${payload.length} bytes and not ${bytes}`,
  );
}

/**
 * PRODUCE and PRODUCED, the two frames of a publish stream in batch mode; big endian.
 *
 *     PRODUCE   0 correlation u32 │ 4 partition u32 │ 8 acks u8 │ 9 reserved, 0 │ 12 record batch
 *     PRODUCED  0 correlation u32 │ 4 error u16 │ 6 flags u8 │ 7 reserved │ 8 partition u32 │ 12 base offset u64
 *               20 append time u64 │ 28 error text
 *
 * @see docs/protocol.md section 6
 */
import type { ErrorCode } from '../kernel/errors.ts';
import { ERRORS, SluiceError, errorCodeFromWire } from '../kernel/errors.ts';
import { CONTROL_MAX_BYTES, FRAME, cutText, encodeFrameHeader } from './frame.ts';
import { readSafe64, writeSafe64 } from './offset.ts';

/** Bytes of a PRODUCE payload before the record batch. */
export const PRODUCE_HEAD_BYTES = 12;
/** Bytes of a PRODUCED payload before the error text. */
export const PRODUCED_HEAD_BYTES = 28;

const ANY_PARTITION = 0xffff_ffff;
const FLAG_DUPLICATE = 1;

/** When a publish is answered: 0 never, 1 when the leader has stored it, 2 when all in-sync replicas have. */
export type Acks = 0 | 1 | 2;

/** What a PRODUCE frame says about its batch. */
export interface ProduceHead {
  /** Chosen by the client, u32; comes back in PRODUCED. */
  readonly correlation: number;
  /** Undefined: the broker chooses. */
  readonly partition: number | undefined;
  readonly acks: Acks;
}

/** A PRODUCE frame as it arrived; `batch` is not checked yet. */
export interface ProduceRequest extends ProduceHead {
  /** View of the payload. */
  readonly batch: Buffer;
}

/** The answer to one PRODUCE frame. */
export interface Produced {
  readonly correlation: number;
  /** Undefined: stored. */
  readonly error: ErrorCode | undefined;
  /** For people; empty when stored. */
  readonly message: string;
  /** The batch had been stored before; `baseOffset` is the one it got then. */
  readonly duplicate: boolean;
  readonly partition: number;
  readonly baseOffset: number;
  /** Milliseconds since 1970, where the topic stamps append time; else undefined. */
  readonly appendTimeMs: number | undefined;
}

/**
 * Everything of a PRODUCE frame that comes before its batch; write the batch right after it.
 *
 * @param topic topic name, at most 255 bytes
 * @throws INVALID_TOPIC, FRAME_TOO_LARGE
 */
export function encodeProduceHead(topic: string, head: ProduceHead, batchBytes: number): Buffer {
  const frame = encodeFrameHeader(FRAME.PRODUCE, topic, PRODUCE_HEAD_BYTES + batchBytes, PRODUCE_HEAD_BYTES);
  const at = frame.length - PRODUCE_HEAD_BYTES;
  frame.writeUInt32BE(head.correlation, at);
  frame.writeUInt32BE(head.partition ?? ANY_PARTITION, at + 4);
  frame.writeUInt32BE(head.acks * 0x100_0000, at + 8);
  return frame;
}

/**
 * Reads the payload of a PRODUCE frame.
 *
 * @throws PROTOCOL_ERROR when it is too short, acks is not 0, 1 or 2, or a reserved byte is not 0
 */
export function decodeProduce(payload: Buffer): ProduceRequest {
  if (payload.length < PRODUCE_HEAD_BYTES) {
    throw new SluiceError(
      'PROTOCOL_ERROR',
      `a PRODUCE payload has ${payload.length} bytes; at least ${PRODUCE_HEAD_BYTES}`,
    );
  }
  const word = payload.readUInt32BE(8);
  const acks = word / 0x100_0000;
  if (acks !== 0 && acks !== 1 && acks !== 2) {
    throw new SluiceError(
      'PROTOCOL_ERROR',
      `PRODUCE has 0x${word.toString(16)} where acks (0, 1 or 2) and three zero bytes belong`,
    );
  }
  const partition = payload.readUInt32BE(4);
  return {
    correlation: payload.readUInt32BE(0),
    partition: partition === ANY_PARTITION ? undefined : partition,
    acks,
    batch: payload.subarray(PRODUCE_HEAD_BYTES),
  };
}

/** A whole PRODUCED frame. A text that does not fit a control frame is cut. */
export function encodeProduced(produced: Produced): Buffer {
  const text = cutText(produced.message, CONTROL_MAX_BYTES - PRODUCED_HEAD_BYTES);
  const textBytes = text === '' ? 0 : Buffer.byteLength(text);
  const payloadBytes = PRODUCED_HEAD_BYTES + textBytes;
  const frame = encodeFrameHeader(FRAME.PRODUCED, '', payloadBytes, payloadBytes);
  const at = frame.length - payloadBytes;
  frame.writeUInt32BE(produced.correlation, at);
  frame.writeUInt16BE(produced.error === undefined ? 0 : ERRORS[produced.error].wire, at + 4);
  frame[at + 6] = produced.duplicate ? FLAG_DUPLICATE : 0;
  frame[at + 7] = 0;
  frame.writeUInt32BE(produced.partition, at + 8);
  writeSafe64(frame, produced.baseOffset, at + 12);
  writeSafe64(frame, produced.appendTimeMs ?? 0, at + 20);
  if (textBytes > 0) frame.write(text, at + PRODUCED_HEAD_BYTES, textBytes, 'utf8');
  return frame;
}

/**
 * Reads the payload of a PRODUCED frame. An error number this version does not know is INTERNAL.
 *
 * @throws PROTOCOL_ERROR when it is too short, or an offset or time is above 2^53 − 1
 */
export function decodeProduced(payload: Buffer): Produced {
  if (payload.length < PRODUCED_HEAD_BYTES) {
    throw new SluiceError(
      'PROTOCOL_ERROR',
      `a PRODUCED payload has ${payload.length} bytes; at least ${PRODUCED_HEAD_BYTES}`,
    );
  }
  const error = payload.readUInt16BE(4);
  const baseOffset = readSafe64(payload, 12);
  const appendTimeMs = readSafe64(payload, 20);
  if (baseOffset === undefined || baseOffset < 0 || appendTimeMs === undefined || appendTimeMs < 0) {
    throw new SluiceError(
      'PROTOCOL_ERROR',
      'PRODUCED has an offset or a time that is not between 0 and 2^53 − 1',
    );
  }
  return {
    correlation: payload.readUInt32BE(0),
    error: error === 0 ? undefined : errorCodeFromWire(error),
    message: payload.length === PRODUCED_HEAD_BYTES ? '' : payload.toString('utf8', PRODUCED_HEAD_BYTES),
    duplicate: (payload[6]! & FLAG_DUPLICATE) !== 0,
    partition: payload.readUInt32BE(8),
    baseOffset,
    appendTimeMs: appendTimeMs === 0 ? undefined : appendTimeMs,
  };
}

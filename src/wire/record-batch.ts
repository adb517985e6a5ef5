/**
 * The record batch: Kafka's RecordBatch v2 (magic 2), byte for byte; big endian.
 *
 *      0  8  base offset        stamped by the broker, outside the CRC
 *      8  4  batch length       bytes after this field
 *     12  4  leader epoch       stamped by the broker, outside the CRC
 *     16  1  magic              2
 *     17  4  CRC-32C            of everything from 21 on
 *     21  2  attributes         bits 0–2 codec, 3 append time, 4 transactional, 5 control
 *     23  4  last offset delta
 *     27  8  base timestamp     ms
 *     35  8  max timestamp      ms
 *     43  8  producer id        −1: none
 *     51  2  producer epoch     −1: none
 *     53  4  base sequence      −1: none
 *     57  4  record count
 *     61     records, one compressed block when a codec is set
 *
 * @see docs/protocol.md section 6; Kafka's DefaultRecordBatch
 */
import { crc32c } from '@node-rs/crc32';
import { SluiceError } from '../kernel/errors.ts';
import type { Codec } from './codecs.ts';
import { CODECS, INFLATED_MAX_BYTES, codecFromAttributes } from './codecs.ts';
import { readSafe64, writeSafe64 } from './offset.ts';

/** Where each field of the header begins. */
export const BATCH_FIELD = {
  BASE_OFFSET: 0,
  LENGTH: 8,
  LEADER_EPOCH: 12,
  MAGIC: 16,
  CRC: 17,
  ATTRIBUTES: 21,
  LAST_OFFSET_DELTA: 23,
  BASE_TIMESTAMP: 27,
  MAX_TIMESTAMP: 35,
  PRODUCER_ID: 43,
  PRODUCER_EPOCH: 51,
  BASE_SEQUENCE: 53,
  RECORD_COUNT: 57,
} as const;

/** Bytes of a batch before its records. */
export const BATCH_HEADER_BYTES = 61;
/** Bytes that the batch length does not count: base offset and the length itself. */
const LENGTH_EXCLUDES_BYTES = 12;
const MAGIC = 2;
/**
 * Records of a batch that a broker takes: whoever looks for keys in it, or unpacks it, does so without a pause. A few kilobytes may
 * inflate to millions.
 */
export const BATCH_MAX_RECORDS = 2 ** 16;
/** Length, attributes, two deltas, key length, value length, header count: one byte each. */
const RECORD_MIN_BYTES = 7;

/** Value of producer id, producer epoch and base sequence of a batch whose producer is not idempotent. */
export const NO_PRODUCER = -1;

const ATTRIBUTE = { APPEND_TIME: 1 << 3, TRANSACTIONAL: 1 << 4, CONTROL: 1 << 5 } as const;

/** The header of a batch. Times are milliseconds since 1970. */
export interface BatchHeader {
  readonly baseOffset: number;
  /** Size of the whole batch, header included. */
  readonly batchBytes: number;
  readonly leaderEpoch: number;
  readonly crc: number;
  readonly attributes: number;
  readonly codec: Codec;
  /** The broker set the time of all records, which is `maxTimestampMs`. */
  readonly appendTime: boolean;
  readonly lastOffsetDelta: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/** Bounds of {@link verifyBatch}, bytes. */
export interface BatchLimits {
  readonly batchMaxBytes: number;
  /** What a reader inflates at most; bounds how many records a compressed batch can claim. Default 16 MiB. */
  readonly inflatedMaxBytes?: number;
}

/**
 * Reads all fields of a header. `bytes` may go on after the batch; nothing but the header is looked at.
 *
 * @throws CORRUPT_BATCH when `bytes` are shorter than a header, the magic is not 2, or a field has a value that cannot be;
 *   UNKNOWN_CODEC
 */
export function readBatchHeader(bytes: Buffer): BatchHeader {
  if (bytes.length < BATCH_HEADER_BYTES) throw corrupt(`${bytes.length} bytes are too few for a header`);
  const magic = bytes[BATCH_FIELD.MAGIC]!;
  if (magic !== MAGIC) throw corrupt(`magic ${magic} and not ${MAGIC}`);
  const attributes = bytes.readUInt16BE(BATCH_FIELD.ATTRIBUTES);
  const header: BatchHeader = {
    baseOffset: batchBaseOffset(bytes),
    batchBytes: batchBytes(bytes),
    leaderEpoch: batchLeaderEpoch(bytes),
    crc: bytes.readUInt32BE(BATCH_FIELD.CRC),
    attributes,
    codec: codecFromAttributes(attributes),
    appendTime: (attributes & ATTRIBUTE.APPEND_TIME) !== 0,
    lastOffsetDelta: batchLastOffsetDelta(bytes),
    baseTimestampMs: batchBaseTimestamp(bytes),
    maxTimestampMs: batchMaxTimestamp(bytes),
    producerId: batchProducerId(bytes),
    producerEpoch: batchProducerEpoch(bytes),
    baseSequence: batchBaseSequence(bytes),
    recordCount: batchRecordCount(bytes),
  };
  if (
    header.lastOffsetDelta < 0 ||
    header.recordCount < 0 ||
    header.recordCount > header.lastOffsetDelta + 1
  ) {
    throw corrupt(`${header.recordCount} records and a last offset delta of ${header.lastOffsetDelta}`);
  }
  if (header.baseOffset < 0 || header.baseOffset + header.lastOffsetDelta >= Number.MAX_SAFE_INTEGER) {
    throw corrupt(`base offset ${header.baseOffset} is out of range`);
  }
  return header;
}

/** First offset of the batch. @throws CORRUPT_BATCH when it is not a safe integer */
export function batchBaseOffset(bytes: Buffer): number {
  return read64(bytes, BATCH_FIELD.BASE_OFFSET, 'base offset');
}

/** Size of the whole batch as its header says, header included. */
export function batchBytes(bytes: Buffer): number {
  return bytes.readInt32BE(BATCH_FIELD.LENGTH) + LENGTH_EXCLUDES_BYTES;
}

/** Epoch of the leader that stamped the batch. */
export function batchLeaderEpoch(bytes: Buffer): number {
  return bytes.readInt32BE(BATCH_FIELD.LEADER_EPOCH);
}

/** Offset of the batch's last record, less the base offset. Also counts records that were filtered out. */
export function batchLastOffsetDelta(bytes: Buffer): number {
  return bytes.readInt32BE(BATCH_FIELD.LAST_OFFSET_DELTA);
}

/** The offset after the batch. @throws CORRUPT_BATCH when the base offset is not a safe integer */
export function batchNextOffset(bytes: Buffer): number {
  return batchBaseOffset(bytes) + batchLastOffsetDelta(bytes) + 1;
}

/** Records in the batch; may be 0. */
export function batchRecordCount(bytes: Buffer): number {
  return bytes.readInt32BE(BATCH_FIELD.RECORD_COUNT);
}

/** Milliseconds since 1970 that the records' timestamp deltas count from. @throws CORRUPT_BATCH when not a safe integer */
export function batchBaseTimestamp(bytes: Buffer): number {
  return read64(bytes, BATCH_FIELD.BASE_TIMESTAMP, 'base timestamp');
}

/** Latest record time, milliseconds since 1970. @throws CORRUPT_BATCH when not a safe integer */
export function batchMaxTimestamp(bytes: Buffer): number {
  return read64(bytes, BATCH_FIELD.MAX_TIMESTAMP, 'max timestamp');
}

/** Id of the idempotent producer, −1 for none. @throws CORRUPT_BATCH when not a safe integer */
export function batchProducerId(bytes: Buffer): number {
  return read64(bytes, BATCH_FIELD.PRODUCER_ID, 'producer id');
}

/** Epoch of the idempotent producer, −1 for none. */
export function batchProducerEpoch(bytes: Buffer): number {
  return bytes.readInt16BE(BATCH_FIELD.PRODUCER_EPOCH);
}

/** Sequence of the first record, −1 for none. */
export function batchBaseSequence(bytes: Buffer): number {
  return bytes.readInt32BE(BATCH_FIELD.BASE_SEQUENCE);
}

/** Compression of the records. @throws UNKNOWN_CODEC */
export function batchCodec(bytes: Buffer): Codec {
  return codecFromAttributes(bytes.readUInt16BE(BATCH_FIELD.ATTRIBUTES));
}

/**
 * Checks that `bytes` are exactly one batch with a plausible header, whose fields can be relied upon until {@link checkBatch} looks at all of it.
 *
 * @throws CORRUPT_BATCH, UNKNOWN_CODEC
 */
export function checkBatchHeader(bytes: Buffer): BatchHeader {
  const header = readBatchHeader(bytes);
  if (header.batchBytes !== bytes.length)
    throw corrupt(`${bytes.length} bytes with a length of ${header.batchBytes}`);
  return header;
}

/**
 * Checks that `bytes` are exactly one batch with a plausible header and the right CRC. Does not look at records.
 *
 * This is for batches from a log or a broker, which may have holes or be empty; {@link verifyBatch} is for those from clients.
 *
 * @throws CORRUPT_BATCH, UNKNOWN_CODEC
 */
export function checkBatch(bytes: Buffer): BatchHeader {
  const header = checkBatchHeader(bytes);
  const actual = batchCrc(bytes);
  if (actual !== header.crc) throw corrupt(`CRC ${hex(actual)} and not ${hex(header.crc)}`);
  return header;
}

/**
 * The broker's gate for batches from clients: header and CRC, no work per record (that is {@link checkBatch} and what only a
 * producer has to keep to). The records themselves may still be nonsense; whoever decodes them finds out.
 *
 * @throws BATCH_TOO_LARGE when longer than `batchMaxBytes`, or of more than {@link BATCH_MAX_RECORDS}; CORRUPT_BATCH when length, magic, CRC, record count or producer
 *   fields are wrong; UNKNOWN_CODEC; UNSUPPORTED for transactional and control batches
 */
export function verifyBatch(bytes: Buffer, limits: BatchLimits): BatchHeader {
  if (bytes.length > limits.batchMaxBytes) {
    throw new SluiceError(
      'BATCH_TOO_LARGE',
      `a batch of ${bytes.length} bytes; at most ${limits.batchMaxBytes}`,
    );
  }
  const header = checkBatch(bytes);
  verifyAttributes(header.attributes);
  verifyCount(header, limits.inflatedMaxBytes ?? INFLATED_MAX_BYTES);
  if (header.producerId < NO_PRODUCER) throw corrupt(`producer id ${header.producerId}`);
  if (header.producerId !== NO_PRODUCER && (header.producerEpoch < 0 || header.baseSequence < 0)) {
    throw corrupt(
      `producer ${header.producerId} with epoch ${header.producerEpoch} and sequence ${header.baseSequence}`,
    );
  }
  return header;
}

/**
 * Writes what the broker decides into a verified batch, in place.
 *
 * Base offset and leader epoch lie outside the CRC. An append time replaces the records' own times, so it changes attributes
 * and max timestamp, and the CRC is computed anew.
 *
 * @param bytes a batch that {@link verifyBatch} accepted and that nobody else reads yet
 * @param appendTimeMs milliseconds since 1970; left out where the topic keeps the producer's times
 * @throws OFFSET_OUT_OF_RANGE when the batch would reach beyond 2^53 − 1
 */
export function stampBatch(
  bytes: Buffer,
  baseOffset: number,
  leaderEpoch: number,
  appendTimeMs?: number,
): void {
  if (baseOffset + batchLastOffsetDelta(bytes) >= Number.MAX_SAFE_INTEGER) {
    throw new SluiceError('OFFSET_OUT_OF_RANGE', `no offsets are left after ${baseOffset}`);
  }
  writeSafe64(bytes, baseOffset, BATCH_FIELD.BASE_OFFSET);
  bytes.writeInt32BE(leaderEpoch, BATCH_FIELD.LEADER_EPOCH);
  if (appendTimeMs === undefined) return;
  const attributes = bytes.readUInt16BE(BATCH_FIELD.ATTRIBUTES);
  bytes.writeUInt16BE(attributes | ATTRIBUTE.APPEND_TIME, BATCH_FIELD.ATTRIBUTES);
  writeSafe64(bytes, appendTimeMs, BATCH_FIELD.MAX_TIMESTAMP);
  writeCrc(bytes);
}

/** Who made an idempotent batch, and its place among that producer's batches of the partition. */
export interface BatchProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/**
 * Gives a batch that is not sent yet another producer or sequence, in place, and computes the CRC anew.
 *
 * @param bytes one whole batch that nobody else reads
 */
export function stampProducer(bytes: Buffer, producer: BatchProducer): void {
  writeSafe64(bytes, producer.producerId, BATCH_FIELD.PRODUCER_ID);
  bytes.writeInt16BE(producer.producerEpoch, BATCH_FIELD.PRODUCER_EPOCH);
  bytes.writeInt32BE(producer.baseSequence, BATCH_FIELD.BASE_SEQUENCE);
  writeCrc(bytes);
}

/** The fields of a header that a writer chooses; length, magic and CRC follow from the bytes. */
export type NewBatchHeader = Omit<BatchHeader, 'batchBytes' | 'crc' | 'attributes'>;

/**
 * Writes a header over the first 61 bytes of `bytes`, which already hold the (compressed) records after it.
 *
 * @throws BATCH_TOO_LARGE when `bytes` are longer than a batch can be (2 GiB)
 */
export function writeBatchHeader(bytes: Buffer, header: NewBatchHeader): void {
  if (bytes.length > 0x7fff_ffff)
    throw new SluiceError('BATCH_TOO_LARGE', `${bytes.length} bytes do not fit a batch`);
  writeSafe64(bytes, header.baseOffset, BATCH_FIELD.BASE_OFFSET);
  bytes.writeInt32BE(bytes.length - LENGTH_EXCLUDES_BYTES, BATCH_FIELD.LENGTH);
  bytes.writeInt32BE(header.leaderEpoch, BATCH_FIELD.LEADER_EPOCH);
  bytes[BATCH_FIELD.MAGIC] = MAGIC;
  const attributes = CODECS[header.codec] | (header.appendTime ? ATTRIBUTE.APPEND_TIME : 0);
  bytes.writeUInt16BE(attributes, BATCH_FIELD.ATTRIBUTES);
  bytes.writeInt32BE(header.lastOffsetDelta, BATCH_FIELD.LAST_OFFSET_DELTA);
  writeSafe64(bytes, header.baseTimestampMs, BATCH_FIELD.BASE_TIMESTAMP);
  writeSafe64(bytes, header.maxTimestampMs, BATCH_FIELD.MAX_TIMESTAMP);
  writeSafe64(bytes, header.producerId, BATCH_FIELD.PRODUCER_ID);
  bytes.writeInt16BE(header.producerEpoch, BATCH_FIELD.PRODUCER_EPOCH);
  bytes.writeInt32BE(header.baseSequence, BATCH_FIELD.BASE_SEQUENCE);
  bytes.writeInt32BE(header.recordCount, BATCH_FIELD.RECORD_COUNT);
  writeCrc(bytes);
}

/** A CORRUPT_BATCH error. */
export function corrupt(what: string): SluiceError {
  return new SluiceError('CORRUPT_BATCH', `corrupt record batch: ${what}`);
}

function verifyAttributes(attributes: number): void {
  if ((attributes & (ATTRIBUTE.TRANSACTIONAL | ATTRIBUTE.CONTROL)) !== 0) {
    throw new SluiceError('UNSUPPORTED', 'transactional and control batches are not supported');
  }
  if ((attributes & ~7) !== 0) throw corrupt(`attributes 0x${attributes.toString(16)} from a producer`);
}

/** A claimed count uses up offsets: it must be one that the bytes could hold. */
function verifyCount(header: BatchHeader, inflatedMaxBytes: number): void {
  const { recordCount, lastOffsetDelta } = header;
  if (recordCount < 1) throw corrupt('no records');
  if (recordCount > BATCH_MAX_RECORDS) {
    throw new SluiceError(
      'BATCH_TOO_LARGE',
      `${recordCount} records; at most ${BATCH_MAX_RECORDS} in a batch`,
    );
  }
  if (lastOffsetDelta !== recordCount - 1) {
    throw corrupt(`${recordCount} records and a last offset delta of ${lastOffsetDelta}`);
  }
  const recordsBytes = header.codec === 'none' ? header.batchBytes - BATCH_HEADER_BYTES : inflatedMaxBytes;
  if (recordCount * RECORD_MIN_BYTES > recordsBytes) throw corrupt(`${recordCount} records cannot fit`);
}

function read64(bytes: Buffer, at: number, field: string): number {
  const value = readSafe64(bytes, at);
  if (value === undefined) throw corrupt(`${field} is beyond 2^53 − 1`);
  return value;
}

function batchCrc(bytes: Buffer): number {
  return crc32c(bytes.subarray(BATCH_FIELD.ATTRIBUTES));
}

function writeCrc(bytes: Buffer): void {
  bytes.writeUInt32BE(batchCrc(bytes), BATCH_FIELD.CRC);
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

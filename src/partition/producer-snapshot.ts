/**
 * What a partition remembers of idempotent producers, as it is kept beside a log on disk; big endian.
 *
 *      0  2  version             1
 *      2  4  producers           the longest quiet first
 *      6     producers, one behind the other:
 *
 *      0  8  producer id
 *      8  2  producer epoch
 *     10  4  next sequence
 *     14  8  last append         ms since 1970
 *     22  1  batches             0 to 5, the oldest first
 *     23     batches, one behind the other:
 *
 *      0  4  base sequence
 *      4  4  record count
 *      8  8  base offset
 *     16  8  append time         ms since 1970; 0 where the topic does not stamp it
 *
 * There is no checksum: the file that it is put into has one.
 */
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import { readSafe64, writeSafe64 } from '../wire/offset.ts';

const VERSION = 1;
const HEADER_BYTES = 6;
const PRODUCER_BYTES = 23;
const BATCH_BYTES = 24;

/** Batches that are remembered of each producer. */
export const REMEMBERED_BATCHES = 5;

/** Where a remembered batch was stored. */
export interface StoredBatch {
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly baseOffset: number;
  readonly appendTimeMs: number;
}

/** One producer. */
export interface ProducerState {
  readonly id: number;
  readonly epoch: number;
  readonly nextSequence: number;
  /** Milliseconds since 1970. */
  readonly lastAppendMs: number;
  /** Oldest first, at most {@link REMEMBERED_BATCHES}. */
  readonly batches: readonly StoredBatch[];
}

/** A fresh buffer with all producers, in their order. */
export function encodeProducers(producers: readonly ProducerState[]): Buffer {
  const batches = producers.reduce((sum, producer) => sum + producer.batches.length, 0);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + producers.length * PRODUCER_BYTES + batches * BATCH_BYTES);
  bytes.writeUInt16BE(VERSION, 0);
  bytes.writeUInt32BE(producers.length, 2);
  let at = HEADER_BYTES;
  for (const producer of producers) {
    writeSafe64(bytes, producer.id, at);
    bytes.writeInt16BE(producer.epoch, at + 8);
    bytes.writeUInt32BE(producer.nextSequence, at + 10);
    writeSafe64(bytes, Math.round(producer.lastAppendMs), at + 14);
    bytes[at + 22] = producer.batches.length;
    at += PRODUCER_BYTES;
    for (const batch of producer.batches) {
      bytes.writeUInt32BE(batch.baseSequence, at);
      bytes.writeUInt32BE(batch.recordCount, at + 4);
      writeSafe64(bytes, batch.baseOffset, at + 8);
      writeSafe64(bytes, batch.appendTimeMs, at + 16);
      at += BATCH_BYTES;
    }
  }
  return bytes;
}

/** Reads what {@link encodeProducers} wrote. @throws STORAGE_FAILED when `bytes` are anything else */
export function decodeProducers(bytes: Buffer): ProducerState[] {
  try {
    return readProducers(bytes);
  } catch (error) {
    throw asSluiceError(error, 'STORAGE_FAILED');
  }
}

function readProducers(bytes: Buffer): ProducerState[] {
  const version = bytes.readUInt16BE(0);
  if (version !== VERSION) throw notUnderstood(`version ${version}`);
  const count = bytes.readUInt32BE(2);
  const producers: ProducerState[] = [];
  let at = HEADER_BYTES;
  while (producers.length < count) {
    const batches: StoredBatch[] = [];
    const batchCount = bytes.readUInt8(at + 22);
    if (batchCount > REMEMBERED_BATCHES) throw notUnderstood(`${batchCount} batches of one producer`);
    const batchesEnd = at + PRODUCER_BYTES + batchCount * BATCH_BYTES;
    for (let batch = at + PRODUCER_BYTES; batch < batchesEnd; batch += BATCH_BYTES) {
      batches.push({
        baseSequence: bytes.readUInt32BE(batch),
        recordCount: bytes.readUInt32BE(batch + 4),
        baseOffset: number64(bytes, batch + 8),
        appendTimeMs: number64(bytes, batch + 16),
      });
    }
    producers.push({
      id: number64(bytes, at),
      epoch: bytes.readInt16BE(at + 8),
      nextSequence: bytes.readUInt32BE(at + 10),
      lastAppendMs: number64(bytes, at + 14),
      batches,
    });
    at = batchesEnd;
  }
  if (at !== bytes.length) throw notUnderstood(`${bytes.length} bytes where ${at} are expected`);
  return producers;
}

function number64(bytes: Buffer, at: number): number {
  const value = readSafe64(bytes, at);
  if (value === undefined) throw notUnderstood('a number beyond 2^53 − 1');
  return value;
}

function notUnderstood(why: string): SluiceError {
  return new SluiceError('STORAGE_FAILED', `the snapshot of producers is not understood: ${why}`);
}

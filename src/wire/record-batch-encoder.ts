import { SluiceError } from '../kernel/errors.ts';
import type { Codec } from './codecs.ts';
import { compressRecords } from './codecs.ts';
import type { NewBatchHeader } from './record-batch.ts';
import { BATCH_HEADER_BYTES, NO_PRODUCER, writeBatchHeader } from './record-batch.ts';
import { VARINT_MAX_BYTES, VARLONG_MAX_BYTES, varintBytes, writeVarint } from './varint.ts';

/** A header of a record to be written. Keys may repeat. */
export interface HeaderInput {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** What {@link RecordBatchEncoder.finish} puts into the header. */
export interface FinishOptions {
  readonly codec: Codec;
  /** Id, epoch and sequence of an idempotent producer; left out: none. */
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
}

const FIRST_CAPACITY_BYTES = 64 * 1024;
/** A buffer that one large record has blown up beyond this is given back after the batch. */
const KEPT_CAPACITY_BYTES = 4 * 1024 * 1024;
const RECORDS_MAX_BYTES = 0x7fff_ffff - BATCH_HEADER_BYTES;
const NO_HEADERS: readonly HeaderInput[] = [];
/** Length, attributes, timestamp delta, offset delta, key length, value length, header count, each at its longest. */
const RECORD_OVERHEAD_MAX_BYTES = 1 + VARLONG_MAX_BYTES + 5 * VARINT_MAX_BYTES;

/**
 * Upper bound of what a record adds to a batch, bytes. Tells before `append` whether a record still fits.
 */
export function recordBytesAtMost(
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: readonly HeaderInput[] = NO_HEADERS,
): number {
  let bytes = RECORD_OVERHEAD_MAX_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) {
    bytes += 2 * VARINT_MAX_BYTES + Buffer.byteLength(header.key) + (header.value?.length ?? 0);
  }
  return bytes;
}

/**
 * Gathers records into one batch. The buffer is kept from batch to batch; what `finish` returns is fresh.
 */
export class RecordBatchEncoder {
  #buffer: Buffer = Buffer.allocUnsafeSlow(FIRST_CAPACITY_BYTES);
  #end = BATCH_HEADER_BYTES;
  #count = 0;
  #baseTimestampMs = 0;
  #maxTimestampMs = 0;

  /** Size of the batch so far before compression, header included. */
  get sizeBytes(): number {
    return this.#end;
  }

  /** Records so far. */
  get count(): number {
    return this.#count;
  }

  /**
   * Adds a record; its bytes are copied.
   *
   * @param headers in order; keys may repeat
   * @param timestampMs milliseconds since 1970, a whole number
   * @throws INVALID_ARGUMENT when the time is not a whole number or too far from the batch's first; BATCH_TOO_LARGE when the
   *   batch would not fit its 31-bit length. The batch is unchanged then
   */
  append(
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly HeaderInput[],
    timestampMs: number,
  ): void {
    const first = this.#count === 0;
    const timestampDelta = first ? 0 : timestampMs - this.#baseTimestampMs;
    if (!Number.isSafeInteger(timestampMs) || !Number.isSafeInteger(timestampDelta)) {
      throw new SluiceError('INVALID_ARGUMENT', `${timestampMs} is not a record time in whole milliseconds`);
    }
    const bodyBytes =
      1 +
      varintBytes(timestampDelta) +
      varintBytes(this.#count) +
      sizedBytes(key) +
      sizedBytes(value) +
      (headers.length === 0 ? 1 : headersBytes(headers));
    this.#reserve(VARINT_MAX_BYTES + bodyBytes);
    const buffer = this.#buffer;
    let at = writeVarint(buffer, bodyBytes, this.#end);
    buffer[at++] = 0;
    at = writeVarint(buffer, timestampDelta, at);
    at = writeVarint(buffer, this.#count, at);
    at = writeSized(buffer, key, at);
    at = writeSized(buffer, value, at);
    if (headers.length === 0) buffer[at++] = 0;
    else at = writeHeaders(buffer, headers, at);
    this.#end = at;
    this.#count++;
    if (first) this.#baseTimestampMs = timestampMs;
    if (first || timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs;
  }

  /**
   * The batch, with base offset 0 and leader epoch −1 for the broker to stamp. The encoder is empty afterwards.
   *
   * @returns a fresh buffer of its exact size, the caller's own
   * @throws INVALID_ARGUMENT when there are no records
   */
  finish(options: FinishOptions): Buffer {
    if (this.#count === 0) throw new SluiceError('INVALID_ARGUMENT', 'a batch needs at least one record');
    const records = compressRecords(options.codec, this.#buffer.subarray(BATCH_HEADER_BYTES, this.#end));
    // Memory of its own: batches stay in logs for long, and a piece of the pool would pin the whole slab.
    const batch = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + records.length);
    batch.set(records, BATCH_HEADER_BYTES);
    const header: NewBatchHeader = {
      baseOffset: 0,
      leaderEpoch: -1,
      codec: options.codec,
      appendTime: false,
      lastOffsetDelta: this.#count - 1,
      baseTimestampMs: this.#baseTimestampMs,
      maxTimestampMs: this.#maxTimestampMs,
      producerId: options.producerId ?? NO_PRODUCER,
      producerEpoch: options.producerEpoch ?? NO_PRODUCER,
      baseSequence: options.baseSequence ?? NO_PRODUCER,
      recordCount: this.#count,
    };
    writeBatchHeader(batch, header);
    this.clear();
    return batch;
  }

  /** Throws the records gathered so far away. */
  clear(): void {
    this.#end = BATCH_HEADER_BYTES;
    this.#count = 0;
    if (this.#buffer.length > KEPT_CAPACITY_BYTES)
      this.#buffer = Buffer.allocUnsafeSlow(FIRST_CAPACITY_BYTES);
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#buffer.length) return;
    if (needed > RECORDS_MAX_BYTES)
      throw new SluiceError('BATCH_TOO_LARGE', `a batch of ${needed} bytes does not fit its length`);
    const grown = Buffer.allocUnsafeSlow(
      Math.min(RECORDS_MAX_BYTES, Math.max(needed, this.#buffer.length * 2)),
    );
    grown.set(this.#buffer.subarray(0, this.#end));
    this.#buffer = grown;
  }
}

function sizedBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintBytes(bytes.length) + bytes.length;
}

function writeSized(buffer: Buffer, bytes: Uint8Array | null, at: number): number {
  if (bytes === null) {
    buffer[at] = 1;
    return at + 1;
  }
  const start = writeVarint(buffer, bytes.length, at);
  buffer.set(bytes, start);
  return start + bytes.length;
}

function headersBytes(headers: readonly HeaderInput[]): number {
  let bytes = varintBytes(headers.length);
  for (const header of headers) {
    const keyBytes = Buffer.byteLength(header.key);
    bytes += varintBytes(keyBytes) + keyBytes + sizedBytes(header.value);
  }
  return bytes;
}

function writeHeaders(buffer: Buffer, headers: readonly HeaderInput[], from: number): number {
  let at = writeVarint(buffer, headers.length, from);
  for (const header of headers) {
    const keyBytes = Buffer.byteLength(header.key);
    at = writeVarint(buffer, keyBytes, at);
    at += buffer.write(header.key, at, keyBytes, 'utf8');
    at = writeSized(buffer, header.value, at);
  }
  return at;
}

/**
 * Walks the records of a batch (already inflated) without making an object for each.
 *
 *     length varint │ attributes i8 │ timestamp delta varlong │ offset delta varint │ key length varint, key
 *     value length varint, value │ header count varint │ per header: key length varint, key, value length varint, value
 *
 * A length of −1 is null. Everything is checked against what is left of the record, and the record against what is left of the
 * batch, before it is used.
 */
import { isUtf8 } from 'node:buffer';
import type { BatchHeader } from './record-batch.ts';
import { corrupt } from './record-batch.ts';
import { VARINT_MAX_BYTES, VARLONG_MAX_BYTES } from './varint.ts';

/** A header of a record. */
export interface Header {
  readonly key: string;
  readonly value: Buffer | null;
}

/** A record as it lies in its batch. `key`, `value` and header values are views of the batch's bytes: read-only. */
export interface WireRecord {
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Header[];
}

const RECORD_MAX = 0x7fff_ffff;

/**
 * The position in a batch; after each `next()` that returned true it *is* the record it stands on. Keep nothing of it but what
 * its fields gave, or take a {@link record} of its own.
 */
export class RecordCursor implements WireRecord {
  readonly #bytes: Buffer;
  readonly #header: BatchHeader;
  #at = 0;
  #index = 0;
  #lastDelta = -1;
  #offsetDelta = 0;
  #timestampMs = 0;
  #start = 0;
  #keyAt = 0;
  #keyBytes = -1;
  #valueAt = 0;
  #valueBytes = -1;
  #headersAt = 0;
  #headerCount = 0;

  /**
   * @param header header of the batch
   * @param records its inflated records
   */
  constructor(header: BatchHeader, records: Buffer) {
    this.#header = header;
    this.#bytes = records;
  }

  /**
   * Moves to the next record. All of it is checked, headers included.
   *
   * @returns false after the last record
   * @throws CORRUPT_BATCH
   */
  next(): boolean {
    const bytes = this.#bytes;
    if (this.#index === this.#header.recordCount) {
      if (this.#at !== bytes.length) throw corrupt(`${bytes.length - this.#at} bytes after the last record`);
      return false;
    }
    this.#start = this.#at;
    const length = this.#readVarint();
    const end = this.#at + length;
    if (length < 0 || end > bytes.length)
      throw corrupt(`a record of ${length} bytes where ${bytes.length - this.#at} are left`);
    this.#at++;
    this.#takeTime(this.#readLong(VARLONG_MAX_BYTES));
    this.#takeOffset(this.#readVarint());
    this.#keyBytes = this.#readLength(end);
    this.#keyAt = this.#at;
    if (this.#keyBytes > 0) this.#at += this.#keyBytes;
    this.#valueBytes = this.#readLength(end);
    this.#valueAt = this.#at;
    if (this.#valueBytes > 0) this.#at += this.#valueBytes;
    this.#walkHeaders(end);
    if (this.#at !== end)
      throw corrupt(`a record of ${end - this.#start} bytes holds ${this.#at - this.#start}`);
    this.#index++;
    return true;
  }

  /** The record as an object of its own, which stays valid; its fields are still made when asked for. */
  record(): WireRecord {
    return new LazyRecord(
      this.#bytes,
      this.offset,
      this.#timestampMs,
      this.#keyAt,
      this.#keyBytes,
      this.#valueAt,
      this.#valueBytes,
      this.#headersAt,
      this.#headerCount,
    );
  }

  get offset(): number {
    return this.#header.baseOffset + this.#offsetDelta;
  }

  get timestampMs(): number {
    return this.#timestampMs;
  }

  get key(): Buffer | null {
    return view(this.#bytes, this.#keyAt, this.#keyBytes);
  }

  get value(): Buffer | null {
    return view(this.#bytes, this.#valueAt, this.#valueBytes);
  }

  get headers(): Header[] {
    return readHeaders(this.#bytes, this.#headersAt, this.#headerCount);
  }

  /** The inflated records, which {@link startAt} and {@link endAt} point into. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Offset of the record less the batch's base offset. */
  get offsetDelta(): number {
    return this.#offsetDelta;
  }

  /** Where the key begins in the inflated records; means nothing when it is null. */
  get keyAt(): number {
    return this.#keyAt;
  }

  /** Size of the key, −1 for null. */
  get keyBytes(): number {
    return this.#keyBytes;
  }

  /** Size of the value, −1 for null. */
  get valueBytes(): number {
    return this.#valueBytes;
  }

  /** Where the record begins in the inflated records. */
  get startAt(): number {
    return this.#start;
  }

  /** Where it ends, exclusive. */
  get endAt(): number {
    return this.#at;
  }

  #takeTime(delta: number): void {
    const header = this.#header;
    const timestampMs = header.appendTime ? header.maxTimestampMs : header.baseTimestampMs + delta;
    if (!Number.isSafeInteger(timestampMs)) throw corrupt('a record time is beyond 2^53 − 1');
    this.#timestampMs = timestampMs;
  }

  /** Deltas rise, with holes where records were left out, and end at the last offset delta. */
  #takeOffset(delta: number): void {
    if (delta <= this.#lastDelta || delta > this.#header.lastOffsetDelta) {
      throw corrupt(`offset delta ${delta} after ${this.#lastDelta} of ${this.#header.lastOffsetDelta}`);
    }
    this.#lastDelta = delta;
    this.#offsetDelta = delta;
  }

  /** A length that fits what is left until `end`, or −1. */
  #readLength(end: number): number {
    const length = this.#readVarint();
    if (length < -1 || length > end - this.#at)
      throw corrupt(`a length of ${length} where ${end - this.#at} bytes are left`);
    return length;
  }

  #walkHeaders(end: number): void {
    const count = this.#readVarint();
    this.#headersAt = this.#at;
    this.#headerCount = count;
    if (count === 0) return;
    // Each header takes two bytes at least.
    if (count < 0 || count * 2 > end - this.#at) throw corrupt(`${count} headers in ${end - this.#at} bytes`);
    for (let i = 0; i < count; i++) {
      const keyBytes = this.#readLength(end);
      if (keyBytes < 0) throw corrupt('a header without key');
      this.#takeHeaderKey(this.#at + keyBytes);
      const valueBytes = this.#readLength(end);
      if (valueBytes > 0) this.#at += valueBytes;
    }
  }

  #takeHeaderKey(end: number): void {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    while (at < end && bytes[at]! < 0x80) at++;
    if (at < end && !isUtf8(bytes.subarray(start, end))) throw corrupt('a header key is not UTF-8');
    this.#at = end;
  }

  /** One and two bytes, which is nearly all there are, are read right here. Beyond the end, bytes are undefined and fall through. */
  #readVarint(): number {
    const bytes = this.#bytes;
    const at = this.#at;
    const low = bytes[at]!;
    if (low < 0x80) {
      this.#at = at + 1;
      return (low >>> 1) ^ -(low & 1);
    }
    const high = bytes[at + 1]!;
    if (high < 0x80) {
      this.#at = at + 2;
      const zigzag = (low & 0x7f) | (high << 7);
      return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    const value = this.#readLong(VARINT_MAX_BYTES);
    if (value > RECORD_MAX || value < -RECORD_MAX - 1) throw corrupt('a varint is beyond 32 bits');
    return value;
  }

  #readLong(maxBytes: number): number {
    const bytes = this.#bytes;
    const first = this.#at < bytes.length ? bytes[this.#at++]! : -1;
    if (first < 0) throw corrupt('a varint is cut off');
    let magnitude = (first & 0x7f) >>> 1;
    let last = first;
    for (let read = 1, unit = 64; last >= 0x80; read++, unit *= 128) {
      if (read === maxBytes) throw corrupt(`a varint has more than ${maxBytes} bytes`);
      if (this.#at >= bytes.length) throw corrupt('a varint is cut off');
      last = bytes[this.#at++]!;
      magnitude += (last & 0x7f) * unit;
    }
    if (magnitude >= Number.MAX_SAFE_INTEGER) throw corrupt('a varint is beyond 2^53 − 1');
    return (first & 1) === 0 ? magnitude : -magnitude - 1;
  }
}

class LazyRecord implements WireRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly #bytes: Buffer;
  readonly #keyAt: number;
  readonly #keyBytes: number;
  readonly #valueAt: number;
  readonly #valueBytes: number;
  readonly #headersAt: number;
  readonly #headerCount: number;

  constructor(
    bytes: Buffer,
    offset: number,
    timestampMs: number,
    keyAt: number,
    keyBytes: number,
    valueAt: number,
    valueBytes: number,
    headersAt: number,
    headerCount: number,
  ) {
    this.#bytes = bytes;
    this.offset = offset;
    this.timestampMs = timestampMs;
    this.#keyAt = keyAt;
    this.#keyBytes = keyBytes;
    this.#valueAt = valueAt;
    this.#valueBytes = valueBytes;
    this.#headersAt = headersAt;
    this.#headerCount = headerCount;
  }

  get key(): Buffer | null {
    return view(this.#bytes, this.#keyAt, this.#keyBytes);
  }

  get value(): Buffer | null {
    return view(this.#bytes, this.#valueAt, this.#valueBytes);
  }

  get headers(): Header[] {
    return readHeaders(this.#bytes, this.#headersAt, this.#headerCount);
  }
}

function view(bytes: Buffer, at: number, length: number): Buffer | null {
  return length < 0 ? null : bytes.subarray(at, at + length);
}

/** Headers that a cursor has walked over before, so that their lengths are known to be good. */
function readHeaders(bytes: Buffer, from: number, count: number): Header[] {
  const headers: Header[] = [];
  let at = from;
  const readLength = (): number => {
    let zigzag = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      zigzag |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1);
    }
  };
  for (let i = 0; i < count; i++) {
    const keyBytes = readLength();
    const key = bytes.toString('utf8', at, at + keyBytes);
    at += keyBytes;
    const valueBytes = readLength();
    headers.push({ key, value: view(bytes, at, valueBytes) });
    if (valueBytes > 0) at += valueBytes;
  }
  return headers;
}

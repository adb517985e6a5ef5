/**
 * The index of a segment, for offsets and for times: one entry for every 32 KiB or so.
 *
 *      0  4  magic               "SLIX"
 *      4  4  version             1
 *      8  8  base offset         of the segment
 *     16  8  next offset         behind the last batch
 *     24  8  bytes               of the segment file
 *     32  8  largest timestamp   of any record, ms
 *     40  8  first append        ms since 1970, of the broker's clock
 *     48  8  last append         ms
 *     56  4  number of entries
 *     60     entries of 24 bytes
 *            0  4  offset        of the batch at `position`, less the base offset
 *            4  4  position      where that batch begins, bytes
 *            8  8  largest timestamp of all batches before the next entry
 *           16  8  append time   of the batch at `position`
 *      …  4  CRC-32C             of everything before
 *
 * Big endian; times and offsets are IEEE 754 doubles, so that they are plain numbers.
 *
 * @see docs/file-format.md
 */
import { crc32c } from '@node-rs/crc32';

const MAGIC = 0x534c4958;
const VERSION = 1;
const HEAD_BYTES = 60;
const ENTRY_BYTES = 24;
const CRC_BYTES = 4;
/** Bytes of a segment between two entries, at least. */
export const INDEX_INTERVAL_BYTES = 32 * 1024;

/** What is known about a whole segment. */
export interface SegmentFacts {
  readonly baseOffset: number;
  /** Exclusive end. */
  readonly nextOffset: number;
  /** Size of the file. */
  readonly bytes: number;
  /** Of all records, ms since 1970; −Infinity when there are none. */
  readonly maxTimestampMs: number;
  /** When its first and last batch were appended, ms since 1970; 0 when there are none. */
  readonly firstAppendMs: number;
  readonly lastAppendMs: number;
}

/** One entry of an index. */
export interface IndexEntry {
  /** Of the batch at `position`. */
  readonly baseOffset: number;
  readonly position: number;
  /** Of all batches before the next entry. */
  readonly maxTimestampMs: number;
}

/** The index of one segment in memory; grows at the end. */
export class SegmentIndex {
  readonly baseOffset: number;
  #offsets = new Float64Array(16);
  #positions = new Float64Array(16);
  #maxTimestampsMs = new Float64Array(16);
  #appendedMs = new Float64Array(16);
  #count = 0;

  constructor(baseOffset: number) {
    this.baseOffset = baseOffset;
  }

  /** Bytes this takes in memory. */
  get memoryBytes(): number {
    return this.#offsets.length * 32 + 200;
  }

  /** Takes note of the next batch; many of them share an entry. */
  add(baseOffset: number, position: number, maxTimestampMs: number, appendedMs: number): void {
    const last = this.#count - 1;
    if (last >= 0 && position - this.#positions[last]! < INDEX_INTERVAL_BYTES) {
      if (maxTimestampMs > this.#maxTimestampsMs[last]!) this.#maxTimestampsMs[last] = maxTimestampMs;
      return;
    }
    if (this.#count === this.#offsets.length) this.#grow();
    const before = last < 0 ? -Infinity : this.#maxTimestampsMs[last]!;
    this.#offsets[this.#count] = baseOffset;
    this.#positions[this.#count] = position;
    this.#maxTimestampsMs[this.#count] = Math.max(before, maxTimestampMs);
    this.#appendedMs[this.#count] = appendedMs;
    this.#count++;
  }

  /** The entries, in order. */
  *entries(): Generator<IndexEntry> {
    for (let entry = 0; entry < this.#count; entry++) {
      yield {
        baseOffset: this.#offsets[entry]!,
        position: this.#positions[entry]!,
        maxTimestampMs: this.#maxTimestampsMs[entry]!,
      };
    }
  }

  /** Where to begin looking for the batch that holds `offset`: a position at which a batch begins, with its offset. */
  find(offset: number): { readonly position: number; readonly baseOffset: number } {
    const at = this.#lastAtOrBelow(this.#offsets, offset);
    if (at < 0) return { position: 0, baseOffset: this.baseOffset };
    return { position: this.#positions[at]!, baseOffset: this.#offsets[at]! };
  }

  /** Where to begin looking for the first batch with a record of `timestampMs` or later; undefined when there is none. */
  findTimestamp(timestampMs: number): { readonly position: number; readonly baseOffset: number } | undefined {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#maxTimestampsMs[middle]! < timestampMs) low = middle + 1;
      else high = middle;
    }
    if (low === this.#count) return undefined;
    return { position: this.#positions[low]!, baseOffset: this.#offsets[low]! };
  }

  /** When the batch that holds `offset` was appended, or one shortly before it; undefined when the index is empty. */
  appendedMsAt(offset: number): number | undefined {
    const at = this.#lastAtOrBelow(this.#offsets, offset);
    return this.#count === 0 ? undefined : this.#appendedMs[Math.max(0, at)];
  }

  /** Forgets what is at `position` and behind. Largest timestamps stay, and so may be too large, never too small. */
  truncate(position: number): void {
    while (this.#count > 0 && this.#positions[this.#count - 1]! >= position) this.#count--;
  }

  /** The index as a file. */
  encode(facts: SegmentFacts): Buffer {
    const bytes = Buffer.alloc(HEAD_BYTES + this.#count * ENTRY_BYTES + CRC_BYTES);
    bytes.writeUInt32BE(MAGIC, 0);
    bytes.writeUInt32BE(VERSION, 4);
    bytes.writeDoubleBE(this.baseOffset, 8);
    bytes.writeDoubleBE(facts.nextOffset, 16);
    bytes.writeDoubleBE(facts.bytes, 24);
    bytes.writeDoubleBE(facts.maxTimestampMs, 32);
    bytes.writeDoubleBE(facts.firstAppendMs, 40);
    bytes.writeDoubleBE(facts.lastAppendMs, 48);
    bytes.writeUInt32BE(this.#count, 56);
    for (let entry = 0; entry < this.#count; entry++) {
      const at = HEAD_BYTES + entry * ENTRY_BYTES;
      bytes.writeUInt32BE(this.#offsets[entry]! - this.baseOffset, at);
      bytes.writeUInt32BE(this.#positions[entry]!, at + 4);
      bytes.writeDoubleBE(this.#maxTimestampsMs[entry]!, at + 8);
      bytes.writeDoubleBE(this.#appendedMs[entry]!, at + 16);
    }
    bytes.writeUInt32BE(crc32c(bytes.subarray(0, -CRC_BYTES)), bytes.length - CRC_BYTES);
    return bytes;
  }

  /** Reads a file. @returns undefined when it is not a whole index */
  static decode(bytes: Buffer): { readonly index: SegmentIndex; readonly facts: SegmentFacts } | undefined {
    if (bytes.length < HEAD_BYTES + CRC_BYTES) return undefined;
    if (bytes.readUInt32BE(0) !== MAGIC || bytes.readUInt32BE(4) !== VERSION) return undefined;
    const count = bytes.readUInt32BE(56);
    if (bytes.length !== HEAD_BYTES + count * ENTRY_BYTES + CRC_BYTES) return undefined;
    if (bytes.readUInt32BE(bytes.length - CRC_BYTES) !== crc32c(bytes.subarray(0, -CRC_BYTES)))
      return undefined;
    const baseOffset = bytes.readDoubleBE(8);
    const index = new SegmentIndex(baseOffset);
    index.#reserve(count);
    for (let entry = 0; entry < count; entry++) {
      const at = HEAD_BYTES + entry * ENTRY_BYTES;
      index.#offsets[entry] = baseOffset + bytes.readUInt32BE(at);
      index.#positions[entry] = bytes.readUInt32BE(at + 4);
      index.#maxTimestampsMs[entry] = bytes.readDoubleBE(at + 8);
      index.#appendedMs[entry] = bytes.readDoubleBE(at + 16);
    }
    index.#count = count;
    const facts: SegmentFacts = {
      baseOffset,
      nextOffset: bytes.readDoubleBE(16),
      bytes: bytes.readDoubleBE(24),
      maxTimestampMs: bytes.readDoubleBE(32),
      firstAppendMs: bytes.readDoubleBE(40),
      lastAppendMs: bytes.readDoubleBE(48),
    };
    return { index, facts };
  }

  #lastAtOrBelow(values: Float64Array, wanted: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (values[middle]! <= wanted) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #grow(): void {
    this.#reserve(this.#offsets.length * 2);
  }

  #reserve(length: number): void {
    const grown = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const larger = new Float64Array(Math.max(length, old.length));
      larger.set(old);
      return larger;
    };
    this.#offsets = grown(this.#offsets);
    this.#positions = grown(this.#positions);
    this.#maxTimestampsMs = grown(this.#maxTimestampsMs);
    this.#appendedMs = grown(this.#appendedMs);
  }
}

import { SluiceError } from '../../kernel/errors.ts';
import {
  BATCH_HEADER_BYTES,
  batchBaseOffset,
  batchBytes,
  batchNextOffset,
  checkBatch,
} from '../../wire/record-batch.ts';
import type { DiskShared } from './disk-shared.ts';
import type { OpenFile } from './file-system.ts';
import { scanSegment } from './segment-scan.ts';
import type { Segment } from './segment.ts';
import { segmentAt } from './segment.ts';

/** Read at once at least, for readers that go through a log: an index entry's worth and some. */
const LEAST_READ_BYTES = 64 * 1024;
/** Readers whose next position in the file is remembered, so that they need not look for it. */
const MAX_HINTS = 256;

/** Files were replaced while they were read: to be read once more. */
const REPLACED = 'replaced' as const;

/** Told of damage that a reader came upon. */
export type OnCorrupt = (file: string, position: number, reason: string) => void;

interface Hint {
  readonly segment: Segment;
  readonly position: number;
  /** Size of the batch before it. */
  readonly batchBytes: number;
}

/** The segment files of one log, and reading from them. The last one is active. */
export class SegmentStore {
  readonly segments: Segment[];
  readonly #shared: DiskShared;
  readonly #onCorrupt: OnCorrupt;
  readonly #hints = new Map<number, Hint>();

  constructor(segments: Segment[], shared: DiskShared, onCorrupt: OnCorrupt) {
    this.segments = segments;
    this.#shared = shared;
    this.#onCorrupt = onCorrupt;
  }

  get active(): Segment {
    return this.segments.at(-1)!;
  }

  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.segments) sum += bytes;
    return sum;
  }

  /**
   * Whole batches from the one that holds `offset`, or the next one, on, out of one segment; their CRC is checked.
   *
   * @returns views of memory that nothing else uses; empty also when what was there has just been dropped
   * @throws CORRUPT_LOG where what was stored is not there any more; STORAGE_FAILED
   */
  async read(offset: number, upTo: number, maxBytes: number): Promise<Buffer[]> {
    for (;;) {
      const found = await this.#readOnce(offset, upTo, maxBytes);
      if (found !== REPLACED) return found;
    }
  }

  /** Puts `segment` in the place of others, which are neighbours. */
  replace(replaced: readonly Segment[], segment: Segment): void {
    this.segments.splice(this.segments.indexOf(replaced[0]!), replaced.length, segment);
    this.forgetHints();
  }

  async #readOnce(offset: number, upTo: number, maxBytes: number): Promise<Buffer[] | typeof REPLACED> {
    let from = offset;
    for (let at = Math.max(0, segmentAt(this.segments, from)); from < upTo; at++) {
      const segment = this.segments[at];
      if (!segment) return [];
      if (from < segment.nextOffset) {
        const found = await this.#inTurn(segment, from, upTo, maxBytes).catch((error: unknown) => {
          if (segment.replaced) return REPLACED;
          if (this.segments.includes(segment)) throw error;
          return undefined;
        });
        if (found === REPLACED) {
          await segment.replaced;
          return REPLACED;
        }
        // The segment went while it was read: whoever asks once more is told what is there now.
        if (!found) return [];
        if (found.length > 0) return found;
        if (this.segments[at] !== segment) return REPLACED;
      }
      // A hole of compaction, or something that was there and is not.
      if (segment.lostBehind !== undefined && this.segments[at + 1])
        throw corruptLog(segment.path, segment.lostBehind);
      from = Math.max(from, this.segments[at + 1]?.baseOffset ?? upTo);
    }
    return [];
  }

  /** The first batch from `from` on, below `upTo`, with a record of `timestampMs` or later. @throws as {@link read} */
  async findTimestamp(timestampMs: number, from: number, upTo: number): Promise<Buffer | undefined> {
    for (const segment of this.segments.slice(Math.max(0, segmentAt(this.segments, from)))) {
      if (segment.baseOffset >= upTo) return undefined;
      if (segment.maxTimestampMs < timestampMs) continue;
      const found = await this.#findInSegment(segment, timestampMs, from).catch((error: unknown) => {
        if (segment.replaced) return REPLACED;
        throw error;
      });
      if (found === REPLACED) {
        await segment.replaced;
        return this.findTimestamp(timestampMs, from, upTo);
      }
      if (found) return batchBaseOffset(found) < upTo ? found : undefined;
    }
    return undefined;
  }

  /** Bytes from `offset` to the end; exact to an index entry, or a guess where the index is not in memory. */
  bytesFrom(offset: number): number {
    const at = Math.max(0, segmentAt(this.segments, offset));
    let sum = 0;
    for (let later = at + 1; later < this.segments.length; later++) sum += this.segments[later]!.bytes;
    const segment = this.segments[at]!;
    const index = this.#shared.indexes.known(segment);
    const before = index?.find(offset).position ?? segment.bytes * shareBefore(segment, offset);
    return sum + Math.max(0, segment.bytes - before);
  }

  /** When the batch with `offset` was appended, ms since 1970; exact as {@link bytesFrom} is. */
  appendedMsAt(offset: number): number {
    const segment = this.segments[Math.max(0, segmentAt(this.segments, offset))]!;
    const known = this.#shared.indexes.known(segment)?.appendedMsAt(offset);
    if (known !== undefined) return known;
    const { firstAppendMs, lastAppendMs } = segment;
    return firstAppendMs + (lastAppendMs - firstAppendMs) * shareBefore(segment, offset);
  }

  /** Forgets where readers are: files changed. */
  forgetHints(): void {
    this.#hints.clear();
  }

  #inTurn(
    segment: Segment,
    from: number,
    upTo: number,
    maxBytes: number,
  ): Promise<Buffer[] | typeof REPLACED> {
    return this.#shared.reads.run(() => this.#readSegment(segment, from, upTo, maxBytes));
  }

  async #readSegment(
    segment: Segment,
    offset: number,
    upTo: number,
    maxBytes: number,
  ): Promise<Buffer[] | typeof REPLACED> {
    const hint = this.#hints.get(offset);
    let position: number;
    let least = LEAST_READ_BYTES;
    if (hint?.segment === segment) {
      position = hint.position;
      least = Math.max(least, hint.batchBytes + BATCH_HEADER_BYTES);
    } else {
      position = (await this.#shared.indexes.load(segment)).find(offset).position;
    }
    return this.#shared.openFiles.use(segment.path, async (file) => {
      if (segment.replaced) return REPLACED;
      let wanted = Math.max(maxBytes, least);
      for (;;) {
        const length = Math.min(wanted, segment.bytes - position);
        if (length <= 0) return [];
        const chunk = await this.#readChunk(file, segment, position, length);
        const part = this.#gather(segment, chunk, position, { offset, upTo, maxBytes });
        if (part.found.length > 0 || part.missing === 0) return part.found;
        position += part.passed;
        wanted = Math.max(part.missing, least);
      }
    });
  }

  async #readChunk(file: OpenFile, segment: Segment, position: number, length: number): Promise<Buffer> {
    const chunk = Buffer.allocUnsafeSlow(length);
    const got = await file.read(chunk, position);
    if (got === length) return chunk;
    throw this.#corrupt(
      segment,
      position,
      `the file ends at ${position + got}, ${segment.bytes} bytes were stored`,
    );
  }

  /** The batches wanted in `chunk`, which begins at `position` of the segment. */
  #gather(
    segment: Segment,
    chunk: Buffer,
    position: number,
    wanted: { readonly offset: number; readonly upTo: number; readonly maxBytes: number },
  ): { readonly found: Buffer[]; readonly passed: number; readonly missing: number } {
    const found: Buffer[] = [];
    let bytes = 0;
    let at = 0;
    let missing = 0;
    while (at < chunk.length) {
      const size = this.#batchBytes(segment, chunk.subarray(at), position + at);
      if (size > chunk.length - at) {
        missing = size;
        break;
      }
      const batch = chunk.subarray(at, at + size);
      if (batchNextOffset(batch) > wanted.offset) {
        if (batchBaseOffset(batch) >= wanted.upTo) return { found, passed: at, missing: 0 };
        if (found.length > 0 && bytes + size > wanted.maxBytes) break;
        this.#check(segment, batch, position + at);
        bytes += size;
        found.push(batch);
      }
      at += size;
    }
    const last = found.at(-1);
    if (last)
      this.#remember(batchNextOffset(last), { segment, position: position + at, batchBytes: last.length });
    // Everything in the chunk lay before the offset: go on behind it.
    if (found.length === 0 && missing === 0 && position + at < segment.bytes) missing = LEAST_READ_BYTES;
    return { found, passed: at, missing };
  }

  /** Size of the batch that begins with `bytes`; of a header when not even that is there. */
  #batchBytes(segment: Segment, bytes: Buffer, position: number): number {
    const size = bytes.length < BATCH_HEADER_BYTES ? BATCH_HEADER_BYTES : batchBytes(bytes);
    if (size >= BATCH_HEADER_BYTES && position + size <= segment.bytes) return size;
    throw this.#corrupt(segment, position, `a batch of ${size} bytes`);
  }

  #check(segment: Segment, batch: Buffer, position: number): void {
    try {
      checkBatch(batch);
    } catch (error) {
      throw this.#corrupt(segment, position, error instanceof Error ? error.message : String(error));
    }
  }

  async #findInSegment(
    segment: Segment,
    timestampMs: number,
    from: number,
  ): Promise<Buffer | typeof REPLACED | undefined> {
    const start = (await this.#shared.indexes.load(segment)).findTimestamp(timestampMs);
    if (!start) return undefined;
    return this.#shared.openFiles.use(segment.path, async (file) => {
      if (segment.replaced) return REPLACED;
      let found: Buffer | undefined;
      const end = await scanSegment(
        file,
        { from: start.position, to: segment.bytes },
        (header, _position, bytes) => {
          if (header.maxTimestampMs < timestampMs) return undefined;
          if (header.baseOffset + header.lastOffsetDelta < from) return undefined;
          found = Buffer.from(bytes);
          return false;
        },
        { verifyCrc: true, holes: true },
      );
      if (!found && end.kind === 'damaged') throw this.#corrupt(segment, end.position, end.reason);
      return found;
    });
  }

  #remember(offset: number, hint: Hint): void {
    this.#hints.delete(offset);
    this.#hints.set(offset, hint);
    if (this.#hints.size <= MAX_HINTS) return;
    for (const oldest of this.#hints.keys()) {
      this.#hints.delete(oldest);
      return;
    }
  }

  #corrupt(segment: Segment, position: number, reason: string): SluiceError {
    this.#onCorrupt(segment.path, position, reason);
    return corruptLog(segment.path, `at byte ${position}: ${reason}`);
  }
}

/** Part of the segment's offsets that lie before `offset`, 0 to 1. */
function shareBefore({ baseOffset, nextOffset }: Segment, offset: number): number {
  if (nextOffset === baseOffset) return 0;
  return Math.min(1, Math.max(0, (offset - baseOffset) / (nextOffset - baseOffset)));
}

function corruptLog(file: string, reason: string): SluiceError {
  return new SluiceError(
    'CORRUPT_LOG',
    `${file} is damaged (${reason}); offsets behind the damage can be read: sluice log verify shows where they begin`,
  );
}

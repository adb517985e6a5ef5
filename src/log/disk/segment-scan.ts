import type { BatchHeader } from '../../wire/record-batch.ts';
import { BATCH_HEADER_BYTES, batchBytes, checkBatch, readBatchHeader } from '../../wire/record-batch.ts';
import type { OpenFile } from './file-system.ts';
import { SCRATCH_BYTES, giveScratch, takeScratch } from './scratch.ts';
import { SPARE_ROOM, isSpareRoom } from './spare-room.ts';

/** No batch is larger: 16 MiB are the most a topic may allow. */
const MAX_BATCH_BYTES = 64 * 1024 * 1024;
const NONE = Buffer.alloc(0);
const MAGIC = 2;
const MAGIC_AT = 16;

/** Part of a segment file, bytes; `to` is exclusive. */
export interface ScanRange {
  readonly from: number;
  readonly to: number;
}

/** How to scan. */
export interface ScanOptions {
  /** Offset the first batch should begin at, or above it when `holes`. Default: any. */
  readonly expectedOffset?: number;
  /** Whether there may be holes between batches, as compaction leaves them. Default false. */
  readonly holes?: boolean;
  /** Whether room for more may follow the last batch, as in the active segment: it counts as the end. Default false. */
  readonly spare?: boolean;
  /** Whether to read the records too and check them against their CRC-32C; else only headers are looked at. */
  readonly verifyCrc: boolean;
  /** Bytes per read. Default 1 MiB. */
  readonly chunkBytes?: number;
}

/** Where a scan ended. */
export interface ScanEnd {
  /** Byte behind the last good batch. */
  readonly position: number;
  /** Offset behind the last good batch; `expectedOffset`, or −1, when there was none. */
  readonly nextOffset: number;
  /** `end`: at `to`, or where room for more begins. `damaged`: what is at `position` is no batch. */
  readonly kind: 'end' | 'damaged';
  /** For people; empty at `end`. */
  readonly reason: string;
  /** What is damaged is only too short, as a write leaves it that its process did not finish. */
  readonly isShort?: boolean;
}

/** Gets a batch; see {@link scanSegment}. */
type VisitBatch = (
  header: BatchHeader,
  position: number,
  bytes: Buffer,
) => boolean | undefined | Promise<boolean | undefined>;

/**
 * Looks at one batch after the other, from a position at which one begins.
 *
 * @param visit gets each good batch. `bytes` are the whole batch with `verifyCrc`, else its header; valid only during the
 *   call, and until a promise it returned has settled. It may return `false` to stop behind that batch.
 * @returns where and why it ended; nothing is decided here about what damage means
 * @throws what reading the file throws
 */
export async function scanSegment(
  file: OpenFile,
  range: ScanRange,
  visit: VisitBatch,
  options: ScanOptions,
): Promise<ScanEnd> {
  const window = new Window(file, range.to, options.chunkBytes ?? SCRATCH_BYTES);
  try {
    return await scan(window, range, visit, options);
  } finally {
    window.release();
  }
}

async function scan(
  window: Window,
  range: ScanRange,
  visit: VisitBatch,
  options: ScanOptions,
): Promise<ScanEnd> {
  let position = range.from;
  let nextOffset = options.expectedOffset ?? -1;
  while (position < range.to) {
    const found = await readBatch(window, position, range.to, options.verifyCrc);
    if ('reason' in found) {
      if (options.spare === true && (await isSpare(window, position, range.to))) break;
      return { position, nextOffset, kind: 'damaged', ...found };
    }
    const reason = misplaced(found.header, nextOffset, options);
    if (reason !== undefined) return { position, nextOffset, kind: 'damaged', reason };
    const { header, bytes } = found;
    const at = position;
    position += header.batchBytes;
    nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
    const more = visit(header, at, bytes);
    if ((more instanceof Promise ? await more : more) === false) break;
  }
  return { position, nextOffset, kind: 'end', reason: '' };
}

/** Where a good batch begins. */
export interface BatchPlace {
  readonly position: number;
  readonly baseOffset: number;
  /** Whether it is where the damaged one says that it ends. */
  readonly isStated: boolean;
}

/**
 * The first place behind the damaged batch at `range.from` where a whole batch with the right CRC and an offset of at least `minOffset`
 * begins.
 *
 * The damaged batch says how long it is. When that leads to the end of the range, to room for more, or to a good batch, it is believed:
 * a record may well contain something that looks like a batch, and must not be taken for one. Only else every byte is tried.
 *
 * @returns undefined when there is none
 */
export async function findNextBatch(
  file: OpenFile,
  range: ScanRange,
  minOffset: number,
): Promise<BatchPlace | undefined> {
  const window = new Window(file, range.to, SCRATCH_BYTES);
  try {
    return await findNext(window, range, minOffset);
  } finally {
    window.release();
  }
}

async function findNext(
  window: Window,
  range: ScanRange,
  minOffset: number,
): Promise<BatchPlace | undefined> {
  const stated = await statedEnd(window, range.from);
  const batchAt = async (position: number): Promise<BatchPlace | undefined> => {
    const found = await readBatch(window, position, range.to, true);
    if ('reason' in found || found.header.baseOffset < minOffset) return undefined;
    return { position, baseOffset: found.header.baseOffset, isStated: position === stated };
  };
  if (stated !== undefined && (await isSpare(window, stated, range.to))) return undefined;
  const next = stated === undefined ? undefined : await batchAt(stated);
  if (next) return next;
  for (let position = range.from + 1; position + BATCH_HEADER_BYTES <= range.to; position++) {
    const head = await window.bytes(position, BATCH_HEADER_BYTES);
    if (head?.[MAGIC_AT] !== MAGIC) continue;
    const found = await batchAt(position);
    if (found) return found;
  }
  return undefined;
}

/** Where a batch ends by its own header; undefined when that is no header. */
async function statedEnd(window: Window, position: number): Promise<number | undefined> {
  const head = await window.bytes(position, BATCH_HEADER_BYTES);
  if (head?.[MAGIC_AT] !== MAGIC) return undefined;
  const size = batchBytes(head);
  return size > BATCH_HEADER_BYTES && size <= MAX_BATCH_BYTES ? position + size : undefined;
}

/** Whether nothing but room for more, or nothing at all, is from `position` to `to`. */
async function isSpare(window: Window, position: number, to: number): Promise<boolean> {
  const length = to - position;
  if (length < 0 || length > SPARE_ROOM.length) return false;
  const bytes = await window.bytes(position, length);
  return bytes !== undefined && isSpareRoom(bytes);
}

function misplaced(header: BatchHeader, nextOffset: number, { holes }: ScanOptions): string | undefined {
  if (nextOffset < 0 || header.baseOffset === nextOffset) return undefined;
  if (holes === true && header.baseOffset > nextOffset) return undefined;
  return `a batch of offset ${header.baseOffset} where ${nextOffset} is next`;
}

/** One batch, or why there is none. */
async function readBatch(
  window: Window,
  position: number,
  to: number,
  verifyCrc: boolean,
): Promise<{ readonly header: BatchHeader; readonly bytes: Buffer } | Pick<ScanEnd, 'reason' | 'isShort'>> {
  const head = await window.bytes(position, BATCH_HEADER_BYTES);
  if (head === undefined) return tooShort(`${to - position} bytes are too few for a batch`);
  try {
    const header = readBatchHeader(head);
    const size = header.batchBytes;
    if (size < BATCH_HEADER_BYTES || size > MAX_BATCH_BYTES) return { reason: `a batch of ${size} bytes` };
    if (position + size > to) {
      return tooShort(`a batch of ${size} bytes, of which ${to - position} are there`);
    }
    if (!verifyCrc) return { header, bytes: head };
    const bytes = await window.bytes(position, size);
    if (bytes === undefined) return tooShort('the file ends inside a batch');
    return { header: checkBatch(bytes), bytes };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

function tooShort(reason: string): Pick<ScanEnd, 'reason' | 'isShort'> {
  return { reason, isShort: true };
}

/** The part of a file that was read last. */
class Window {
  readonly #file: OpenFile;
  readonly #to: number;
  readonly #chunkBytes: number;
  #buffer: Buffer = NONE;
  #length = 0;
  #start = 0;

  constructor(file: OpenFile, to: number, chunkBytes: number) {
    this.#file = file;
    this.#to = to;
    this.#chunkBytes = chunkBytes;
  }

  /** @returns undefined when the file, or the range, ends before; valid until the next call */
  async bytes(position: number, length: number): Promise<Buffer | undefined> {
    if (position + length > this.#to) return undefined;
    if (position < this.#start || position + length > this.#start + this.#length) {
      await this.#fill(position, length);
    }
    if (position + length > this.#start + this.#length) return undefined;
    return this.#buffer.subarray(position - this.#start, position - this.#start + length);
  }

  /** Lets go of its memory: nothing that it returned may be used any more. */
  release(): void {
    giveScratch(this.#buffer);
    this.#buffer = NONE;
    this.#length = 0;
  }

  async #fill(position: number, length: number): Promise<void> {
    const wanted = Math.min(Math.max(length, this.#chunkBytes), this.#to - position);
    if (this.#buffer.length < wanted) {
      giveScratch(this.#buffer);
      this.#buffer = takeScratch(wanted);
    }
    this.#start = position;
    this.#length = await this.#file.read(this.#buffer.subarray(0, wanted), position);
  }
}

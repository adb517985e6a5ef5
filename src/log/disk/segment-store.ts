import { SluiceError } from '../../kernel/errors.ts';
import type { Asker } from '../../kernel/slots.ts';
import { BATCH_HEADER_BYTES, batchBaseOffset } from '../../wire/record-batch.ts';
import type { DiskShared } from './disk-shared.ts';
import { gatherBatches } from './gather-batches.ts';
import type { Wanted } from './gather-batches.ts';
import { scanSegment } from './segment-scan.ts';
import type { Segment } from './segment.ts';
import { segmentAt } from './segment.ts';

/** Read at once at least, for readers that go through a log: an index entry's worth and some. */
const LEAST_READ_BYTES = 64 * 1024;
/** Readers whose next position in the file is remembered, so that they need not look for it. */
const MAX_HINTS = 256;

/** Files changed while they were read: to be read once more. */
const AGAIN = 'again' as const;
type Again = typeof AGAIN;

/** Told of damage that a reader came upon. */
export type OnCorrupt = (file: string, position: number, reason: string) => void;

/** Where in a segment to begin. */
interface Hint {
  readonly segment: Segment;
  readonly position: number;
  /** No batch from there on begins below it. */
  readonly leastOffset: number;
  /** Bytes that are likely to hold a whole batch. */
  readonly leastBytes: number;
}

/** What is stored at `position` is no batch. Told to nobody before it is clear that it is still part of the log. */
class Damage extends Error {
  readonly position: number;

  constructor(position: number, reason: string) {
    super(reason);
    this.position = position;
  }
}

/** The segment files of one log, and reading from them. The last one is active. */
export class SegmentStore {
  readonly segments: Segment[];
  readonly #shared: DiskShared;
  readonly #onCorrupt: OnCorrupt;
  readonly #hints = new Map<number, Hint>();
  /** How often files, or the list of them, changed other than at their end. */
  #changes = 0;

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
   * Whole batches from the one that holds `offset`, or the next one that is there, on, out of one segment; their CRC is checked.
   *
   * @param asker when it goes, what has not been begun is not
   * @returns views of memory that nothing else uses; empty only when there is nothing from `offset` to `upTo`
   * @throws CORRUPT_LOG where what was stored is not there any more; STORAGE_FAILED; CANCELLED
   */
  async read(offset: number, upTo: number, maxBytes: number, asker?: Asker): Promise<Buffer[]> {
    for (;;) {
      const found = await this.#readOnce({ offset, upTo, maxBytes }, asker);
      if (found !== AGAIN) return found;
    }
  }

  /** The first batch from `from` on, below `upTo`, with a record of `timestampMs` or later. @param asker as of {@link read} @throws as {@link read} */
  async findTimestamp(
    timestampMs: number,
    from: number,
    upTo: number,
    asker?: Asker,
  ): Promise<Buffer | undefined> {
    for (;;) {
      const found = await this.#findOnce(timestampMs, from, upTo, asker);
      if (found !== AGAIN) return found;
    }
  }

  /** Puts `segment` in the place of others, which are neighbours. */
  replace(replaced: readonly Segment[], segment: Segment): void {
    this.segments.splice(this.segments.indexOf(replaced[0]!), replaced.length, segment);
    this.changed();
  }

  /** Begins anew with one empty segment. To be called when no file is being replaced. */
  reset(segment: Segment): void {
    this.close();
    for (const gone of this.segments.splice(0, Infinity, segment)) {
      gone.beginReplacing();
      gone.endReplacing(true);
    }
    this.changed();
  }

  /** Lets go of what is held for readers. */
  close(): void {
    const { openFiles, indexes } = this.#shared;
    for (const { path, indexPath } of this.segments) {
      openFiles.forget(path);
      indexes.forget(indexPath);
    }
  }

  /** Files are not what they were: whoever is reading has to look again. */
  changed(): void {
    this.#changes++;
    this.#hints.clear();
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

  async #readOnce(wanted: Wanted, asker: Asker | undefined): Promise<Buffer[] | Again> {
    const changes = this.#changes;
    let from = wanted.offset;
    for (let at = Math.max(0, segmentAt(this.segments, from)); from < wanted.upTo; at++) {
      const segment = this.segments[at];
      if (!segment) return [];
      // The file of an empty one may not be there yet.
      if (from < segment.nextOffset && segment.bytes > 0) {
        const work = (): Promise<Buffer[]> => this.#readSegment(segment, { ...wanted, offset: from });
        const found = await this.#settle(segment, changes, work, asker);
        if (found === AGAIN || found.length > 0) return found;
      }
      // A hole of compaction, or something that was there and is not.
      if (segment.lostBehind !== undefined && this.segments[at + 1])
        throw corruptLog(segment.path, segment.lostBehind);
      from = Math.max(from, this.segments[at + 1]?.baseOffset ?? wanted.upTo);
    }
    return [];
  }

  async #findOnce(
    timestampMs: number,
    from: number,
    upTo: number,
    asker: Asker | undefined,
  ): Promise<Buffer | Again | undefined> {
    const changes = this.#changes;
    for (const segment of this.segments.slice(Math.max(0, segmentAt(this.segments, from)))) {
      if (segment.baseOffset >= upTo) return undefined;
      if (segment.maxTimestampMs < timestampMs) continue;
      const work = (): Promise<Buffer | undefined> => this.#findInSegment(segment, timestampMs, from);
      const found = await this.#settle(segment, changes, work, asker);
      if (found === AGAIN) return AGAIN;
      if (found) return batchBaseOffset(found) < upTo ? found : undefined;
    }
    return undefined;
  }

  /**
   * Lets `work` read a segment when it is its turn. What it found, or failed at, counts only when the log is still what it was: else
   * it may have read another file than it meant.
   * @throws CORRUPT_LOG; CANCELLED when it was not begun before `asker` went; what else `work` throws
   */
  async #settle<T>(
    segment: Segment,
    changes: number,
    work: () => Promise<T>,
    asker?: Asker,
  ): Promise<T | Again> {
    const isChanged = (): boolean => changes !== this.#changes || segment.replaced !== undefined;
    try {
      const found = await this.#shared.reads.run(work, asker);
      if (!isChanged()) return found;
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'CANCELLED') throw error;
      if (!isChanged()) throw error instanceof Damage ? this.#corrupt(segment, error) : error;
    }
    await segment.replaced;
    return AGAIN;
  }

  async #readSegment(segment: Segment, wanted: Wanted): Promise<Buffer[]> {
    const changes = this.#changes;
    const hint = this.#hints.get(wanted.offset);
    const start = hint?.segment === segment ? hint : await this.#lookUp(segment, wanted.offset);
    return this.#shared.openFiles.use(segment.path, async (file) => {
      let { position, leastOffset, leastBytes } = start;
      for (;;) {
        const { bytes: endPosition, nextOffset: endOffset } = segment;
        const length = Math.min(Math.max(wanted.maxBytes, leastBytes), endPosition - position);
        if (length <= 0) return [];
        const target = Buffer.allocUnsafeSlow(length);
        const bytes = target.subarray(0, await file.read(target, position));
        const part = gatherBatches({ bytes, position, leastOffset, endOffset, endPosition }, wanted);
        const { found, kind, reason } = part;
        const readTo = position + bytes.length;
        ({ position, leastOffset } = part);
        if (found.length > 0) {
          leastBytes = Math.max(LEAST_READ_BYTES, found.at(-1)!.length + BATCH_HEADER_BYTES);
          if (changes === this.#changes) this.#remember({ segment, position, leastOffset, leastBytes });
          return found;
        }
        if (kind === 'damaged') throw new Damage(position, reason);
        if (kind === 'done') return [];
        if (bytes.length < length) throw new Damage(readTo, 'the file ends here, and should not');
        leastBytes = Math.max(LEAST_READ_BYTES, part.nextBytes);
      }
    });
  }

  async #lookUp(segment: Segment, offset: number): Promise<Hint> {
    const { position, baseOffset } = (await this.#shared.indexes.load(segment)).find(offset);
    return { segment, position, leastOffset: baseOffset, leastBytes: LEAST_READ_BYTES };
  }

  async #findInSegment(segment: Segment, timestampMs: number, from: number): Promise<Buffer | undefined> {
    const start = (await this.#shared.indexes.load(segment)).findTimestamp(timestampMs);
    if (!start) return undefined;
    return this.#shared.openFiles.use(segment.path, async (file) => {
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
        { expectedOffset: start.baseOffset, verifyCrc: true, holes: true },
      );
      if (!found && end.kind === 'damaged') throw new Damage(end.position, end.reason);
      return found;
    });
  }

  #remember(hint: Hint): void {
    const offset = hint.leastOffset;
    this.#hints.delete(offset);
    this.#hints.set(offset, hint);
    if (this.#hints.size <= MAX_HINTS) return;
    for (const oldest of this.#hints.keys()) {
      this.#hints.delete(oldest);
      return;
    }
  }

  #corrupt(segment: Segment, { position, message }: Damage): SluiceError {
    this.#onCorrupt(segment.path, position, message);
    return corruptLog(segment.path, `at byte ${position}: ${message}`);
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

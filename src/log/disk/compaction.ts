import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { BatchHeader } from '../../wire/record-batch.ts';
import { NO_PRODUCER, readBatchHeader } from '../../wire/record-batch.ts';
import type { RecordCursor } from '../../wire/record-cursor.ts';
import { readRecords, thinBatch, walkRecords } from './batch-thinning.ts';
import type { CompactionSource } from './compacted-file.ts';
import { CompactedFile } from './compacted-file.ts';
import { UNFINISHED } from './file-names.ts';
import type { FileSystem, OpenFile } from './file-system.ts';
import { OffsetMap } from './offset-map.ts';
import { scanSegment } from './segment-scan.ts';
import { removeIfThere } from './snapshots.ts';
import { TimeSlices } from './time-slices.ts';

/** Producers whose last batch is remembered, per round and per segment; of others more is kept than need be. */
const MAX_PRODUCERS = 50_000;
/** Offsets in an index are 32 bits, relative to the segment's first. */
const MAX_OFFSETS = 0xffff_ffff;

/** How large files may become. */
export interface CompactionLimits {
  /** Memory for the latest offset of each key; a round goes as far as that reaches. */
  readonly mapBytes: number;
  /** Neighbours are merged up to these: bytes, ms between first and last append, offsets. */
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly segmentRecords: number;
}

/** What to compact. */
export interface CompactionJob {
  readonly directory: string;
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: CompactionLimits;
  /** Sealed segments from the first of the log on, without gaps in the list; nobody else may replace or remove one meanwhile. */
  readonly segments: readonly CompactionSource[];
  /** Everything below is compacted already; only what is above is looked at for later records of a key. */
  readonly compactedBelow: number;
  /** Records without value below this offset go; it is at most `compactedBelow`. */
  readonly tombstonesBelow: number;
  /** Ends of the parts of the log that the result tells of whether there are records without value in them; rising. */
  readonly tombstoneParts: readonly number[];
  /** Aborted: it ends soon with CANCELLED, leaving the log as it is then. */
  readonly signal: AbortSignal;
  /** Told of a damaged batch. */
  onCorrupt(path: string, position: number, reason: string): void;
  /** Called before the files of `sources` are replaced. May throw, then they are not. */
  onReplacing(sources: readonly CompactionSource[]): void;
  /** Called when they are (`output`), or when that failed (undefined). Whoever has one of them open goes on with the old. */
  onReplaced(sources: readonly CompactionSource[], output: CompactedFile | undefined): void;
  /** Called after {@link onReplaced}, when nothing is done to files any more that others may be about to remove. */
  onInstalled(): void;
}

/** What a round did. */
export interface CompactionResult {
  /** Exclusive: as far as the log is compacted now. */
  readonly compactedBelow: number;
  /** Whether that is all there was; else another round is due. */
  readonly isComplete: boolean;
  /** Of `tombstoneParts` and `compactedBelow`, those parts in which records without value are left. */
  readonly withTombstones: ReadonlySet<number>;
  readonly readBytes: number;
  /** Bytes that the files have become smaller. */
  readonly freedBytes: number;
  readonly droppedRecords: number;
}

/**
 * Of each key leaves only the latest record: one round over sealed segments.
 *
 *     first  the part not compacted yet is read: key → offset of its latest record      ── as far as memory reaches
 *     then   every segment is read; a record stays when it has no key, or no later one is known, in its place
 *                └─ unchanged: left alone      └─ changed: written beside, synced, renamed over the old; the next is merged into it
 *
 * At every moment each file is either as it was or as it will be, and every key's latest record is in one of them; so it may end
 * anywhere, and what was done is only done again. What is removed from a file was replaced by something in a file that is durable.
 * Records without value go in a round that begins when all they delete is gone, and that is durable, see `compaction-state.ts`.
 *
 * @throws CORRUPT_LOG when a batch is damaged; CANCELLED; what the file system says
 * @see Kafka's LogCleaner, of which this is a smaller kin
 */
export function compactSegments(job: CompactionJob): Promise<CompactionResult> {
  return new Round(job).run();
}

class Round {
  readonly #job: CompactionJob;
  /** A copy: the owner's list changes when files are replaced. */
  readonly #segments: readonly CompactionSource[];
  readonly #slices: TimeSlices;
  readonly #map: OffsetMap;
  /** Exclusive end of what the map knows. */
  #end: number;
  /** Base offset of the last batch of each producer, from where the map begins on. */
  readonly #producers = new LastBatches();
  readonly #withTombstones = new Set<number>();
  #parts: readonly number[] = [];
  #readBytes = 0;
  #freedBytes = 0;
  #droppedRecords = 0;

  constructor(job: CompactionJob) {
    this.#job = job;
    this.#segments = [...job.segments];
    this.#slices = new TimeSlices(job.clock);
    this.#end = job.segments.at(-1)?.nextOffset ?? job.compactedBelow;
    const keys = this.#end - job.compactedBelow;
    this.#map = new OffsetMap(keys, job.limits.mapBytes, job.random);
  }

  async run(): Promise<CompactionResult> {
    const { compactedBelow, tombstoneParts } = this.#job;
    const segments = this.#segments;
    const wanted = this.#end;
    for (const segment of segments) {
      if (segment.nextOffset > compactedBelow && segment.baseOffset < this.#end) await this.#learn(segment);
    }
    this.#parts = [...tombstoneParts, this.#end];
    for (let at = 0; at < segments.length && segments[at]!.baseOffset < this.#end;)
      at += await this.#rewrite(at);
    return {
      compactedBelow: this.#end,
      isComplete: this.#end === wanted,
      withTombstones: this.#withTombstones,
      readBytes: this.#readBytes,
      freedBytes: this.#freedBytes,
      droppedRecords: this.#droppedRecords,
    };
  }

  /** Puts the keys of a segment into the map, until that is full. */
  async #learn(segment: CompactionSource): Promise<void> {
    await this.#open(segment, (file) =>
      this.#scan(segment, file, async (header, bytes) => {
        this.#producers.add(header);
        if (header.baseOffset + header.lastOffsetDelta >= this.#job.compactedBelow)
          await this.#learnBatch(header, bytes);
        return header.baseOffset + header.lastOffsetDelta < this.#end;
      }),
    );
  }

  async #learnBatch(header: BatchHeader, bytes: Buffer): Promise<void> {
    // A batch that cannot be read to its end stays as it is, and none of its records replaces another.
    const records = await readRecords(header, bytes, this.#slices);
    if (records === undefined) return;
    await walkRecords(header, records, this.#slices, (cursor) => {
      const { offset } = cursor;
      if (offset < this.#job.compactedBelow || cursor.keyBytes < 0) return true;
      if (this.#map.put(cursor.bytes, cursor.keyAt, cursor.keyBytes, offset)) return true;
      this.#end = offset;
      return false;
    });
  }

  /** Rewrites a segment with those behind it that are merged into it. @returns how many */
  async #rewrite(at: number): Promise<number> {
    const { files } = this.#job;
    const segments = this.#segments;
    const first = segments[at]!;
    return this.#open(first, async (file) => {
      const output = new CompactedFile(files, first, await first.loadIndex(), file);
      try {
        await this.#copy(first, file, output);
        for (
          let next = segments[at + 1];
          next && this.#fits(output, next);
          next = segments[at + output.sources.length]
        ) {
          await output.addSource(next, await next.loadIndex());
          const source = next;
          await this.#open(source, (opened) => this.#copy(source, opened, output));
        }
        await output.finish();
        if (output.isChanged) await this.#install(output);
      } catch (error) {
        await output.discard();
        throw error;
      }
      await output.close();
      return output.sources.length;
    });
  }

  #fits({ bytes, sources }: CompactedFile, next: CompactionSource): boolean {
    const first = sources[0]!;
    if (sources.at(-1)!.lostBehind !== undefined) return false;
    const { segmentBytes, segmentMs, segmentRecords } = this.#job.limits;
    return (
      next.baseOffset < this.#end &&
      bytes + next.bytes <= segmentBytes &&
      next.lastAppendMs - first.firstAppendMs <= segmentMs &&
      next.nextOffset - first.baseOffset <= Math.min(segmentRecords, MAX_OFFSETS)
    );
  }

  async #copy(source: CompactionSource, file: OpenFile, output: CompactedFile): Promise<void> {
    const producers = new LastBatches();
    await scanSegment(
      file,
      { from: 0, to: source.bytes },
      (header) => {
        producers.add(header);
        return this.#slices.rest()?.then(() => true);
      },
      { holes: true, verifyCrc: false },
    );
    await this.#scan(source, file, async (header, bytes) => {
      await this.#copyBatch(header, bytes, output, producers);
      return true;
    });
  }

  async #copyBatch(
    header: BatchHeader,
    bytes: Buffer,
    output: CompactedFile,
    producers: LastBatches,
  ): Promise<void> {
    const thinned = await thinBatch(header, bytes, this.#slices, (cursor) => this.#stays(cursor));
    const left = thinned === bytes ? header : readBatchHeader(thinned);
    this.#droppedRecords += header.recordCount - left.recordCount;
    if (left.recordCount === 0 && !this.#isLast(header, producers)) {
      const empty = header.recordCount === 0 ? Buffer.from(bytes) : thinned;
      await output.drop(left, empty, header.recordCount === 0);
    } else if (thinned === bytes) await output.keep(header, bytes);
    else await output.replace(left, thinned);
  }

  /** Whether a record is left where it is. */
  #stays(cursor: RecordCursor): boolean {
    if (cursor.keyBytes < 0) return true;
    const { offset } = cursor;
    if (this.#map.get(cursor.bytes, cursor.keyAt, cursor.keyBytes) > offset) return false;
    if (cursor.valueBytes >= 0 || offset >= this.#end) return true;
    if (offset < this.#job.tombstonesBelow) return false;
    this.#withTombstones.add(this.#parts.find((below) => offset < below)!);
    return true;
  }

  /** Whether a producer's sequence would be forgotten without this batch. */
  #isLast(header: BatchHeader, inSegment: LastBatches): boolean {
    if (header.producerId === NO_PRODUCER) return false;
    return this.#producers.isLast(header) ?? inSegment.isLast(header) ?? true;
  }

  /** Calls back for each batch, checked, and rests in between. @param visit returns false to stop */
  async #scan(
    source: CompactionSource,
    file: OpenFile,
    visit: (header: BatchHeader, bytes: Buffer) => Promise<boolean>,
  ): Promise<void> {
    const { signal } = this.#job;
    const end = await scanSegment(
      file,
      { from: 0, to: source.bytes },
      async (header, _position, bytes) => {
        if (signal.aborted) throw new SluiceError('CANCELLED', 'compaction was stopped');
        const more = await visit(header, bytes);
        await this.#slices.rest();
        return more;
      },
      { holes: true, verifyCrc: true },
    );
    this.#readBytes += end.position;
    if (end.kind === 'end') return;
    this.#job.onCorrupt(source.path, end.position, end.reason);
    throw new SluiceError('CORRUPT_LOG', `${source.path} is damaged at byte ${end.position}: ${end.reason}`);
  }

  /** Puts a file in place of its sources. From here on it goes to the end, whatever it is told. */
  async #install(output: CompactedFile): Promise<void> {
    const { directory, files } = this.#job;
    const { sources } = output;
    const [first, ...others] = sources as [CompactionSource, ...CompactionSource[]];
    // The old index must never be found beside the new segment.
    await removeIfThere(files, first.indexPath);
    await files.syncDirectory(directory);
    this.#job.onReplacing(sources);
    try {
      await this.#rename(output);
      await files.syncDirectory(directory);
      await files.rename(`${first.indexPath}${UNFINISHED}`, first.indexPath);
      for (const { path, indexPath } of others) {
        await files.removeFile(path);
        await removeIfThere(files, indexPath);
      }
      await files.syncDirectory(directory);
    } finally {
      this.#job.onInstalled();
    }
    this.#freedBytes += sources.reduce((sum, { bytes }) => sum + bytes, 0) - output.facts.bytes;
  }

  async #rename(output: CompactedFile): Promise<void> {
    const { path } = output.sources[0]!;
    let isDone = false;
    try {
      await this.#job.files.rename(`${path}${UNFINISHED}`, path);
      isDone = true;
    } finally {
      this.#job.onReplaced(output.sources, isDone ? output : undefined);
    }
  }

  async #open<T>({ path }: CompactionSource, work: (file: OpenFile) => Promise<T>): Promise<T> {
    const file = await this.#job.files.open(path, { readOnly: true });
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  }
}

/** Base offset of the last batch of each producer; of so many of them. */
class LastBatches {
  readonly #offsets = new Map<number, number>();

  add({ producerId, baseOffset }: BatchHeader): void {
    if (producerId === NO_PRODUCER) return;
    if (this.#offsets.size < MAX_PRODUCERS || this.#offsets.has(producerId)) {
      this.#offsets.set(producerId, baseOffset);
    }
  }

  /** @returns undefined when the producer is not known */
  isLast({ producerId, baseOffset }: BatchHeader): boolean | undefined {
    const last = this.#offsets.get(producerId);
    return last === undefined ? undefined : baseOffset >= last;
  }
}

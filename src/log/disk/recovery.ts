import { dirname, join } from 'node:path';
import type { BatchHeader } from '../../wire/record-batch.ts';
import { CompactionState } from './compaction-state.ts';
import { cutFile, rewritePart, withFile } from './damage.ts';
import type { DiskLogOptions } from './disk-log-options.ts';
import { LeaderEpochs } from '../leader-epochs.ts';
import { filePath, sortFiles } from './file-names.ts';
import type { LogFiles } from './file-names.ts';
import { FileSizes } from './file-sizes.ts';
import type { FileSystem } from './file-system.ts';
import { readIndex } from './index-cache.ts';
import { resetLog } from './log-reset.ts';
import { AT_END, LossMark } from './loss-mark.ts';
import { scanSegment } from './segment-scan.ts';
import type { ScanEnd } from './segment-scan.ts';
import { Salvage } from './salvage.ts';
import { SegmentIndex } from './segment-index.ts';
import { Segment } from './segment.ts';
import type { Snapshot } from './snapshot.ts';
import { Snapshots, removeIfThere } from './snapshots.ts';

/** Topic, topics, data directory. */
const NEW_DIRECTORIES = 3;
/** The system's answer to who may use a directory, but not look into it. */
const NOT_OURS = new Set(['EACCES', 'EPERM']);

/** A log as it was found. */
export interface RecoveredLog {
  /** At least one; the last is active and has its index in memory. */
  readonly segments: Segment[];
  readonly snapshots: Snapshots;
  readonly epochs: LeaderEpochs;
  readonly logStart: number;
  readonly compaction: CompactionState;
  readonly loss: LossMark;
  /** Whether more was read than the newest snapshot says: then a new one is due. */
  readonly scannedBytes: number;
}

/**
 * Finds out what is in a log's directory, after whatever end.
 *
 *     segments before the snapshot      known from it, or from their index files; not read
 *     the snapshot's active segment     read and checked from the snapshot's position on
 *     segments behind it                read and checked
 *
 * What cannot be a batch at the end of the last segment is a write that was not finished: it is cut off. Any other damage is
 * reported and kept aside, and whole batches behind it become a segment of their own, so that it costs what it destroyed and no more.
 *
 * @throws STORAGE_FAILED and what else the file system says
 */
export async function recover(options: DiskLogOptions, wallMs: number): Promise<RecoveredLog> {
  return new Recovery(options, wallMs).run();
}

class Recovery {
  readonly #options: DiskLogOptions;
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #wallMs: number;
  readonly #segments: Segment[] = [];
  #epochs = new LeaderEpochs([]);
  #snapshots!: Snapshots;
  #compaction!: CompactionState;
  #loss!: LossMark;
  #salvage!: Salvage;
  readonly #sizes: FileSizes;
  /** Where the newest snapshot that can be read says that the log ended, on the disk. */
  #storedEnd = 0;
  #scannedBytes = 0;
  #rebuiltIndexes = 0;
  #orderly = true;

  constructor(options: DiskLogOptions, wallMs: number) {
    this.#options = options;
    this.#files = options.shared.files;
    this.#directory = options.directory;
    this.#sizes = new FileSizes(this.#files);
    this.#wallMs = wallMs;
  }

  async run(): Promise<RecoveredLog> {
    const found = await this.#look();
    await this.#tidy(found);
    // A file that the last process had just made may be lost yet, and from now on more is put into it.
    await this.#files.syncDirectory(this.#directory);
    this.#loss = await LossMark.load(this.#directory, this.#files);
    this.#salvage = new Salvage(this.#options, this.#loss, this.#sizes);
    if (this.#options.isIncomplete === true) await this.#loss.note(AT_END);
    this.#snapshots = new Snapshots(this.#directory, this.#files, found.snapshots);
    this.#compaction = await CompactionState.load(this.#directory, this.#files);
    const snapshot = await this.#chooseSnapshot(found);
    if (!snapshot) this.#options.state.reset();
    this.#epochs = new LeaderEpochs(snapshot?.facts.epochs ?? []);
    await this.#takeSegments(found, snapshot);
    if (this.#segments.length === 0) await this.#beginAnew(snapshot);
    await this.#checkEnd();
    await this.#activate();
    await this.#findLost();
    this.#report();
    return {
      segments: this.#segments,
      snapshots: this.#snapshots,
      compaction: this.#compaction,
      loss: this.#loss,
      epochs: this.#epochs,
      logStart: this.#logStart(snapshot),
      scannedBytes: this.#scannedBytes,
    };
  }

  /** Removes files that somebody was writing, and indexes of segments that are not there. */
  async #tidy({ unfinished, indexes, segments }: LogFiles): Promise<void> {
    for (const name of unfinished) await this.#files.removeFile(join(this.#directory, name));
    for (const base of indexes) {
      if (!segments.includes(base)) await this.#files.removeFile(filePath(this.#directory, base, 'index'));
    }
  }

  async #look(): Promise<LogFiles> {
    const found = sortFiles(await this.#list());
    const [reset] = found.resets;
    if (reset === undefined) return found;
    await resetLog(this.#files, this.#directory, reset);
    return sortFiles(await this.#list());
  }

  async #list(): Promise<readonly string[]> {
    try {
      return await this.#files.list(this.#directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await this.#files.makeDirectory(this.#directory);
      return [];
    }
  }

  #logStart(snapshot: Snapshot | undefined): number {
    const start = Math.max(snapshot?.facts.logStart ?? 0, this.#segments[0]!.baseOffset);
    return Math.min(start, this.#segments.at(-1)!.nextOffset);
  }

  /** The newest snapshot whose segment is there, at least as long, and whose state the owner understands. */
  #chooseSnapshot({ segments }: LogFiles): Promise<Snapshot | undefined> {
    return this.#snapshots.find(Infinity, async ({ facts, state }) => {
      this.#storedEnd = Math.max(this.#storedEnd, facts.offset);
      if (segments.length > 0) {
        if (!segments.includes(facts.segment)) return false;
        if ((await this.#sizes.of(filePath(this.#directory, facts.segment, 'log'))) < facts.position)
          return false;
      }
      this.#options.state.restore(state);
      return true;
    });
  }

  async #takeSegments({ segments }: LogFiles, snapshot: Snapshot | undefined): Promise<void> {
    const bases = [...segments];
    for (let at = 0; at < bases.length; at++) {
      const base = bases[at]!;
      const segment = new Segment(this.#directory, base);
      const isLast = at === bases.length - 1;
      if (await this.#isLeftover(segment)) {
        await this.#remove(segment);
        continue;
      }
      const isSealed = snapshot !== undefined && base < snapshot.facts.segment;
      const extra = isSealed
        ? await this.#takeSealed(segment, snapshot)
        : await this.#takeScanned(segment, snapshot, isLast);
      if (extra !== undefined && !bases.includes(extra)) bases.splice(at + 1, 0, extra);
      await this.#keep(segment, snapshot?.facts.logStart ?? 0, at === bases.length - 1);
    }
  }

  /** Whether a segment is what a merge, or an attempt to begin one, left behind: all of it lies inside the one before. */
  async #isLeftover({ baseOffset, path }: Segment): Promise<boolean> {
    const end = this.#segments.at(-1)?.nextOffset ?? 0;
    if (baseOffset >= end) return false;
    const { nextOffset } = await withFile(this.#files, path, async (file) =>
      scanSegment(file, { from: 0, to: await file.size() }, () => true, { holes: true, verifyCrc: false }),
    );
    return nextOffset <= end;
  }

  async #remove({ path, indexPath }: Segment): Promise<void> {
    await this.#files.removeFile(path);
    await removeIfThere(this.#files, indexPath);
    await this.#files.syncDirectory(this.#directory);
  }

  /** Adds a segment, unless it was deleted. */
  async #keep(segment: Segment, logStart: number, isLast: boolean): Promise<void> {
    const deleted = segment.nextOffset <= logStart && segment.bytes > 0;
    if (!isLast && deleted) return this.#remove(segment);
    const previous = this.#segments.at(-1);
    if (previous) previous.index = undefined;
    this.#segments.push(segment);
  }

  /**
   * A segment that was sealed before the snapshot: not read when anything tells what is in it.
   * @returns as {@link #takeScanned}
   */
  async #takeSealed(segment: Segment, { facts }: Snapshot): Promise<number | undefined> {
    const size = await this.#sizes.of(segment.path);
    const known = facts.segments.find(({ baseOffset }) => baseOffset === segment.baseOffset);
    // What the snapshot says of a file that was written anew since may fit it by chance; its index does not.
    if (known?.bytes === size && !this.#wasRewritten(segment)) {
      segment.assume({ ...known, maxTimestampMs: known.maxTimestampMs ?? -Infinity });
      return undefined;
    }
    const read = await readIndex(this.#files, segment.indexPath);
    if (read?.facts.bytes === size && read.facts.baseOffset === segment.baseOffset) {
      segment.assume(read.facts);
      return undefined;
    }
    this.#rebuiltIndexes++;
    const end = await this.#scan(segment, { size, holes: true, spare: false }, () => undefined);
    return end.kind === 'damaged' ? this.#salvage.setAside(segment, end, size) : undefined;
  }

  /**
   * A segment that was written to since the snapshot.
   * @returns base offset of another segment that was made of what lies behind damage in this one
   */
  async #takeScanned(
    segment: Segment,
    snapshot: Snapshot | undefined,
    isLast: boolean,
  ): Promise<number | undefined> {
    const size = await this.#sizes.of(segment.path);
    segment.index = new SegmentIndex(segment.baseOffset);
    if (snapshot && segment.baseOffset === snapshot.facts.segment) {
      const known = snapshot.facts.segments.at(-1)!;
      segment.assume({ ...known, maxTimestampMs: known.maxTimestampMs ?? -Infinity });
      segment.index = snapshot.index;
    }
    const from = segment.bytes;
    const holes = this.#mayHaveHoles(segment);
    const end = await this.#scan(segment, { size, holes, spare: isLast }, (header) => {
      this.#epochs.add(header.leaderEpoch, header.baseOffset);
      this.#options.state.replay(header);
    });
    if (isLast || !(await this.#wasSealed(segment))) {
      // The last process may have ended before this was on the disk, or after a write of it had failed; from now on it counts as
      // durable. Written anew, because after a failed write the system takes what it has in memory for clean.
      await rewritePart(this.#files, segment.path, from, segment.bytes);
    }
    if (end.kind === 'end') return undefined;
    return isLast ? this.#salvage.endLast(segment, end, size) : this.#salvage.setAside(segment, end, size);
  }

  /** Whether there is an index of just what was read, which is only made of what is on the disk; it also knows when that was appended. */
  async #wasSealed(segment: Segment): Promise<boolean> {
    const read = await readIndex(this.#files, segment.indexPath);
    if (read?.facts.bytes !== segment.bytes || read.facts.nextOffset !== segment.nextOffset) return false;
    segment.assume(read.facts);
    return true;
  }

  #mayHaveHoles(segment: Segment): boolean {
    return this.#compaction.facts.hasHoles || this.#wasRewritten(segment);
  }

  /** Whether compaction may have written it anew. */
  #wasRewritten({ baseOffset }: Segment): boolean {
    return baseOffset < this.#compaction.facts.rewrittenBelow;
  }

  /** Checks everything from the end of what is known of `segment`, and takes note of it. */
  async #scan(
    segment: Segment,
    { size, holes, spare }: { readonly size: number; readonly holes: boolean; readonly spare: boolean },
    visit: (header: BatchHeader) => void,
  ): Promise<ScanEnd> {
    const from = segment.bytes;
    if (from === size) return { position: size, nextOffset: segment.nextOffset, kind: 'end', reason: '' };
    const end = await withFile(this.#files, segment.path, (file) =>
      scanSegment(
        file,
        { from, to: size },
        (header) => {
          const { baseOffset, lastOffsetDelta, batchBytes, maxTimestampMs } = header;
          segment.add(baseOffset, baseOffset + lastOffsetDelta + 1, batchBytes, maxTimestampMs, this.#wallMs);
          visit(header);
          return undefined;
        },
        { expectedOffset: segment.nextOffset, holes, spare, verifyCrc: true },
      ),
    );
    this.#scannedBytes += (end.kind === 'end' ? end.position : size) - from;
    return end;
  }

  /** The first segment of a log that has none; the directories above may be as new. */
  async #beginAnew(snapshot: Snapshot | undefined): Promise<void> {
    if (snapshot && snapshot.facts.logStart < snapshot.facts.offset) {
      const { logStart, offset } = snapshot.facts;
      this.#orderly = false;
      await this.#loss.note(logStart);
      this.#options.observer.onCorrupt(this.#directory, 0, `offsets ${logStart} to ${offset} are in no file`);
    }
    let above = this.#directory;
    for (let level = 0; level < NEW_DIRECTORIES; level++) {
      above = dirname(above);
      await this.#files.syncDirectory(above);
    }
    // The one that the data directory is in may be somebody else's.
    await this.#files.syncDirectory(dirname(above)).catch((error: unknown) => {
      if (!NOT_OURS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    });
    await this.#beginSegment(snapshot?.facts.offset ?? this.#options.firstOffset);
  }

  async #beginSegment(offset: number): Promise<void> {
    const segment = Segment.active(this.#directory, offset);
    const file = await this.#files.open(segment.path, { create: true });
    await file.close();
    await this.#files.syncDirectory(this.#directory);
    this.#segments.push(segment);
  }

  /**
   * Files that end before what a snapshot says was on the disk: somebody, or the disk, has lost something. The log goes on behind
   * that, so that no offset stands for two records; what is missing is reported with other gaps.
   */
  async #checkEnd(): Promise<void> {
    const active = this.#segments.at(-1)!;
    if (active.nextOffset >= this.#storedEnd) return;
    this.#orderly = false;
    active.index = undefined;
    await cutFile(this.#files, active.path, active.bytes);
    await this.#beginSegment(this.#storedEnd);
  }

  /** The last segment has its index in memory. */
  async #activate(): Promise<void> {
    const active = this.#segments.at(-1)!;
    active.index = await this.#options.shared.indexes.load(active);
    this.#options.shared.indexes.forget(active.indexPath);
  }

  /** Segments that should be there between two others, and are not. */
  async #findLost(): Promise<void> {
    for (const [at, segment] of this.#segments.entries()) {
      const next = this.#segments[at + 1];
      if (!next || next.baseOffset <= segment.nextOffset) continue;
      if (segment.lostBehind !== undefined) continue;
      await this.#loss.note(segment.nextOffset);
      segment.lostBehind = `offsets ${segment.nextOffset} to ${next.baseOffset} are in no file`;
      this.#options.observer.onCorrupt(segment.path, segment.bytes, segment.lostBehind);
    }
  }

  #report(): void {
    const { isUsed, truncatedBytes } = this.#salvage;
    if (this.#orderly && !isUsed && this.#rebuiltIndexes === 0) return;
    this.#options.observer.onRecovered({
      directory: this.#directory,
      truncatedBytes,
      scannedBytes: this.#scannedBytes,
      rebuiltIndexes: this.#rebuiltIndexes,
    });
  }
}

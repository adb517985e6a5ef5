import { basename } from 'node:path';
import { copyPart, cutFile, withFile } from './damage.ts';
import type { DiskLogOptions } from './disk-log-options.ts';
import { MAX_WRITE_BYTES } from './disk-log-options.ts';
import { KEPT_ASIDE, filePath } from './file-names.ts';
import type { FileSizes } from './file-sizes.ts';
import type { FileSystem } from './file-system.ts';
import type { LossMark } from './loss-mark.ts';
import { AT_END } from './loss-mark.ts';
import { findNextBatch } from './segment-scan.ts';
import type { BatchPlace, ScanEnd } from './segment-scan.ts';
import type { Segment } from './segment.ts';

/** A single batch may be larger than {@link MAX_WRITE_BYTES}, is then a write of its own, and may contain what looks like a batch. */
const TORN_MAX_BYTES = 5 * MAX_WRITE_BYTES;

/** What is done about segments that end in something that is no batch: as little is lost as can be, and nothing without a word. */
export class Salvage {
  /** Cut off behind the last batch of the log. */
  truncatedBytes = 0;
  /** There was something to be done. */
  isUsed = false;
  readonly #options: DiskLogOptions;
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #loss: LossMark;
  readonly #sizes: FileSizes;

  constructor(options: DiskLogOptions, loss: LossMark, sizes: FileSizes) {
    this.#options = options;
    this.#files = options.shared.files;
    this.#directory = options.directory;
    this.#loss = loss;
    this.#sizes = sizes;
  }

  /**
   * What is no batch at the end of the last segment: an unfinished write, or damage.
   *
   * @param size of the file, bytes
   * @returns as {@link setAside}
   */
  async endLast(segment: Segment, end: ScanEnd, size: number): Promise<number | undefined> {
    this.isUsed = true;
    const cut = size - end.position;
    const next = await this.#batchBehind(segment, end, size);
    const isDurable = this.#options.settings.flush === 'always';
    const isFar = cut > (next?.isStated === true ? MAX_WRITE_BYTES : TORN_MAX_BYTES);
    if (next && isDurable && isFar) return this.setAside(segment, end, size);
    // What is only too short was being written, and was not acknowledged; with O_DSYNC that may be torn in any other way, too.
    if (next || (!isDurable && end.isShort !== true)) await this.#loss.note(AT_END);
    if (next) {
      // Blocks of one write may reach the disk in any order, so whole batches behind the damage prove nothing: keeping them, without
      // what was to come before them, would break the order of a producer that sends it again. But who knows.
      if (isDurable) this.#options.observer.onCorrupt(segment.path, end.position, end.reason);
      await this.#keepAside(segment, size);
    }
    await cutFile(this.#files, segment.path, end.position);
    this.truncatedBytes += cut;
    return undefined;
  }

  /**
   * Damage in the middle: reports it, keeps a copy, and makes a segment of what is whole behind it.
   *
   * @param size of the file, bytes
   * @returns base offset of that segment; undefined: there is nothing whole
   */
  async setAside(segment: Segment, end: ScanEnd, size: number): Promise<number | undefined> {
    this.isUsed = true;
    await this.#loss.note(end.nextOffset);
    this.#options.observer.onCorrupt(segment.path, end.position, end.reason);
    await this.#keepAside(segment, size);
    const next = await this.#batchBehind(segment, end, size);
    if (next) {
      const to = filePath(this.#directory, next.baseOffset, 'log');
      await copyPart(this.#files, this.#directory, {
        from: segment.path,
        to,
        start: next.position,
        end: size,
      });
      this.#sizes.forget(to);
    }
    await cutFile(this.#files, segment.path, end.position);
    segment.lostBehind = `at byte ${end.position}: ${end.reason}`;
    return next?.baseOffset;
  }

  #batchBehind(segment: Segment, end: ScanEnd, size: number): Promise<BatchPlace | undefined> {
    return withFile(this.#files, segment.path, (file) =>
      // Damage costs an offset at least; what begins at this one is part of what is damaged.
      findNextBatch(file, { from: end.position, to: size }, segment.nextOffset + 1),
    );
  }

  /** Copies a file as it was found; beside what was kept of it before. */
  async #keepAside({ path }: Segment, size: number): Promise<void> {
    const names = await this.#files.list(this.#directory);
    let to = `${path}${KEPT_ASIDE}`;
    for (let n = 2; names.includes(basename(to)); n++) to = `${path}.${n}${KEPT_ASIDE}`;
    await copyPart(this.#files, this.#directory, { from: path, to, start: 0, end: size });
  }
}

import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { storageError } from '../../kernel/storage-error.ts';
import { ActiveFile } from './active-file.ts';
import type { DiskLogSettings } from './disk-log-options.ts';
import { MAX_WRITE_BYTES, segmentBytesOf, segmentMsOf, segmentRecordsOf } from './disk-log-options.ts';
import type { DiskShared } from './disk-shared.ts';
import type { SegmentStore } from './segment-store.ts';
import { Segment } from './segment.ts';
import { replaceFile } from './snapshots.ts';

/** Bytes of one log that wait for the disk; above it appends are OVERLOADED. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** Offsets in an index are 32 bits, relative to the segment's first, and a few bytes of compressed batch may claim millions of records. */
const MAX_SEGMENT_OFFSETS = 2 ** 31;
/** More offsets than any segment has, so that compaction leaves no hole that is larger; with one the index has its 32 bits. */
const MAX_HOLE_OFFSETS = 2 ** 32 - 1;

/** A batch on its way to the file. */
export interface PendingBatch {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly maxTimestampMs: number;
  /** Milliseconds since 1970. */
  readonly appendedMs: number;
}

/** The end of a segment that may be nowhere but in the memory of the system. */
export interface UnsyncedEnd {
  readonly segment: Segment;
  /** Where it begins: byte and offset. */
  readonly position: number;
  readonly offset: number;
}

/** What a writer tells its log. */
export interface WriterHost {
  readonly directory: string;
  readonly clock: Clock;
  readonly settings: DiskLogSettings;
  /** Milliseconds since 1970, never falling. */
  wallMs(): number;
  /** Before a write, while nothing is half done. */
  beforeWrite(): void;
  /** Before a write that leaves a hole behind what was written. */
  beforeHole(): Promise<void>;
  /** A batch is in the file, and on the disk where every write is. */
  onBatch(nextOffset: number): void;
  /** The active segment is another one. */
  onRolled(): void;
  /** A whole write is done. */
  onWritten(): void;
  /** A write, or a sync, failed: nothing behind what was written is, or will be. */
  onFailed(error: SluiceError): void;
}

/**
 * Puts batches into the active segment: all that wait share one write, and one thing is done at a time.
 *
 *     append ─> waiting ─> [ write ≤ 4 MiB ] [ write ] [ job ] [ roll, write ] …
 */
export class LogWriter {
  readonly #host: WriterHost;
  readonly #store: SegmentStore;
  readonly #shared: DiskShared;
  readonly #jobs: (() => Promise<void>)[] = [];
  #waiting: PendingBatch[] = [];
  #waitingBytes = 0;
  #file: ActiveFile | undefined;
  #unsynced = false;
  /** Up to where the active segment is known to be on the disk, where not every write is durable. */
  #synced: UnsyncedEnd;
  /** Why nothing that is done with the open file proves anything any more. */
  #broken: SluiceError | undefined;
  #running = false;
  #stopped = false;
  #sealing: Promise<void> = Promise.resolve();

  constructor(host: WriterHost, store: SegmentStore, shared: DiskShared) {
    this.#host = host;
    this.#store = store;
    this.#shared = shared;
    this.#synced = endOf(store.active);
  }

  /** What was written and is not known to be on the disk. */
  get unsynced(): UnsyncedEnd | undefined {
    return this.#unsynced ? this.#synced : undefined;
  }

  /** Opens the active segment for writing. @throws what the file system says */
  async open(): Promise<void> {
    await this.closeFile();
    const { path, bytes } = this.#store.active;
    this.#file = await ActiveFile.open(this.#shared.files, path, this.#wantsDurable, bytes);
    this.#unsynced = false;
    this.#broken = undefined;
    this.#synced = endOf(this.#store.active);
  }

  /** @throws OVERLOADED when the disk is too far behind */
  checkRoom(bytes: number): void {
    const { writeBudget } = this.#shared;
    const own = this.#waitingBytes + bytes <= MAX_WAITING_BYTES || this.#waitingBytes === 0;
    if (own && writeBudget.usedBytes + bytes <= writeBudget.limitBytes) return;
    throw new SluiceError('OVERLOADED', 'the disk is slower than what is published; try again later');
  }

  append(batch: PendingBatch): void {
    this.#waiting.push(batch);
    this.#count(batch.bytes.length);
    this.#kick();
  }

  /** Forgets what waits. */
  drop(): void {
    this.#waiting = [];
    this.#count(-this.#waitingBytes);
  }

  /** Does something while nothing is being written. @throws what it throws */
  run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#stopped) return Promise.reject(new SluiceError('CLOSED', 'the log is closed'));
    return new Promise((resolve, reject) => {
      this.#jobs.push(() => job().then(resolve, reject));
      this.#kick();
    });
  }

  /** Resolves when the index of every full segment is written, or will not be. */
  sealed(): Promise<void> {
    return this.#sealing;
  }

  /** Goes over to a file that is flushed as the settings say now; part of a job. @throws what the file system says */
  async adaptFlush(): Promise<void> {
    await this.sync();
    if (this.#isDurable === this.#wantsDurable) return;
    if (this.#store.active.bytes > 0) await this.roll();
    else await this.open();
  }

  /** Makes durable what was written; part of a job. @throws what the file system says */
  async sync(): Promise<void> {
    if (!this.#unsynced) return;
    // A sync after one that failed succeeds, and says nothing about what the failed one left.
    if (this.#broken) throw this.#broken;
    try {
      await this.#file?.sync();
    } catch (error) {
      this.fail(error);
      throw error;
    }
    this.#unsynced = false;
    this.#synced = endOf(this.#store.active);
  }

  /** {@link sync}, between writes. */
  async syncNow(): Promise<void> {
    if (this.#unsynced) await this.run(() => this.sync());
  }

  /** Closes the active segment and begins another; part of a job. @throws what the file system says */
  async roll(): Promise<void> {
    const { active } = this.#store;
    if (active.bytes === 0 && this.#file !== undefined) return;
    await this.sync();
    const { files } = this.#shared;
    const { directory } = this.#host;
    // Before there is another: only the last segment may have room behind its batches.
    await this.trim();
    const next = Segment.active(directory, active.nextOffset);
    const file = await ActiveFile.open(files, next.path, this.#wantsDurable, 0);
    try {
      // Of an earlier attempt whose end was not written down.
      await file.trim(0);
      await files.syncDirectory(directory);
      await this.closeFile();
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#file = file;
    this.#store.segments.push(next);
    this.#synced = endOf(next);
    this.#seal(active);
    this.#host.onRolled();
  }

  /** Takes away the room behind the last batch, durably; part of a job. @throws what the file system says */
  async trim(): Promise<void> {
    await this.#file?.trim(this.#store.active.bytes);
  }

  /** Closes the active segment's file, after everything else that is being written. */
  async closeFile(): Promise<void> {
    await this.#sealing;
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** Takes nothing more. */
  stop(): void {
    this.#stopped = true;
    this.drop();
  }

  get #isDurable(): boolean {
    return this.#file?.isDurable === true;
  }

  get #wantsDurable(): boolean {
    return this.#host.settings.flush === 'always';
  }

  #kick(): void {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    // After everything of this tick: what was published together is written together.
    queueMicrotask(() => void this.#work());
  }

  async #work(): Promise<void> {
    for (;;) {
      const job = this.#jobs.shift();
      if (job) await job();
      else if (this.#waiting.length > 0) await this.#write();
      else break;
    }
    this.#running = false;
  }

  async #write(): Promise<void> {
    try {
      this.#host.beforeWrite();
      if (this.#isDurable !== this.#wantsDurable) await this.adaptFlush();
      if (this.#isFull()) await this.roll();
      const batches = this.#takeSome();
      if (this.#leaveHole(batches)) await this.#host.beforeHole();
      if (batches.length > 0) await this.#writeOut(batches);
    } catch (cause) {
      this.fail(cause);
    }
  }

  /** What was to be written is not, and must not count as written ever. */
  fail(cause: unknown): void {
    this.#broken = storageError(cause, `cannot write ${this.#store.active.path}`);
    this.drop();
    this.#host.onFailed(this.#broken);
  }

  async #writeOut(batches: readonly PendingBatch[]): Promise<void> {
    const { active } = this.#store;
    const { clock } = this.#host;
    const { counters } = this.#shared;
    const startedMs = clock.monotonicMs();
    await this.#file!.write(
      batches.map(({ bytes }) => bytes),
      active.bytes,
    );
    counters.writeTimes.record(clock.monotonicMs() - startedMs);
    this.#unsynced = !this.#isDurable;
    for (const { bytes, baseOffset, nextOffset, maxTimestampMs, appendedMs } of batches) {
      active.add(baseOffset, nextOffset, bytes.length, maxTimestampMs, appendedMs);
      counters.writtenBytes += bytes.length;
      this.#count(-bytes.length);
      this.#host.onBatch(nextOffset);
    }
    this.#host.onWritten();
  }

  /** What the next write takes, in order: as much as fits it and the segment, at least one batch. */
  #takeSome(): PendingBatch[] {
    const { active } = this.#store;
    const room = segmentBytesOf(this.#host.settings) - active.bytes;
    const end = active.baseOffset + MAX_SEGMENT_OFFSETS;
    let count = 0;
    let bytes = 0;
    for (const batch of this.#waiting) {
      bytes += batch.bytes.length;
      if (count > 0 && (bytes > MAX_WRITE_BYTES || bytes > room || batch.nextOffset > end)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  #leaveHole(batches: readonly PendingBatch[]): boolean {
    let end = this.#store.active.nextOffset;
    for (const { baseOffset, nextOffset } of batches) {
      if (baseOffset !== end) return true;
      end = nextOffset;
    }
    return false;
  }

  #isFull(): boolean {
    const { active } = this.#store;
    if (active.bytes === 0) return false;
    const { settings } = this.#host;
    const next = this.#waiting[0];
    return (
      active.bytes + (next?.bytes.length ?? 0) > segmentBytesOf(settings) ||
      active.nextOffset - active.baseOffset >= segmentRecordsOf(settings) ||
      (next?.nextOffset ?? active.nextOffset) - active.baseOffset > MAX_SEGMENT_OFFSETS ||
      this.#host.wallMs() - active.firstAppendMs >= segmentMsOf(settings)
    );
  }

  /** Writes the index beside; when that fails it is made anew from the segment some day. */
  #seal(segment: Segment): void {
    const index = segment.index!;
    segment.index = undefined;
    this.#shared.indexes.keep(segment.indexPath, index);
    const { files } = this.#shared;
    const bytes = index.encode(segment);
    this.#sealing = this.#sealing
      .then(() => replaceFile(files, this.#host.directory, segment.indexPath, bytes))
      .catch(() => undefined);
  }

  #count(bytes: number): void {
    this.#waitingBytes += bytes;
    this.#shared.writeBudget.take(bytes);
  }
}

/**
 * Whether a batch may come next.
 * @throws TypeError below the end of the log; CORRUPT_BATCH too far above it
 */
export function checkPlace(baseOffset: number, logEnd: number): void {
  if (baseOffset < logEnd) throw new TypeError(`batch begins at ${baseOffset}, the log ends at ${logEnd}`);
  if (baseOffset - logEnd <= MAX_HOLE_OFFSETS) return;
  throw new SluiceError(
    'CORRUPT_BATCH',
    `a batch of offset ${baseOffset} behind a log that ends at ${logEnd}`,
  );
}

function endOf(segment: Segment): UnsyncedEnd {
  return { segment, position: segment.bytes, offset: segment.nextOffset };
}

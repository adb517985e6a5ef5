import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { storageError } from '../../kernel/storage-error.ts';
import type { CompactedFile, CompactionSource } from './compacted-file.ts';
import { compactSegments } from './compaction.ts';
import type { CompactionState } from './compaction-state.ts';
import type { DiskLogObserver, DiskLogSettings } from './disk-log-options.ts';
import { segmentBytesOf, segmentMsOf, segmentRecordsOf } from './disk-log-options.ts';
import type { DiskShared } from './disk-shared.ts';
import type { OnCorrupt, SegmentStore } from './segment-store.ts';
import { Segment } from './segment.ts';
import type { Snapshots } from './snapshots.ts';
import { removeIfThere } from './snapshots.ts';

/** A log is compacted when at least this part of what could be compacted has not been. */
const DUE_SHARE = 0.5;
/** After a failure it is tried again so much later. */
const RETRY_MS = 60_000;

/** What a cleaner knows of its log. */
export interface CleanerHost {
  readonly directory: string;
  readonly clock: Clock;
  readonly settings: DiskLogSettings;
  /** See `PartitionLog.retainedFrom`. */
  readonly retainedFrom: (() => number) | undefined;
  /** See `PartitionLog.isEverywhere`. */
  readonly isEverywhere: (() => boolean) | undefined;
  /** Milliseconds since 1970, never falling. */
  wallMs(): number;
}

/** What a cleaner works with. */
export interface CleanerParts {
  readonly store: SegmentStore;
  readonly snapshots: Snapshots;
  readonly state: CompactionState;
  readonly shared: DiskShared;
  readonly onCorrupt: OnCorrupt;
  readonly observer: DiskLogObserver;
}

/**
 * Has a log compacted when it is time, one log of a node after the other, beside everything else that goes on.
 *
 * Only segments that lie before the newest snapshot's are touched, and snapshots that lie in them are removed first: a snapshot names a
 * position in a file, and must never be found beside that file in another form. And only what will not be cut off any more: nothing may go for the
 * sake of a record that does not stay.
 */
export class LogCleaner {
  readonly #host: CleanerHost;
  readonly #parts: CleanerParts;
  #control: AbortController | undefined;
  #running: Promise<void> | undefined;
  #isHeld = false;
  #isInstalling = false;
  #notBeforeMs = -Infinity;
  /** Files that were merged into others, and could not be removed. */
  #leftovers: string[] = [];

  constructor(host: CleanerHost, parts: CleanerParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** Whether files are being replaced, so that none may be removed now. */
  get isInstalling(): boolean {
    return this.#isInstalling;
  }

  /** Begins a compaction when one is due and no other log is being compacted. To be called now and then. */
  consider(): void {
    if (this.#running || this.#isHeld || !this.#isDue()) return;
    const control = new AbortController();
    const running = this.#parts.shared.compactions.tryRun(() => this.#run(control.signal));
    if (!running) return;
    this.#control = control;
    this.#running = running.finally(() => {
      this.#running = undefined;
    });
  }

  /** Stops what is going on, and begins nothing until {@link resume}. Files are whole when it resolves. */
  async hold(): Promise<void> {
    this.#isHeld = true;
    this.#control?.abort();
    await this.#running;
  }

  resume(): void {
    this.#isHeld = false;
  }

  /** The log is empty, and begins anew; part of {@link hold}. */
  reset(): void {
    this.#leftovers = [];
    this.#parts.state.reset();
  }

  /** A batch is about to be written behind a hole. Durable when it resolves. @throws what the file system says */
  beginHoles(): Promise<void> {
    return this.#parts.state.beginHoles();
  }

  /** Whether there may be holes between batches anywhere. */
  get hasHoles(): boolean {
    return this.#parts.state.facts.hasHoles;
  }

  /** The log is about to be cut off at `offset`; part of {@link hold}. Durable when it resolves. @throws what the file system says */
  async truncate(offset: number): Promise<void> {
    await this.#removeLeftovers();
    await this.#parts.state.truncate(offset);
  }

  #isDue(): boolean {
    const { settings } = this.#host;
    const wallMs = this.#host.wallMs();
    if (settings.cleanup === 'delete' || wallMs < this.#notBeforeMs) return false;
    const { state } = this.#parts;
    const candidates = this.#candidates();
    const end = candidates.at(-1)?.nextOffset ?? 0;
    // After a start it takes a while until it is known again what is there to stay.
    if (end === 0 || end < state.facts.compactedBelow) return false;
    let total = 0;
    let uncompacted = 0;
    for (const { bytes, nextOffset } of candidates) {
      total += bytes;
      if (nextOffset > state.facts.compactedBelow) uncompacted += bytes;
    }
    if (uncompacted > 0 && uncompacted >= total * DUE_SHARE) return true;
    return this.#tombstonesMayGo && state.tombstonesDueMs(settings.tombstoneMs) <= wallMs;
  }

  /** No replica is left that has what they delete, and would not hear of it any more. */
  get #tombstonesMayGo(): boolean {
    return this.#host.isEverywhere?.() ?? true;
  }

  /** Sealed segments before that of the newest snapshot, and of which all is there to stay; oldest first. */
  #candidates(): Segment[] {
    const { store, snapshots } = this.#parts;
    const upTo = this.#host.retainedFrom?.() ?? Infinity;
    return store.segments
      .slice(0, -1)
      .filter(({ nextOffset }) => nextOffset < snapshots.newest && nextOffset <= upTo);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { store } = this.#parts;
    const first = store.segments[0]!.baseOffset;
    try {
      await this.#removeLeftovers();
      while (!signal.aborted && !(await this.#round(signal)));
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'CANCELLED') return;
      if (!isExpected(error)) throw error;
      // Retention took files away under it.
      if (store.segments[0]!.baseOffset !== first) return;
      this.#notBeforeMs = this.#host.wallMs() + RETRY_MS;
      this.#parts.shared.counters.compactionFailures++;
      this.#parts.observer.onCompactionFailed?.(
        storageError(error, `cannot compact ${this.#host.directory}`),
      );
    }
  }

  /** @returns whether that was the last one */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { state, snapshots, shared, onCorrupt } = this.#parts;
    const { directory, clock, settings } = this.#host;
    const { tombstoneMs } = settings;
    const expiredBelow = state.expiredBelow(tombstoneMs, this.#host.wallMs());
    const segments = this.#candidates();
    const end = segments.at(-1)?.nextOffset ?? 0;
    await snapshots.removeUpTo(end);
    await state.begin(end);
    const result = await compactSegments({
      directory,
      files: shared.files,
      clock,
      random: shared.random,
      limits: {
        mapBytes: shared.compactionBytes,
        segmentBytes: segmentBytesOf(settings),
        segmentMs: segmentMsOf(settings),
        segmentRecords: segmentRecordsOf(settings),
      },
      segments: segments.map((segment) => this.#sourceOf(segment)),
      compactedBelow: state.facts.compactedBelow,
      tombstonesBelow: this.#tombstonesMayGo ? expiredBelow : 0,
      tombstoneParts: state.facts.tombstones.map(({ below }) => below),
      signal,
      onCorrupt,
      onReplacing: (sources) => this.#onReplacing(sources),
      onReplaced: (sources, output) => this.#onReplaced(sources, output),
      onInstalled: () => (this.#isInstalling = false),
    });
    this.#leftovers = [];
    await state.finish(result.compactedBelow, result.withTombstones, tombstoneMs, this.#host.wallMs());
    shared.counters.compactions++;
    shared.counters.compactedBytes += result.readBytes;
    shared.counters.freedBytes += result.freedBytes;
    return result.isComplete;
  }

  #sourceOf(segment: Segment): CompactionSource {
    const { baseOffset, nextOffset, bytes, maxTimestampMs, firstAppendMs, lastAppendMs } = segment;
    const { path, indexPath, lostBehind } = segment;
    const facts = { baseOffset, nextOffset, bytes, maxTimestampMs, firstAppendMs, lastAppendMs };
    const loadIndex = () => this.#parts.shared.indexes.load(segment);
    return { ...facts, path, indexPath, lostBehind, loadIndex };
  }

  #onReplacing(sources: readonly CompactionSource[]): void {
    if (this.#isHeld) throw new SluiceError('CANCELLED', 'compaction was stopped');
    const segments = this.#find(sources);
    this.#isInstalling = true;
    for (const segment of segments) segment.beginReplacing();
  }

  #onReplaced(sources: readonly CompactionSource[], output: CompactedFile | undefined): void {
    const { store, shared } = this.#parts;
    const segments = this.#find(sources);
    if (output) {
      const segment = new Segment(this.#host.directory, sources[0]!.baseOffset);
      segment.assume(output.facts);
      segment.lostBehind = segments.at(-1)!.lostBehind;
      store.replace(segments, segment);
      for (const { path, indexPath } of sources) {
        shared.openFiles.forget(path);
        shared.indexes.forget(indexPath);
      }
      shared.indexes.keep(segment.indexPath, output.index);
      this.#leftovers = sources.slice(1).map(({ path }) => path);
    }
    for (const segment of segments) segment.endReplacing(output !== undefined);
  }

  /** The log's segments. @throws CANCELLED when they are not all there any more, one behind the other */
  #find(sources: readonly CompactionSource[]): Segment[] {
    const { segments } = this.#parts.store;
    const at = segments.findIndex(({ baseOffset }) => baseOffset === sources[0]!.baseOffset);
    const found = segments.slice(Math.max(0, at), at + sources.length);
    const isSame = found.every(
      ({ baseOffset, bytes }, n) => baseOffset === sources[n]!.baseOffset && bytes === sources[n]!.bytes,
    );
    if (at >= 0 && isSame && found.length === sources.length) return found;
    throw new SluiceError('CANCELLED', 'what was to be compacted is gone');
  }

  async #removeLeftovers(): Promise<void> {
    const { files } = this.#parts.shared;
    if (this.#leftovers.length === 0) return;
    for (const path of this.#leftovers) await removeIfThere(files, path);
    await files.syncDirectory(this.#host.directory);
    this.#leftovers = [];
  }
}

/** Whether it is what a disk may do to anybody. */
function isExpected(error: unknown): boolean {
  return error instanceof SluiceError || (error instanceof Error && 'syscall' in error);
}

import type { LeaderEpochs } from '../leader-epochs.ts';
import type { RetentionLimits } from '../partition-log.ts';
import type { DiskLogSettings } from './disk-log-options.ts';
import type { LogCleaner } from './log-cleaner.ts';
import { activeExpired, expiredSegments } from './retention.ts';
import type { SegmentRemoval } from './segment-removal.ts';
import type { SegmentStore } from './segment-store.ts';
import type { SnapshotSchedule } from './snapshot-schedule.ts';

const NO_LIMITS = { retentionBytes: 0, retentionMs: 0, retentionRecords: 0 };

/** What the start of a log knows of it. */
export interface StartHost {
  readonly settings: DiskLogSettings;
  /** See `PartitionLog.retainedFrom`. */
  readonly retainedFrom: (() => number) | undefined;
  /** Milliseconds since 1970, never falling. */
  wallMs(): number;
}

/** What the start of a log works with. */
export interface StartParts {
  readonly store: SegmentStore;
  readonly snapshots: SnapshotSchedule;
  readonly epochs: LeaderEpochs;
  readonly cleaner: LogCleaner;
  readonly removal: SegmentRemoval;
}

/**
 * Where a log starts. It moves up when somebody deletes what is below, and when retention drops whole segments; the files of segments that are
 * below it go, except for the active one's.
 */
export class LogStart {
  readonly #host: StartHost;
  readonly #parts: StartParts;
  #offset: number;
  /** A segment more than when retention was looked at last. */
  #isDue = false;

  constructor(host: StartHost, parts: StartParts, offset: number) {
    this.#host = host;
    this.#parts = parts;
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  /** All that is in the active segment is deleted; it goes when it is no longer the active one. */
  get isActivePassed(): boolean {
    const { active } = this.#parts.store;
    return active.bytes > 0 && this.#offset >= active.nextOffset;
  }

  /** There is a segment more. */
  rolled(): void {
    this.#isDue = true;
  }

  /** Drops segments that are above the limits, if there is one more than before. */
  enforceIfDue(): void {
    if (this.#isDue) this.#drop(this.#limits);
  }

  /**
   * Drops what is above the limits.
   *
   * @param idleEnd where the log ends; undefined: not all of it is durable, so the active segment is not looked at
   */
  enforce(idleEnd: number | undefined): void {
    const { store, removal } = this.#parts;
    if (idleEnd !== undefined && idleEnd <= this.#retainedFrom) {
      if (activeExpired(store.active, this.#limits, this.#host.wallMs())) this.#offset = idleEnd;
    }
    this.#drop(this.#limits);
    removal.begin();
  }

  /** Everything below `offset`, which is above where it starts, is deleted. */
  moveUp(offset: number): void {
    this.#offset = offset;
    this.#parts.snapshots.want();
    this.dropDeleted();
  }

  /** Drops segments that are below where it starts, and nothing else. */
  dropDeleted(): void {
    this.#drop(NO_LIMITS);
  }

  /** The log was cut off at `end`. */
  endAt(end: number): void {
    this.#offset = Math.min(this.#offset, end);
  }

  /** The log is empty and begins here. */
  beginAt(offset: number): void {
    this.#offset = offset;
  }

  get #limits(): RetentionLimits {
    const { settings } = this.#host;
    return settings.cleanup === 'compact' ? NO_LIMITS : settings;
  }

  get #retainedFrom(): number {
    return this.#host.retainedFrom?.() ?? Infinity;
  }

  #drop(limits: RetentionLimits): void {
    const { store, snapshots, epochs, cleaner, removal } = this.#parts;
    // Files that are being replaced go later, when this is looked at again.
    if (cleaner.isInstalling) return;
    this.#isDue = false;
    const { segments } = store;
    const upTo = this.#retainedFrom;
    const count = expiredSegments(segments, limits, this.#offset, upTo, this.#host.wallMs());
    if (count === 0) return;
    const gone = segments.splice(0, count);
    this.#offset = Math.max(this.#offset, segments[0]!.baseOffset);
    epochs.dropBefore(this.#offset);
    store.changed();
    snapshots.want();
    removal.begin(gone);
  }
}

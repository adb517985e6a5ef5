import type { Clock } from '../../kernel/clock.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import type { LogState } from '../log-state.ts';
import type { RetentionLimits } from '../partition-log.ts';
import type { DiskShared } from './disk-shared.ts';

const MiB = 1024 * 1024;
const LARGEST_SEGMENT_BYTES = 128 * MiB;
const SMALLEST_SEGMENT_BYTES = MiB;
/** What retention bounds is dropped a segment at a time: this many of them make the whole. */
const SEGMENTS_PER_RETENTION = 8;

/**
 * One write takes this much at most, and nothing that was acknowledged lies behind a write that was not. So damage that begins
 * closer to the end of the active segment may be a write that the crash interrupted; farther away it is not.
 */
export const MAX_WRITE_BYTES = 4 * 1024 * 1024;

/** How a log on disk keeps its records. */
export interface DiskLogSettings extends RetentionLimits {
  /**
   * When what was appended counts as durable. `always`: it is on the disk. `interval`: the system has it, and the disk every
   * `flushIntervalMs`. `os`: the system has it, and the disk when the system likes. All survive the end of the process, only
   * `always` a loss of power.
   */
  readonly flush: 'always' | 'interval' | 'os';
  readonly flushIntervalMs: number;
  /** `delete`: the oldest go by the limits. `compact`: of each key the latest stays. Or both. */
  readonly cleanup: 'delete' | 'compact' | 'compact,delete';
  /** How long a record without value, which deletes its key, is kept for readers to see. */
  readonly tombstoneMs: number;
  /** Size at which a segment is closed and the next begun. Default: an eighth of `retentionBytes`, 1 to 128 MiB. */
  readonly segmentBytes?: number;
}

/** What a log tells its owner. Callbacks must not throw. */
export interface DiskLogObserver {
  /** The log was opened after an end that was not orderly, or found files that did not fit. */
  onRecovered(found: {
    readonly directory: string;
    /** Bytes of unfinished writes that were cut off. */
    readonly truncatedBytes: number;
    readonly scannedBytes: number;
    readonly rebuiltIndexes: number;
  }): void;
  /** What was stored at `position` of `file` is damaged. */
  onCorrupt(file: string, position: number, reason: string): void;
  /** Appends are refused from now on. */
  onFault(error: SluiceError): void;
  /** Appends are taken again. */
  onHealed(): void;
  /** Compaction did not come to its end, and is tried again later; nothing else is affected. */
  onCompactionFailed?(error: SluiceError): void;
}

/** What a log on disk needs. */
export interface DiskLogOptions {
  /** Its own directory; made when it is missing. */
  readonly directory: string;
  readonly clock: Clock;
  /** Where offsets begin when the directory is empty. */
  readonly firstOffset: number;
  /** It lacks something already: what was here before is gone. */
  readonly isIncomplete?: boolean | undefined;
  readonly settings: DiskLogSettings;
  readonly state: LogState;
  readonly shared: DiskShared;
  readonly observer: DiskLogObserver;
}

/** Bytes at which a segment is full. */
export function segmentBytesOf({ segmentBytes, retentionBytes }: DiskLogSettings): number {
  if (segmentBytes !== undefined) return segmentBytes;
  if (retentionBytes === 0) return LARGEST_SEGMENT_BYTES;
  const share = Math.ceil(retentionBytes / SEGMENTS_PER_RETENTION);
  return Math.min(LARGEST_SEGMENT_BYTES, Math.max(SMALLEST_SEGMENT_BYTES, share));
}

/** Age of a segment's first batch, ms, at which it is full; Infinity without a bound. */
export function segmentMsOf({ retentionMs }: DiskLogSettings): number {
  return retentionMs === 0 ? Infinity : Math.max(1000, retentionMs / SEGMENTS_PER_RETENTION);
}

/** Offsets at which a segment is full; Infinity without a bound. */
export function segmentRecordsOf({ retentionRecords }: DiskLogSettings): number {
  return retentionRecords === 0 ? Infinity : Math.max(1, retentionRecords / SEGMENTS_PER_RETENTION);
}

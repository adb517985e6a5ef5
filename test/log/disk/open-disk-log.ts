import type { Clock } from '../../../src/kernel/clock.ts';
import type { DiskLogObserver, DiskLogSettings } from '../../../src/log/disk/disk-log-options.ts';
import { DiskLog } from '../../../src/log/disk/disk-log.ts';
import type { DiskShared } from '../../../src/log/disk/disk-shared.ts';
import { createDiskShared } from '../../../src/log/disk/disk-shared.ts';
import type { LogState } from '../../../src/log/log-state.ts';
import type { FakeDisk } from '../../support/fake-disk.ts';

/** Where the log under test is. */
export const LOG_DIRECTORY = '/data/topics/a/0';

/** A log that keeps everything, on small segments. */
export const KEEP_ALL: DiskLogSettings = {
  retentionBytes: 0,
  retentionMs: 0,
  retentionRecords: 0,
  flush: 'always',
  flushIntervalMs: 1000,
  segmentBytes: 4096,
  cleanup: 'delete',
  tombstoneMs: 1000,
};

/** Nobody looks. */
export const NO_OBSERVER: DiskLogObserver = {
  onRecovered: () => undefined,
  onCorrupt: () => undefined,
  onFault: () => undefined,
  onHealed: () => undefined,
};

/** What {@link openDiskLog} needs. */
export interface DiskLogStage {
  readonly disk: FakeDisk;
  /** Default: the log alone has the disk, and little memory. */
  readonly shared?: DiskShared;
  /** Default {@link LOG_DIRECTORY}. */
  readonly directory?: string;
  readonly clock: Clock;
  readonly state: LogState;
  readonly settings: DiskLogSettings;
  readonly firstOffset: number;
  readonly isIncomplete?: boolean;
  readonly observer?: DiskLogObserver;
}

/** Opens the log as a process that has just begun does. */
export function openDiskLog(stage: DiskLogStage): Promise<DiskLog> {
  const { disk, observer = NO_OBSERVER, shared = littleOf(disk), ...rest } = stage;
  return DiskLog.open({ directory: LOG_DIRECTORY, shared, observer, ...rest });
}

function littleOf(disk: FakeDisk): DiskShared {
  return createDiskShared(disk, {
    tailBytes: 16 * 1024,
    unwrittenBytes: 1024 * 1024,
    indexCacheBytes: 2048,
    openFiles: 3,
  });
}

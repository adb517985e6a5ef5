import { DiskLog } from '../../src/log/disk/disk-log.ts';
import type { DiskLogSettings } from '../../src/log/disk/disk-log.ts';
import type { DiskShared } from '../../src/log/disk/disk-shared.ts';
import type { ProducerWindow } from '../../src/partition/producer-window.ts';
import type { FakeClock } from '../support/fake-clock.ts';

/** Nothing is ever removed, and everything is synced. */
export const DISK_LOG_SETTINGS: DiskLogSettings = {
  ...{ retentionBytes: 0, retentionMs: 0, retentionRecords: 0, cleanup: 'delete', tombstoneMs: 86_400_000 },
  ...{ flush: 'always', flushIntervalMs: 1000 },
};
const OBSERVER = {
  onRecovered: () => undefined,
  onCorrupt: () => undefined,
  onFault: () => undefined,
  onHealed: () => undefined,
};

/** What a log on disk is opened with. */
export interface DiskLogParts {
  readonly clock: FakeClock;
  readonly shared: DiskShared;
  readonly producers: ProducerWindow;
  /** Others than {@link DISK_LOG_SETTINGS}. */
  readonly settings?: Partial<DiskLogSettings>;
}

/** The log of partition 0 of `orders`, on whatever disk. */
export function openDiskLog({ clock, shared, producers, settings }: DiskLogParts): Promise<DiskLog> {
  return DiskLog.open({
    ...{ clock, shared, state: producers, observer: OBSERVER },
    ...{ directory: '/topics/orders/0', firstOffset: 0, settings: { ...DISK_LOG_SETTINGS, ...settings } },
  });
}

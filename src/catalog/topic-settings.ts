import type { TopicSettings } from '../coordination/coordinator.ts';
import { SluiceError } from '../kernel/errors.ts';

/** Bytes a batch may have at most, whatever a topic says: 16 MiB, so that it fits a frame. */
export const BATCH_MAX_BYTES_LIMIT = 16 * 1024 * 1024;
/** Smaller bounds would refuse nearly every batch. */
const BATCH_MAX_BYTES_LEAST = 1024;

/** Settings as a request names them; undefined is "left out". */
export type TopicSettingsChange = { readonly [K in keyof TopicSettings]?: TopicSettings[K] | undefined };

/**
 * `base` with what `change` names, checked.
 * @throws INVALID_ARGUMENT naming the first setting that cannot be
 */
export function mergeSettings(base: TopicSettings, change: TopicSettingsChange = {}): TopicSettings {
  const merged: TopicSettings = {
    storage: change.storage ?? base.storage,
    retentionBytes: change.retentionBytes ?? base.retentionBytes,
    retentionMs: change.retentionMs ?? base.retentionMs,
    retentionRecords: change.retentionRecords ?? base.retentionRecords,
    batchMaxBytes: change.batchMaxBytes ?? base.batchMaxBytes,
    timestamps: change.timestamps ?? base.timestamps,
  };
  checkSettings(merged);
  return merged;
}

function checkSettings(settings: TopicSettings): void {
  const { storage, retentionBytes, retentionMs, retentionRecords, batchMaxBytes, timestamps } = settings;
  check(['memory', 'disk'].includes(storage), 'storage', 'memory or disk');
  check(['create', 'append'].includes(timestamps), 'timestamps', 'create or append');
  check(isCount(retentionBytes), 'retentionBytes', 'a number of bytes');
  check(
    storage !== 'memory' || retentionBytes > 0,
    'retentionBytes',
    'more than 0 in memory, which has to be bounded',
  );
  check(isCount(retentionMs), 'retentionMs', 'a number of milliseconds, or 0 for no bound');
  check(isCount(retentionRecords), 'retentionRecords', 'a number of records, or 0 for no bound');
  check(
    isCount(batchMaxBytes) &&
      batchMaxBytes >= BATCH_MAX_BYTES_LEAST &&
      batchMaxBytes <= BATCH_MAX_BYTES_LIMIT,
    'batchMaxBytes',
    `${BATCH_MAX_BYTES_LEAST} to ${BATCH_MAX_BYTES_LIMIT} bytes`,
  );
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function check(good: boolean, setting: string, expected: string): void {
  if (!good) throw new SluiceError('INVALID_ARGUMENT', `topic setting ${setting} has to be ${expected}`);
}

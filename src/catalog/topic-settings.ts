import type { TopicSettings } from '../coordination/coordinator.ts';
import { SluiceError } from '../kernel/errors.ts';

/** Bytes a batch may have at most, whatever a topic says: 16 MiB, so that it fits a frame. */
export const BATCH_MAX_BYTES_LIMIT = 16 * 1024 * 1024;
/** Smaller bounds would refuse nearly every batch. */
const BATCH_MAX_BYTES_LEAST = 1024;
/** Partitions a topic may have at most, whatever room there is on a node. */
export const TOPIC_PARTITIONS_LIMIT = 65_536;
/** Copies of a partition at most. */
export const REPLICATION_FACTOR_LIMIT = 16;
const FLUSH_INTERVAL_LEAST_MS = 10;
const FLUSH_INTERVAL_LIMIT_MS = 3_600_000;

/** Settings as a request names them; undefined is "left out". */
export type TopicSettingsChange = { readonly [K in keyof TopicSettings]?: TopicSettings[K] | undefined };

/**
 * `base` with what `change` names, checked.
 * @throws INVALID_ARGUMENT naming the first setting that cannot be
 */
export function mergeSettings(base: TopicSettings, change: TopicSettingsChange = {}): TopicSettings {
  const named = Object.entries(change).filter(([, value]) => value !== undefined);
  const merged: { -readonly [K in keyof TopicSettings]: TopicSettings[K] } = {
    ...base,
    ...(Object.fromEntries(named) as Partial<TopicSettings>),
  };
  // Who takes memory where compaction is the default means memory; one that names both is told.
  if (merged.storage === 'memory' && change.cleanup === undefined) merged.cleanup = 'delete';
  // Likewise who takes fewer copies than have to be in sync by default.
  if (change.minInsync === undefined) merged.minInsync = Math.min(merged.minInsync, merged.replicationFactor);
  checkSettings(merged);
  if (merged.storage === 'memory') checkNoneOfDisk(base, merged);
  return merged;
}

/** Settings that mean nothing in memory: who changes them expects something that will not happen. */
function checkNoneOfDisk(base: TopicSettings, merged: TopicSettings): void {
  const named = (['flush', 'flushIntervalMs', 'tombstoneMs'] as const).find(
    (setting) => merged[setting] !== base[setting],
  );
  if (named !== undefined) check(false, named, 'left out in memory: it is for storage disk (--storage disk)');
}

function checkSettings(settings: TopicSettings): void {
  const { storage, retentionBytes, retentionMs, retentionRecords, batchMaxBytes, timestamps } = settings;
  check(['memory', 'disk'].includes(storage), 'storage', 'memory or disk');
  check(['create', 'append'].includes(timestamps), 'timestamps', 'create or append');
  check(isCount(retentionBytes), 'retentionBytes', 'a number of bytes');
  check(isCount(retentionMs), 'retentionMs', 'a number of milliseconds, or 0 for no bound');
  check(isCount(retentionRecords), 'retentionRecords', 'a number of records, or 0 for no bound');
  check(
    isCount(batchMaxBytes) &&
      batchMaxBytes >= BATCH_MAX_BYTES_LEAST &&
      batchMaxBytes <= BATCH_MAX_BYTES_LIMIT,
    'batchMaxBytes',
    `${BATCH_MAX_BYTES_LEAST} to ${BATCH_MAX_BYTES_LIMIT} bytes`,
  );
  checkRetentionBytes(settings);
  checkDiskSettings(settings);
  checkReplication(settings);
}

function checkRetentionBytes({ storage, retentionBytes, batchMaxBytes }: TopicSettings): void {
  check(
    storage !== 'memory' || retentionBytes > 0,
    'retentionBytes',
    'more than 0 in memory, which has to be bounded',
  );
  check(
    retentionBytes === 0 || retentionBytes >= batchMaxBytes,
    'retentionBytes',
    `at least batchMaxBytes, ${batchMaxBytes}, to hold one batch; a smaller batchMaxBytes allows less`,
  );
}

function checkDiskSettings({ storage, flush, flushIntervalMs, cleanup, tombstoneMs }: TopicSettings): void {
  check(['always', 'interval', 'os'].includes(flush), 'flush', 'always, interval or os');
  check(
    isCount(flushIntervalMs) &&
      flushIntervalMs >= FLUSH_INTERVAL_LEAST_MS &&
      flushIntervalMs <= FLUSH_INTERVAL_LIMIT_MS,
    'flushIntervalMs',
    `${FLUSH_INTERVAL_LEAST_MS} to ${FLUSH_INTERVAL_LIMIT_MS} milliseconds`,
  );
  check(
    ['delete', 'compact', 'compact,delete'].includes(cleanup),
    'cleanup',
    'delete, compact or compact,delete',
  );
  check(
    storage === 'disk' || cleanup === 'delete',
    'cleanup',
    'delete in memory: only topics with storage disk are compacted (--storage disk)',
  );
  check(isCount(tombstoneMs), 'tombstoneMs', 'a number of milliseconds');
}

function checkReplication({ replicationFactor, minInsync }: TopicSettings): void {
  const isCopies = (value: number, most: number) => isCount(value) && value >= 1 && value <= most;
  check(
    isCopies(replicationFactor, REPLICATION_FACTOR_LIMIT),
    'replicationFactor',
    `1 to ${REPLICATION_FACTOR_LIMIT} copies`,
  );
  check(isCopies(minInsync, replicationFactor), 'minInsync', `1 to replicationFactor, ${replicationFactor}`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function check(good: boolean, setting: string, expected: string): void {
  if (!good) throw new SluiceError('INVALID_ARGUMENT', `topic setting ${setting} has to be ${expected}`);
}

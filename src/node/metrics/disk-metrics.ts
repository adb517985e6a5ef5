import type { Broker } from '../../broker/broker.ts';
import type { DiskShared } from '../../log/disk/disk-shared.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** What topics on disk are shown from. */
export interface DiskSources {
  readonly broker: Broker;
  readonly disk: Pick<DiskShared, 'counters' | 'writeBudget' | 'tailBudget'>;
}

/** Logs on disk: how much there is, how long writes take, what went wrong. */
export function registerDisk(metrics: Metrics, { broker, disk }: DiskSources): void {
  const { counters } = disk;
  metrics.gaugeFrom('sluice_disk_bytes', 'Bytes of all logs on disk.', () => broker.snapshot().diskBytes);
  metrics.gaugeFrom(
    'sluice_disk_segments',
    'Segment files of all logs on disk.',
    () => broker.snapshot().diskSegments,
  );
  metrics.counterFrom(
    'sluice_disk_written_bytes_total',
    'Bytes of batches written to segments.',
    () => counters.writtenBytes,
  );
  metrics.histogramOf(
    'sluice_disk_write_seconds',
    'Time that each write to a segment took, with flush `always` until it was on the disk.',
    counters.writeTimes,
  );
  metrics.gaugeFrom(
    'sluice_disk_waiting_bytes',
    'Bytes of batches that wait for the disk.',
    () => disk.writeBudget.usedBytes,
  );
  metrics.gaugeFrom(
    'sluice_disk_tail_bytes',
    'Bytes of the newest batches of logs on disk that are in memory.',
    () => disk.tailBudget.usedBytes,
  );
  metrics.counterFrom(
    'sluice_disk_faults_total',
    'Writes that failed: their partition took nothing until it had recovered.',
    () => counters.faults,
  );
  metrics.counterFrom(
    'sluice_disk_corruptions_total',
    'Places in segments that were found damaged.',
    () => counters.corruptions,
  );
  metrics.counterFrom(
    'sluice_disk_recoveries_total',
    'Logs opened after an end that was not orderly.',
    () => counters.recoveries,
  );
  metrics.gaugeFrom(
    'sluice_topics_failed',
    'Topics that could not be opened; they are tried again.',
    () => broker.snapshot().failedTopics,
  );
}

/** What compaction does. */
export function registerCompaction(metrics: Metrics, { disk: { counters } }: DiskSources): void {
  metrics.counterFrom(
    'sluice_disk_compactions_total',
    'Rounds of compaction brought to their end.',
    () => counters.compactions,
  );
  metrics.counterFrom(
    'sluice_disk_compacted_bytes_total',
    'Bytes read by compaction.',
    () => counters.compactedBytes,
  );
  metrics.counterFrom(
    'sluice_disk_freed_bytes_total',
    'Bytes by which compaction made segments smaller.',
    () => counters.freedBytes,
  );
  metrics.counterFrom(
    'sluice_disk_compaction_failures_total',
    'Compactions that failed; they are tried again a minute later.',
    () => counters.compactionFailures,
  );
}

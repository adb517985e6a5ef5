import type { Broker } from '../../broker/broker.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** What is published and kept. */
export function registerBroker(metrics: Metrics, broker: Broker): void {
  const { counters } = broker;
  metrics.counterFrom('sluice_records_in_total', 'Records stored.', () => counters.recordsIn);
  metrics.counterFrom('sluice_batches_in_total', 'Batches stored.', () => counters.batchesIn);
  metrics.counterFrom('sluice_batch_bytes_in_total', 'Bytes of batches stored.', () => counters.bytesIn);
  metrics.counterFrom(
    'sluice_duplicate_batches_total',
    'Batches that had been stored before.',
    () => counters.duplicates,
  );
  metrics.counterFrom(
    'sluice_gap_records_total',
    'Records that subscribers missed.',
    () => counters.gapRecords,
  );
  metrics.countersFrom('sluice_publishes_refused_total', 'Publishes refused, by error code.', ['code'], () =>
    Object.entries(counters.refusedPublishes).map(([code, value]) => ({ labels: { code }, value })),
  );
  metrics.gaugeFrom('sluice_topics', 'Topics open.', () => broker.snapshot().topics);
  metrics.gaugeFrom('sluice_partitions', 'Partitions open.', () => broker.snapshot().partitions);
  metrics.gaugeFrom(
    'sluice_retained_bytes',
    'Bytes of all retained batches.',
    () => broker.snapshot().retainedBytes,
  );
  metrics.gaugeFrom('sluice_draining', '1 while the node lets its clients go.', () =>
    Number(broker.snapshot().draining),
  );
  metrics.gaugeFrom(
    'sluice_uptime_seconds',
    'Time since the start.',
    () => broker.snapshot().uptimeMs / 1000,
  );
}

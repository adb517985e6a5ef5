import type { Broker } from '../broker/broker.ts';
import type { NativeGateway } from '../gateway/quic/gateway.ts';
import type { TopicLag } from '../gateway/quic/counters.ts';
import type { DiskShared } from '../log/disk/disk-shared.ts';
import type { Metrics, Sample } from '../telemetry/metrics.ts';
import type { Listener } from '../transport/transport.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import type { CertificateRotation } from './certificate-rotation.ts';
import type { ClusterHealth } from './cluster-health.ts';
import type { Peers } from './peers.ts';

/** Topics whose lag is shown, those furthest behind first: labels must stay few. */
const MAX_LAG_TOPICS = 100;

/** What metrics are read from. */
export interface MetricSources {
  readonly broker: Broker;
  readonly gateway: NativeGateway;
  readonly certificates: Pick<CertificateRotation, 'notAfterMs' | 'replaced' | 'failed'>;
  /** By scheme of the transport. */
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly coordinator: Pick<Coordinator, 'nodeId' | 'cluster'>;
  /** Undefined on a node on its own, which shows nothing of a cluster. */
  readonly health: ClusterHealth | undefined;
  readonly peers: Peers | undefined;
  readonly disk: Pick<DiskShared, 'counters' | 'writeBudget' | 'tailBudget'>;
}

/** Registers everything a node shows; the values are read when somebody scrapes. */
export function registerNodeMetrics(metrics: Metrics, sources: MetricSources): void {
  registerBroker(metrics, sources.broker);
  registerDisk(metrics, sources);
  registerCompaction(metrics, sources);
  registerGateway(metrics, sources);
  registerCertificates(metrics, sources.certificates);
  registerAuthentication(metrics, sources.gateway);
  registerLag(metrics, sources.gateway);
  if (sources.health) registerCluster(metrics, sources.coordinator, sources.health);
  if (sources.peers) registerPeers(metrics, sources.peers);
}

function registerPeers(metrics: Metrics, { client, certificates }: Peers): void {
  metrics.gaugeFrom(
    'sluice_peer_certificate_not_after_seconds',
    'When the certificate that the node shows other nodes ends, Unix time.',
    () => certificates.notAfterMs / 1000,
  );
  metrics.gaugeFrom(
    'sluice_peer_connections',
    'Connections to other nodes that are there or being made.',
    () => client.connections,
  );
  metrics.gaugeFrom(
    'sluice_peer_forward_bytes',
    'Bytes of publishes that no other node has answered yet.',
    () => client.forwardBytes,
  );
  metrics.counterFrom(
    'sluice_peer_forwards_total',
    'Publishes handed to other nodes.',
    () => client.counters.publishes,
  );
}

function registerCluster(
  metrics: Metrics,
  { nodeId, cluster }: MetricSources['coordinator'],
  health: ClusterHealth,
): void {
  metrics.gaugeFrom(
    'sluice_cluster_nodes',
    'Members of the cluster, as this node sees it.',
    () => cluster.nodes().length,
  );
  metrics.gaugeFrom('sluice_cluster_lease_held', '1 while this node is a member of the cluster.', () =>
    Number(cluster.leaseHeld),
  );
  metrics.gaugeFrom('sluice_cluster_controller', '1 while this node is controller.', () =>
    Number(cluster.controllerId === nodeId),
  );
  metrics.counterFrom(
    'sluice_cluster_leases_lost_total',
    'Times that this node stopped being a member before it left.',
    () => health.leasesLost,
  );
  metrics.counterFrom(
    'sluice_etcd_stalls_total',
    'Times that nothing was heard of etcd.',
    () => health.stalls,
  );
  metrics.counterFrom(
    'sluice_etcd_keys_ignored_total',
    'Keys in etcd that were found unreadable.',
    () => health.ignoredKeys,
  );
}

function registerCertificates(metrics: Metrics, certificates: MetricSources['certificates']): void {
  metrics.gaugeFrom(
    'sluice_certificate_not_after_seconds',
    'When the certificate of the node ends, Unix time.',
    () => certificates.notAfterMs / 1000,
  );
  metrics.counterFrom(
    'sluice_certificates_replaced_total',
    'Times that new certificates were taken.',
    () => certificates.replaced,
  );
  metrics.counterFrom(
    'sluice_certificate_reloads_failed_total',
    'Times that new certificates could not be used.',
    () => certificates.failed,
  );
}

function registerBroker(metrics: Metrics, broker: Broker): void {
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

function registerDisk(metrics: Metrics, { broker, disk }: MetricSources): void {
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

function registerCompaction(metrics: Metrics, { disk: { counters } }: MetricSources): void {
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

function registerGateway(metrics: Metrics, { gateway, listeners }: MetricSources): void {
  const { counters } = gateway;
  metrics.gaugesFrom('sluice_connections', 'Connections open.', ['transport'], () =>
    [...listeners].map(([transport, { connectionCount }]) => ({
      labels: { transport },
      value: connectionCount,
    })),
  );
  metrics.counterFrom('sluice_connections_total', 'Connections taken.', () => counters.connectionsAccepted);
  metrics.gaugeFrom('sluice_subscriptions', 'Subscriptions open.', () => gateway.gauges().subscriptions);
  metrics.gaugeFrom(
    'sluice_delivery_streams',
    'Subscriptions × partitions.',
    () => gateway.gauges().deliveryStreams,
  );
  metrics.gaugeFrom('sluice_publish_streams', 'Publish streams open.', () => gateway.gauges().publishStreams);
  metrics.gaugeFrom(
    'sluice_blocked_delivery_streams',
    'Deliveries whose client has no room now.',
    () => gateway.gauges().blockedDeliveries,
  );
  metrics.counterFrom('sluice_streams_total', 'Streams that clients opened.', () => counters.streamsOpened);
  metrics.counterFrom(
    'sluice_stream_bytes_in_total',
    'Bytes received on streams.',
    () => counters.streamBytesIn,
  );
  metrics.counterFrom(
    'sluice_delivered_bytes_total',
    'Bytes of batches delivered.',
    () => counters.deliveredBytes,
  );
  metrics.counterFrom(
    'sluice_produce_frames_total',
    'PRODUCE frames received.',
    () => counters.produceFrames,
  );
  metrics.counterFrom('sluice_raw_publishes_total', 'PUBLISH frames received.', () => counters.rawPublishes);
  metrics.counterFrom('sluice_requests_total', 'Requests received.', () => counters.requests);
  metrics.gaugeFrom(
    'sluice_partial_frame_bytes',
    'Bytes of frames not yet complete.',
    () => counters.partialBytes,
  );
  metrics.countersFrom('sluice_errors_total', 'What was refused or ended with an error.', ['code'], () =>
    [...counters.errors].map(([code, value]) => ({ labels: { code }, value })),
  );
}

function registerAuthentication(metrics: Metrics, { failedAuthentications }: NativeGateway): void {
  metrics.counterFrom(
    'sluice_authentications_failed_total',
    'HELLOs whose credentials were not good.',
    () => failedAuthentications.failed,
  );
  metrics.counterFrom(
    'sluice_authentications_slowed_total',
    'Of these, refusals that were held back because too many came from one place.',
    () => failedAuthentications.slowed,
  );
}

function registerLag(metrics: Metrics, gateway: NativeGateway): void {
  const samples = (read: (lag: TopicLag) => number): Sample[] =>
    [...gateway.lagByTopic()]
      .map(([topic, lag]) => ({ labels: { topic }, value: read(lag) }))
      .sort((a, b) => b.value - a.value)
      .slice(0, MAX_LAG_TOPICS);
  const gauge = (name: string, help: string, read: (lag: TopicLag) => number): void =>
    metrics.gaugesFrom(name, `${help}, of the subscriber furthest behind.`, ['topic'], () => samples(read));
  gauge('sluice_subscription_lag_records', 'Records not yet sent', (lag) => lag.records);
  gauge('sluice_subscription_lag_bytes', 'Bytes not yet sent', (lag) => lag.bytes);
  gauge('sluice_subscription_lag_seconds', 'Age of the oldest record not yet sent', (lag) => lag.ms / 1000);
}

import type { TopicLag } from '../../gateway/quic/counters.ts';
import type { NativeGateway } from '../../gateway/quic/gateway.ts';
import type { Metrics, Sample } from '../../telemetry/metrics.ts';
import type { Listener } from '../../transport/transport.ts';

/** Topics whose lag is shown, those furthest behind first: labels must stay few. */
const MAX_LAG_TOPICS = 100;

/** What clients are shown from. */
export interface GatewaySources {
  readonly gateway: NativeGateway;
  /** By scheme of the transport. */
  readonly listeners: ReadonlyMap<string, Listener>;
}

/** Connections, streams, subscriptions. */
export function registerGateway(metrics: Metrics, { gateway, listeners }: GatewaySources): void {
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
  metrics.gaugeFrom('sluice_request_streams', 'Request streams open.', () => counters.requestStreams);
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

/** Who could not show who it is. */
export function registerAuthentication(metrics: Metrics, { failedAuthentications }: NativeGateway): void {
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

/** How far subscribers are behind, by topic. */
export function registerLag(metrics: Metrics, gateway: NativeGateway): void {
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

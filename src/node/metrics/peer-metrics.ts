import type { LocalServices } from '../../peer/local-services.ts';
import type { PeerClient } from '../../peer/peer-client.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { CertificateRotation } from '../certificate-rotation.ts';

/** What is shown of the other nodes. */
export interface PeerSources {
  readonly peers: {
    readonly client: Pick<PeerClient, 'connections' | 'forwardBytes' | 'counters'>;
    readonly certificates: Pick<CertificateRotation, 'notAfterMs'>;
  };
  readonly services: Pick<LocalServices, 'forwards' | 'replication'>;
}

/** Connections to other nodes, publishes from one to the other, who fetches here. */
export function registerPeers(metrics: Metrics, { peers, services }: PeerSources): void {
  const { client, certificates } = peers;
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
    'sluice_peer_followers',
    'Nodes that fetch what this one leads.',
    () => services.replication.size,
  );
  registerHandedOver(metrics, client);
  registerTaken(metrics, services.forwards);
}

function registerHandedOver(metrics: Metrics, client: PeerSources['peers']['client']): void {
  const { counters } = client;
  metrics.gaugeFrom(
    'sluice_peer_forward_bytes',
    'Bytes of publishes that no other node has answered yet.',
    () => client.forwardBytes,
  );
  metrics.counterFrom(
    'sluice_peer_forwards_total',
    'Publishes handed to other nodes.',
    () => counters.publishes,
  );
  metrics.counterFrom(
    'sluice_peer_forwarded_bytes_total',
    'Bytes of batches handed to other nodes.',
    () => counters.bytes,
  );
  metrics.counterFrom(
    'sluice_peer_forwards_overloaded_total',
    'Publishes refused because too many were on their way to their leader.',
    () => counters.overloaded,
  );
}

function registerTaken(metrics: Metrics, { counters }: LocalServices['forwards']): void {
  metrics.counterFrom(
    'sluice_peer_forwards_received_total',
    'Publishes that other nodes handed over.',
    () => counters.publishes,
  );
  metrics.counterFrom(
    'sluice_peer_received_bytes_total',
    'Bytes of batches that other nodes handed over.',
    () => counters.bytes,
  );
  metrics.counterFrom(
    'sluice_peer_forwards_refused_total',
    'Publishes that other nodes handed over and that were answered with an error.',
    () => counters.refused,
  );
}

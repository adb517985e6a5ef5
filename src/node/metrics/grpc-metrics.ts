import type { GrpcGateway } from '../../gateway/grpc/grpc-gateway.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** Connections, calls and messages of the gRPC gateway. */
export function registerGrpc(metrics: Metrics, gateway: GrpcGateway): void {
  const { counters } = gateway;
  metrics.gaugeFrom('sluice_grpc_connections', 'Connections open.', () => gateway.connectionCount);
  metrics.counterFrom(
    'sluice_grpc_connections_refused_total',
    'Connections that were not let in.',
    () => gateway.refusedConnections,
  );
  metrics.gaugeFrom('sluice_grpc_calls', 'Calls open.', () => gateway.callCount);
  metrics.countersFrom('sluice_grpc_calls_total', 'Calls begun.', ['method'], () =>
    [...counters.calls].map(([method, value]) => ({ labels: { method }, value })),
  );
  metrics.countersFrom('sluice_grpc_errors_total', 'What was refused, by code.', ['code'], () =>
    [...counters.errors].map(([code, value]) => ({ labels: { code }, value })),
  );
  metrics.gaugeFrom(
    'sluice_grpc_held_bytes',
    'Bytes of messages that have arrived and are not done with.',
    () => gateway.heldBytes,
  );
  metrics.gaugeFrom(
    'sluice_grpc_credited_leases',
    'Leases that count against the credit of a call.',
    () => gateway.leaseCount,
  );
  metrics.counterFrom('sluice_grpc_published_total', 'Messages stored.', () => counters.published);
  metrics.counterFrom('sluice_grpc_consumed_total', 'Messages handed to consumers.', () => counters.consumed);
  metrics.counterFrom(
    'sluice_grpc_settled_total',
    'Leases settled, given back or extended.',
    () => counters.settled,
  );
}

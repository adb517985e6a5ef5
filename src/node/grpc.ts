import { GrpcGateway } from '../gateway/grpc/grpc-gateway.ts';
import type { Core } from './core.ts';
import { grpcLimits } from './derived-limits.ts';

/** Serves gRPC where that is configured; its certificates are renewed with those of the other listeners. @throws ADDRESS_IN_USE, INVALID_CONFIG */
export async function serveGrpc(core: Core, parts: AsyncDisposableStack): Promise<GrpcGateway | undefined> {
  const { settings, broker, clock, security, certificates, secured } = core;
  const { listen, plaintext } = settings.grpc;
  if (!listen) return undefined;
  const { identity, clientAuthoritiesPem } = certificates.current;
  const { requireClientCertificate } = settings.tls;
  const grpc = await GrpcGateway.open({
    ...{ broker, clock, security },
    listen: {
      ...listen,
      security: plaintext ? null : { identity, clientAuthoritiesPem, requireClientCertificate },
      maxConnections: settings.limits.maxConnections,
      handshakeTimeoutMs: settings.limits.handshakeTimeoutMs,
    },
    limits: grpcLimits(settings),
    failedAuthentications: core.gateway.failedAuthentications,
  });
  parts.defer(() => grpc.close());
  secured.add(grpc);
  return grpc;
}

import type { GrpcGateway } from '../gateway/grpc/grpc-gateway.ts';
import type { ApiOptions } from '../gateway/http/api-context.ts';
import { HttpCounters } from '../gateway/http/counters.ts';
import type { HttpGateway, HttpTls, Readiness } from '../gateway/http/http-gateway.ts';
import { createHttpGateway } from '../gateway/http/http-gateway.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import type { Core } from './core.ts';
import { registerGrpc } from './metrics/grpc-metrics.ts';
import { registerHttp } from './metrics/http-metrics.ts';
import type { ClusterSources } from './metrics/node-metrics.ts';
import { registerNodeMetrics } from './metrics/node-metrics.ts';
import { packageVersion } from './version.ts';

/** Bodies that have arrived in part, of all requests together, in bodies of the largest size. */
const PARTIAL_BODIES = 32;

/** What else there is when HTTP is served. */
interface ServedBefore {
  /** Undefined on a node on its own. */
  readonly member: ClusterSources | undefined;
  /** Undefined where it is off. */
  readonly grpc: GrpcGateway | undefined;
  readonly readiness: () => Readiness;
}

/**
 * Serves health and metrics, and the API where the settings say so.
 * @returns undefined where it is off
 * @throws ADDRESS_IN_USE, INVALID_CONFIG
 */
export async function serveHttp(
  core: Core,
  { member, grpc, readiness }: ServedBefore,
  parts: AsyncDisposableStack,
): Promise<HttpGateway | undefined> {
  const { settings, log } = core;
  const { listen, tls, api } = settings.http;
  if (!listen) return undefined;
  const metrics = createMetrics();
  const counters = new HttpCounters();
  registerNodeMetrics(metrics, core, member);
  if (grpc) registerGrpc(metrics, grpc);
  registerHttp(metrics, counters);
  const http = await createHttpGateway({
    ...{ listen, metrics, readiness, log, counters },
    tls: tls ? certificatesOf(core) : undefined,
    version: { name: 'sluice', version: packageVersion(), node: process.version },
    api: api ? apiOf(core) : undefined,
    maxConnections: settings.limits.maxConnections,
  });
  parts.defer(() => http.close());
  if (tls) core.secured.add(http);
  return http;
}

function certificatesOf({ certificates, settings }: Core): HttpTls {
  const { identity, clientAuthoritiesPem } = certificates.current;
  const { requireClientCertificate } = settings.tls;
  return { identity, clientAuthoritiesPem, requireClientCertificate };
}

function apiOf({ broker, gateway, clock, random, security, settings }: Core): ApiOptions {
  const { http, limits, tls } = settings;
  return {
    ...{ broker, clock, random, security, origins: http.origins, names: tls.names },
    failedAuthentications: gateway.failedAuthentications,
    limits: {
      bodyMaxBytes: http.bodyMaxBytes,
      bodiesMaxBytes: PARTIAL_BODIES * http.bodyMaxBytes,
      keyMaxBytes: limits.keyMaxBytes,
      inflatedMaxBytes: limits.inflatedMaxBytes,
    },
  };
}

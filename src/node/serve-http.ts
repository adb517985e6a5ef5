import type { GrpcGateway } from '../gateway/grpc/grpc-gateway.ts';
import type { ApiOptions } from '../gateway/http/api-context.ts';
import { HttpCounters } from '../gateway/http/counters.ts';
import type { HttpGateway, HttpTls, Readiness } from '../gateway/http/http-gateway.ts';
import { prepareHttpGateway } from '../gateway/http/http-gateway.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import type { Core } from './core.ts';
import { registerGrpc } from './metrics/grpc-metrics.ts';
import { registerHttp } from './metrics/http-metrics.ts';
import type { ClusterSources } from './metrics/node-metrics.ts';
import { registerNodeMetrics } from './metrics/node-metrics.ts';
import { packageVersion } from './version.ts';

/** Bodies that have arrived in part, of all requests together, in bodies of the largest size. */
const PARTIAL_BODIES = 32;

/** What else is measured. */
interface ServedBefore {
  /** Undefined on a node on its own. */
  readonly member: ClusterSources | undefined;
  /** Undefined where it is off. */
  readonly grpc: GrpcGateway | undefined;
}

/**
 * Begins to serve.
 * @param parts what is to be taken apart again, the last first
 * @throws ADDRESS_IN_USE
 */
export type ServeHttp = (before: ServedBefore, parts: AsyncDisposableStack) => Promise<HttpGateway>;

/**
 * Prepares health and metrics, and the API where the settings say so; to be done before anybody relies on the node, which has no time for anything else meanwhile.
 * @returns undefined where it is off
 * @throws INVALID_CONFIG
 */
export async function prepareHttp(core: Core, readiness: () => Readiness): Promise<ServeHttp | undefined> {
  const { settings, log } = core;
  const { listen, tls, api } = settings.http;
  if (!listen) return undefined;
  const metrics = createMetrics();
  const counters = new HttpCounters();
  const prepared = await prepareHttpGateway({
    ...{ metrics, readiness, log, counters },
    tls: tls ? certificatesOf(core) : undefined,
    version: { name: 'sluice', version: packageVersion(), node: process.version },
    api: api ? apiOf(core) : undefined,
    maxConnections: settings.limits.maxConnections,
  });
  return async ({ member, grpc }, parts) => {
    registerNodeMetrics(metrics, core, member);
    if (grpc) registerGrpc(metrics, grpc);
    registerHttp(metrics, counters);
    const http = await prepared.listen(listen);
    parts.defer(() => http.close());
    if (tls) core.secured.add(http);
    return http;
  };
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

import type { ListenAddress } from '../config/kinds.ts';
import type { GrpcGateway } from '../gateway/grpc/grpc-gateway.ts';
import type { ApiOptions } from '../gateway/http/api-context.ts';
import { HttpCounters } from '../gateway/http/counters.ts';
import type { HttpGateway, HttpTls, PreparedHttpGateway, Readiness } from '../gateway/http/http-gateway.ts';
import { prepareHttpGateway } from '../gateway/http/http-gateway.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import type { Core } from './core.ts';
import { registerGrpc } from './metrics/grpc-metrics.ts';
import { registerHttp } from './metrics/http-metrics.ts';
import type { ClusterSources } from './metrics/node-metrics.ts';
import { registerNodeMetrics } from './metrics/node-metrics.ts';
import { packageVersion } from './version.ts';

/** Bodies that have arrived in part, of all requests together, in bodies of the largest size. */
const PARTIAL_BODIES = 32;

/** What is measured besides the core. */
interface AlsoMeasured {
  /** Undefined on a node on its own. */
  readonly member: ClusterSources | undefined;
  /** Undefined where it is off. */
  readonly grpc: GrpcGateway | undefined;
}

/**
 * Health and metrics, and the API where the settings say so, ready to be served. Preparing takes all the time of the process for some tenths of a second, so it is
 * done before anybody relies on the node.
 */
export class PreparedHttp implements AsyncDisposable {
  readonly #core: Core;
  readonly #address: ListenAddress;
  readonly #metrics: Metrics;
  readonly #prepared: PreparedHttpGateway;

  private constructor(core: Core, address: ListenAddress, metrics: Metrics, prepared: PreparedHttpGateway) {
    this.#core = core;
    this.#address = address;
    this.#metrics = metrics;
    this.#prepared = prepared;
  }

  /**
   * Prepares it.
   *
   * @returns undefined where it is off
   * @throws INVALID_CONFIG
   */
  static async open(core: Core, readiness: () => Readiness): Promise<PreparedHttp | undefined> {
    const { settings, log } = core;
    const { listen, tls, api } = settings.http;
    if (!listen) return undefined;
    const metrics = createMetrics();
    const counters = new HttpCounters();
    registerHttp(metrics, counters);
    const prepared = await prepareHttpGateway({
      ...{ metrics, readiness, log, counters },
      tls: tls ? certificatesOf(core) : undefined,
      version: { name: 'sluice', version: packageVersion(), node: process.version },
      api: api ? apiOf(core) : undefined,
      maxConnections: settings.limits.maxConnections,
    });
    return new PreparedHttp(core, listen, metrics, prepared);
  }

  /** Begins to serve; once. @throws ADDRESS_IN_USE, INVALID_CONFIG when the address cannot be bound */
  async listen({ member, grpc }: AlsoMeasured): Promise<HttpGateway> {
    const { settings, certificates, secured } = this.#core;
    registerNodeMetrics(this.#metrics, this.#core, member);
    if (grpc) registerGrpc(this.#metrics, grpc);
    const http = await this.#prepared.listen(this.#address);
    if (settings.http.tls) {
      // It may have been renewed since this was prepared.
      const { identity, clientAuthoritiesPem } = certificates.current;
      http.setIdentity(identity, clientAuthoritiesPem);
      secured.add(http);
    }
    return http;
  }

  /** Takes no new requests, and lets those under way finish. Idempotent. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#prepared.close();
  }
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

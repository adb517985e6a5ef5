import type { AddressInfo, Socket } from 'node:net';
import type { FastifyInstance, FastifyServerOptions } from 'fastify';
import { fastify } from 'fastify';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import { ByteBudget } from '../../log/byte-budget.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { bindError } from '../../transport/bind.ts';
import type { TlsIdentity } from '../../transport/transport.ts';
import { CredentialWatch } from '../credential-watch.ts';
import { PumpScheduler } from '../pump-scheduler.ts';
import { AnswerDesk } from './answers/answer-desk.ts';
import { ConnectionLines } from './answers/connection-lines.ts';
import type { ApiOptions } from './api-context.ts';
import { addApi } from './api.ts';
import { HttpCounters } from './counters.ts';
import { addErrors, answerClientError, answerFrameworkError } from './errors.ts';

/** Whether the node can do its work now. */
export interface Readiness {
  readonly ready: boolean;
  /** What is missing, for people; empty when ready. */
  readonly reasons: readonly string[];
}

/** How connections are encrypted. */
export interface HttpTls {
  readonly identity: TlsIdentity;
  /** Authorities of client certificates, PEM; undefined: none are asked for. */
  readonly clientAuthoritiesPem: string | undefined;
  readonly requireClientCertificate: boolean;
}

/** How a gateway is to be reached, and what it serves. */
export interface HttpGatewayOptions {
  /** Undefined: plain HTTP. */
  readonly tls?: HttpTls | undefined;
  readonly metrics: Metrics;
  /** Asked at every request of `/readyz`: cheap, and never throws. */
  readonly readiness: () => Readiness;
  readonly log: Logger;
  /** What `/version` tells. */
  readonly version: Readonly<Record<string, string>>;
  /** Undefined: only health, metrics and version are served. */
  readonly api?: ApiOptions | undefined;
  /** Default: ones of its own. */
  readonly counters?: HttpCounters | undefined;
  /** Connections at once; more are closed. Default: no bound. */
  readonly maxConnections?: number | undefined;
  /** Time within which a request has to be there, headers and body. Default 30 s. */
  readonly requestTimeoutMs?: number | undefined;
}

/** Where a gateway listens; port 0 picks a free one. */
export interface HttpAddress {
  readonly host: string;
  readonly port: number;
}

/** A gateway that does not listen yet. */
export interface PreparedHttpGateway {
  /** Begins to serve; once. @throws ADDRESS_IN_USE, INVALID_CONFIG when the address cannot be bound */
  listen(address: HttpAddress): Promise<HttpGateway>;
  /** As that of the gateway that it has become; needed also where it never listened. Idempotent. */
  close(): Promise<void>;
}

/** A running gateway. */
export interface HttpGateway {
  /** The address that was bound. */
  readonly host: string;
  readonly port: number;
  /** New certificates, for connections to come. @throws INVALID_CONFIG when they cannot be used; without effect on plain HTTP */
  setIdentity(identity: TlsIdentity, clientAuthoritiesPem: string | undefined): void;
  /** What waits for records is answered with what there is, from now on at once. Idempotent. */
  drain(): void;
  /** Takes no new requests, lets those under way finish, and frees the address. Idempotent. */
  close(): Promise<void>;
}

/** No request of health and metrics carries a body worth mentioning. */
const BODY_LIMIT_BYTES = 64 * 1024;
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** How often requests are looked for that take too long. */
const TIMEOUT_CHECK_MS = 1_000;
const KEEP_ALIVE_TIMEOUT_MS = 60_000;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADERS = 200;
/** Requests of one connection that have no answer yet; more are OVERLOADED. */
const MAX_PIPELINED = 256;
/** A connection on which nothing moves is over: longer than anybody may wait for records. */
const SILENT_MS = 120_000;
/** Large answers that clients have not taken yet, all together; {@link AnswerDesk} gives one asker a third. */
const UNREAD_MAX_BYTES = 256 * 1024 * 1024;

/**
 * Serves health, readiness, metrics and version over HTTP/1.1, plain or with TLS:
 *
 *     GET /healthz   200 while the process answers
 *     GET /readyz    200, or 503 with the reasons
 *     GET /metrics   Prometheus' text format
 *     GET /version   name and version as JSON
 *
 * and, where `api` is given, topics, messages, groups and queues (docs/http.md).
 *
 * Every error is JSON: `{ "error": { "code": "…", "message": "…" } }`, with the HTTP status of the code.
 *
 * Compiling the schemas of the API keeps the process busy for some tenths of a second: it is done once this resolves, and listening costs next to nothing.
 *
 * @throws INVALID_CONFIG when the certificates cannot be used
 */
export async function prepareHttpGateway(options: HttpGatewayOptions): Promise<PreparedHttpGateway> {
  const { log, api, version, counters = new HttpCounters() } = options;
  const going = new AbortController();
  const server = createServer(options);
  addErrors(server, log, (code) => counters.countError(code));
  server.addHook('onRequest', (request, _reply, done) => {
    counters.requests += 1;
    if (request.raw.rawHeaders.length <= 2 * MAX_HEADERS) done();
    else done(new SluiceError('FRAME_TOO_LARGE', `at most ${MAX_HEADERS} headers`));
  });
  boundPipelines(server);
  // What waits for records would keep the server from closing.
  server.addHook('preClose', (done) => {
    going.abort();
    done();
  });
  const inOrder = new ConnectionLines().enter;
  addRoutes(server, options, inOrder);
  if (api) {
    const scheduler = new PumpScheduler(api.clock);
    const desk = new AnswerDesk(scheduler, new ByteBudget(UNREAD_MAX_BYTES));
    const credentials = new CredentialWatch(api.clock);
    const shared = { log, counters, credentials, scheduler, desk, inOrder, going: going.signal };
    await addApi(server, { ...api, ...shared }, version.version ?? '');
  }
  await server.ready();
  const close = (): Promise<void> => server.close();
  return {
    close,
    listen: async (wanted) => {
      await bind(server, wanted);
      server.server.maxConnections = options.maxConnections ?? Infinity;
      const { address: host, port } = server.server.address() as AddressInfo;
      return {
        ...{ host, port },
        setIdentity: (identity, clientAuthoritiesPem) => {
          if (options.tls) setIdentity(server, { ...options.tls, identity, clientAuthoritiesPem });
        },
        drain: () => going.abort(),
        close,
      };
    },
  };
}

function createServer({ tls, requestTimeoutMs = REQUEST_TIMEOUT_MS }: HttpGatewayOptions): FastifyInstance {
  const shared = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeoutMs),
    connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, requestTimeoutMs),
  };
  const options: FastifyServerOptions = {
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: requestTimeoutMs,
    connectionTimeout: SILENT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // A path may hold a topic and a key.
    routerOptions: { maxParamLength: MAX_HEADER_BYTES },
    // A name or value that nobody knows is told, and not taken away.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allowUnionTypes: true } },
    // Connections between requests end at once on close, requests under way finish.
    forceCloseConnections: 'idle',
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, _request, reply) => answerFrameworkError(error, reply),
  };
  if (!tls) return fastify({ ...options, http: shared });
  return fastify({
    ...options,
    https: { ...shared, ...secureOptions(tls) },
  } as unknown as FastifyServerOptions);
}

function secureOptions({ identity, clientAuthoritiesPem, requireClientCertificate }: HttpTls): object {
  return {
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    ...(clientAuthoritiesPem !== undefined && {
      ca: clientAuthoritiesPem,
      requestCert: true,
      rejectUnauthorized: requireClientCertificate,
    }),
  };
}

function setIdentity(server: FastifyInstance, tls: HttpTls): void {
  try {
    (server.server as unknown as { setSecureContext(options: object): void }).setSecureContext(
      secureOptions(tls),
    );
  } catch (error) {
    throw new SluiceError('INVALID_CONFIG', 'the certificate of http.listen cannot be used', {
      cause: error,
    });
  }
}

/** Each request that waits takes memory, however small it was. */
function boundPipelines(server: FastifyInstance): void {
  const unanswered = new WeakMap<Socket, number>();
  server.addHook('onRequest', ({ socket }, _reply, done) => {
    const count = (unanswered.get(socket) ?? 0) + 1;
    unanswered.set(socket, count);
    if (count <= MAX_PIPELINED) done();
    else done(new SluiceError('OVERLOADED', `at most ${MAX_PIPELINED} requests of a connection at once`));
  });
  server.addHook('onResponse', ({ socket }, _reply, done) => {
    unanswered.set(socket, unanswered.get(socket)! - 1);
    done();
  });
}

function addRoutes(
  server: FastifyInstance,
  { metrics, readiness, version }: HttpGatewayOptions,
  inOrder: ConnectionLines['enter'],
): void {
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', (_request, reply) => {
    const { ready, reasons } = readiness();
    return reply.code(ready ? 200 : ERRORS.UNAVAILABLE.http).send({ ready, reasons });
  });
  server.get('/metrics', { onRequest: inOrder }, async (_request, reply) => {
    const text = await metrics.render();
    return reply.header('content-type', metrics.contentType).send(text);
  });
  server.get('/version', () => version);
}

async function bind(server: FastifyInstance, { host, port }: HttpAddress): Promise<void> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    await server.close();
    throw bindError(`${host}:${port}/tcp (http.listen)`, error);
  }
}

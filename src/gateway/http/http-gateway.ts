import type { AddressInfo } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { fastify } from 'fastify';
import type { ErrorCode } from '../../kernel/errors.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** Whether the node can do its work now. */
export interface Readiness {
  readonly ready: boolean;
  /** What is missing, for people; empty when ready. */
  readonly reasons: readonly string[];
}

export interface HttpGatewayOptions {
  /** Port 0 picks a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly metrics: Metrics;
  /** Asked at every request of `/readyz`: cheap, and never throws. */
  readonly readiness: () => Readiness;
  readonly log: Logger;
  /** What `/version` tells. */
  readonly version: Readonly<Record<string, string>>;
}

/** A running gateway. */
export interface HttpGateway {
  /** The address that was bound. */
  readonly host: string;
  readonly port: number;
  /** Takes no new requests, lets those under way finish, and frees the address. Idempotent. */
  close(): Promise<void>;
}

/** No request of this gateway carries a body worth mentioning. */
const BODY_LIMIT_BYTES = 64 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 5_000;

/**
 * Serves health, readiness, metrics and version over plain HTTP/1.1:
 *
 *     GET /healthz   200 while the process answers
 *     GET /readyz    200, or 503 with the reasons
 *     GET /metrics   Prometheus' text format
 *     GET /version   name and version as JSON
 *
 * Every error is JSON: `{ "error": { "code": "…", "message": "…" } }`, with the HTTP status of the code.
 *
 * @throws ADDRESS_IN_USE, INVALID_CONFIG when the address cannot be bound
 */
export async function createHttpGateway(options: HttpGatewayOptions): Promise<HttpGateway> {
  const server = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: { maxHeaderSize: 16 * 1024, headersTimeout: REQUEST_TIMEOUT_MS },
    // Connections between requests end at once on close, requests under way finish.
    forceCloseConnections: 'idle',
    frameworkErrors: (error, _request, reply) => {
      void (reply as unknown as FastifyReply).code(400).send(errorBody('INVALID_ARGUMENT', error.message));
    },
  });
  addErrors(server, options.log);
  addRoutes(server, options);
  await bind(server, options.listen);
  const address = server.server.address() as AddressInfo;
  return { host: address.address, port: address.port, close: () => server.close() };
}

function addRoutes(server: FastifyInstance, { metrics, readiness, version }: HttpGatewayOptions): void {
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', (_request, reply) => {
    const { ready, reasons } = readiness();
    return reply.code(ready ? 200 : ERRORS.UNAVAILABLE.http).send({ ready, reasons });
  });
  server.get('/metrics', async (_request, reply) => {
    const text = await metrics.render();
    return reply.header('content-type', metrics.contentType).send(text);
  });
  server.get('/version', () => version);
}

function addErrors(server: FastifyInstance, log: Logger): void {
  server.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send(errorBody('INVALID_ARGUMENT', `there is no ${request.method} ${request.url.split('?')[0]!}`)),
  );
  server.setErrorHandler<FastifyError>((error, _request, reply) => {
    if (error instanceof SluiceError) {
      return reply.code(ERRORS[error.code].http).send(errorBody(error.code, error.message));
    }
    const status = error.statusCode ?? 500;
    if (status < 500) {
      const code = status === 413 ? 'FRAME_TOO_LARGE' : 'INVALID_ARGUMENT';
      return reply.code(status).send(errorBody(code, error.message));
    }
    log.error('http.failed', { error });
    return reply.code(500).send(errorBody('INTERNAL', 'the request failed; the log of the node says why'));
  });
}

function errorBody(code: ErrorCode, message: string): { error: { code: ErrorCode; message: string } } {
  return { error: { code, message } };
}

async function bind(server: FastifyInstance, listen: HttpGatewayOptions['listen']): Promise<void> {
  try {
    await server.listen({ host: listen.host, port: listen.port });
  } catch (error) {
    await server.close();
    const { code, message } = error as NodeJS.ErrnoException;
    const address = `${listen.host}:${listen.port}/tcp (http.listen)`;
    if (code === 'EADDRINUSE')
      throw new SluiceError('ADDRESS_IN_USE', `${address} is taken`, { cause: error });
    throw new SluiceError('INVALID_CONFIG', `${address} cannot be bound: ${message}`, { cause: error });
  }
}

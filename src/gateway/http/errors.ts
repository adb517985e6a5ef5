import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import type { ErrorCode } from '../../kernel/errors.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** The body of every answer that is an error. */
export interface ErrorBody {
  readonly error: {
    readonly code: ErrorCode;
    /** For people. */
    readonly message: string;
  };
}

/** An error as its answer says it. @param message for people */
export function errorBody(code: ErrorCode, message: string): ErrorBody {
  return { error: { code, message } };
}

/** Seconds after which a request that may succeed later should be made again. */
const RETRY_AFTER_S = '1';

/** Sees to it that every refusal is JSON with a code. @param count told the code of each */
export function addErrors(server: FastifyInstance, log: Logger, count: (code: ErrorCode) => void): void {
  server.setNotFoundHandler((request, reply) => {
    count('INVALID_ARGUMENT');
    void reply
      .code(404)
      .send(
        errorBody(
          'INVALID_ARGUMENT',
          `there is no ${request.method} ${request.url.split('?')[0]!}; what there is: /openapi.json`,
        ),
      );
  });
  server.setErrorHandler<FastifyError>((error, _request, reply) => {
    const { code, status, message } = refusalOf(error);
    if (code === 'INTERNAL') log.error('http.failed', { error });
    count(code);
    void reply.code(status).headers(errorHeaders(code)).send(errorBody(code, message));
  });
}

/** Answers a path that cannot be decoded. */
export function answerFrameworkError(error: FastifyError, reply: FastifyReply): void {
  void reply.code(400).send(errorBody('INVALID_ARGUMENT', error.message));
}

/** What goes with an error besides its body. */
export function errorHeaders(code: ErrorCode): Record<string, string> {
  if (code === 'UNAUTHENTICATED') return { 'www-authenticate': 'Bearer' };
  // The rest of the body is not read: the connection cannot go on.
  if (code === 'FRAME_TOO_LARGE') return { connection: 'close' };
  return ERRORS[code].retryable && ERRORS[code].http !== 409 ? { 'retry-after': RETRY_AFTER_S } : {};
}

/** Answers bytes that are no request, and one that does not come to its end in time, and closes the connection. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, code, message } = clientFault(error.code);
  const body = JSON.stringify(errorBody(code, message));
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function refusalOf(error: FastifyError | SluiceError): {
  readonly code: ErrorCode;
  readonly status: number;
  readonly message: string;
} {
  if (error instanceof SluiceError) {
    const message =
      error.code === 'INTERNAL' ? 'the request failed; the log of the node says why' : error.message;
    return { code: error.code, status: ERRORS[error.code].http, message };
  }
  const status = error.statusCode ?? 500;
  if (status >= 500) return refusalOf(new SluiceError('INTERNAL', '', { cause: error }));
  return { code: status === 413 ? 'FRAME_TOO_LARGE' : 'INVALID_ARGUMENT', status, message: textOf(error) };
}

/** The validator says that there is something unknown, but not its name. */
function textOf({ message, validation }: FastifyError): string {
  const name = validation?.[0]?.params['additionalProperty'];
  return typeof name === 'string' ? `${message}: ${name}` : message;
}

function clientFault(code: string | undefined): {
  readonly status: string;
  readonly code: ErrorCode;
  readonly message: string;
} {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return {
      status: '431 Request Header Fields Too Large',
      code: 'FRAME_TOO_LARGE',
      message: 'the headers of the request are too large',
    };
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { status: '408 Request Timeout', code: 'TIMEOUT', message: 'the request did not come in time' };
  }
  return { status: '400 Bad Request', code: 'PROTOCOL_ERROR', message: 'this is no HTTP/1.1 request' };
}

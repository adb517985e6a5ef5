import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { SluiceError } from '../../kernel/errors.ts';
import { ByteBudget } from '../../log/byte-budget.ts';
import type { ApiLimits } from './api-context.ts';

/**
 * Reads the bodies of requests into memory: each at most `bodyMaxBytes`, and those that have arrived in part at most `bodiesMaxBytes`
 * together; the one that goes beyond is OVERLOADED.
 */
export class Bodies {
  readonly #maxBytes: number;
  readonly #partial: ByteBudget;

  constructor({ bodyMaxBytes, bodiesMaxBytes }: Pick<ApiLimits, 'bodyMaxBytes' | 'bodiesMaxBytes'>) {
    this.#maxBytes = bodyMaxBytes;
    this.#partial = new ByteBudget(bodiesMaxBytes);
  }

  /** Bytes of bodies that have arrived in part. */
  get partialBytes(): number {
    return this.#partial.usedBytes;
  }

  /** Reads a body. @param done called once: with FRAME_TOO_LARGE, OVERLOADED or CLOSED when it is not to be had */
  read(payload: IncomingMessage, done: (error: SluiceError | null, body?: Buffer) => void): void {
    if (Number(payload.headers['content-length']) > this.#maxBytes) {
      done(this.#tooLarge());
      return;
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (error: SluiceError | null): void => {
      this.#partial.give(bytes);
      payload.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      if (error) done(error);
      else done(null, chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes));
    };
    const onData = (chunk: Buffer): void => {
      if (bytes + chunk.length > this.#maxBytes) settle(this.#tooLarge());
      else if (!this.#partial.tryTake(chunk.length))
        settle(new SluiceError('OVERLOADED', 'too many requests are only half there; try again'));
      else {
        bytes += chunk.length;
        chunks.push(chunk);
      }
    };
    const onEnd = (): void => settle(null);
    const onClose = (): void => settle(new SluiceError('CLOSED', 'the connection ended within the request'));
    payload.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  }

  #tooLarge(): SluiceError {
    return new SluiceError(
      'FRAME_TOO_LARGE',
      `a body has at most ${this.#maxBytes} bytes (http.bodyMaxBytes)`,
    );
  }
}

/** Gives the handlers of a scope their bodies as they came; an empty one where there is none. */
export function takeRawBodies(scope: FastifyInstance, bodies: Bodies): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, payload, done) => bodies.read(payload, done));
}

/** Gives the handlers of a scope the JSON document of their bodies, whatever type they say they have; undefined where there is none. */
export function takeJsonBodies(scope: FastifyInstance, bodies: Bodies): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, payload, done) =>
    bodies.read(payload, (error, body) => {
      if (error) done(error);
      else parseInto(body!, done);
    }),
  );
}

/** Takes no body for an empty object; a hook before validation. */
export function bodyOrEmpty(request: { body: unknown }, _reply: unknown, done: () => void): void {
  request.body ??= {};
  done();
}

function parseInto(body: Buffer, done: (error: Error | null, body?: unknown) => void): void {
  let document: unknown;
  try {
    document = body.length === 0 ? undefined : parseJson(body.toString());
  } catch (error) {
    done(error as SluiceError);
    return;
  }
  done(null, document);
}

/** @param where what it is of, for people. @throws INVALID_ARGUMENT */
export function parseJson(text: string, where = 'the body'): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new SluiceError('INVALID_ARGUMENT', `${where} is no JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

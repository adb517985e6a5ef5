import type { FastifyReply } from 'fastify';

/**
 * A signal that aborts when the client of a request has gone before its answer, or the gateway goes.
 *
 * @param going the gateway's own
 */
export function signalOf(reply: FastifyReply, going: AbortSignal): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return AbortSignal.any([gone.signal, going]);
}

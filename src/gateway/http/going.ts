import type { FastifyReply, FastifyRequest } from 'fastify';
import { SluiceError } from '../../kernel/errors.ts';
import type { ApiContext } from './api-context.ts';

/** How long who waits may not notice that its credential is good no more. */
const LOOK_MS = 1000;

/**
 * A signal that aborts when the client of a request has gone before its answer, when what it has shown is good no more, or the gateway goes. The second
 * has a {@link SluiceError} for its reason, with which the request is to be refused.
 *
 * @param context of the gateway; `going` is its own signal
 */
export function signalOf(
  { principal }: FastifyRequest,
  reply: FastifyReply,
  { broker, clock, going }: Pick<ApiContext, 'broker' | 'clock' | 'going'>,
): AbortSignal {
  const gone = new AbortController();
  const look = (): void => {
    if (broker.isStillValid(principal)) timer = clock.setTimer(LOOK_MS, look);
    else gone.abort(new SluiceError('UNAUTHENTICATED', 'the credential has expired or was revoked'));
  };
  let timer = clock.setTimer(LOOK_MS, look);
  reply.raw.once('close', () => {
    timer.cancel();
    if (!reply.raw.writableFinished) gone.abort();
  });
  return AbortSignal.any([gone.signal, going]);
}

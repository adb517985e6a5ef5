import type { FastifyReply, FastifyRequest } from 'fastify';
import { SluiceError } from '../../kernel/errors.ts';
import type { Asker } from '../../kernel/slots.ts';
import type { ApiContext } from './api-context.ts';

/**
 * A signal that aborts when the client of a request has gone before its answer, when what it has shown is good no more, or the gateway goes. The second
 * has a {@link SluiceError} for its reason, with which the request is to be refused.
 *
 * @param context of the gateway; `going` is its own signal
 */
export function signalOf(
  { principal }: FastifyRequest,
  reply: FastifyReply,
  { broker, credentials, going }: Pick<ApiContext, 'broker' | 'credentials' | 'going'>,
): AbortSignal {
  const gone = new AbortController();
  const holder = {
    checkCredential: () => {
      if (!broker.isStillValid(principal)) gone.abort(credentialOver());
    },
  };
  credentials.add(holder);
  reply.raw.once('close', () => {
    credentials.delete(holder);
    if (!reply.raw.writableFinished) gone.abort();
  });
  return AbortSignal.any([gone.signal, going]);
}

/** Whoever waits for the answer of a request, as {@link signalOf} tells when it goes; costs nothing until that is asked. */
export function askerOf(...args: Parameters<typeof signalOf>): Asker {
  let gone: AbortSignal | undefined;
  return {
    get gone() {
      gone ??= signalOf(...args);
      return gone;
    },
  };
}

/** Why who has been let in is not any more. */
export function credentialOver(): SluiceError {
  return new SluiceError('UNAUTHENTICATED', 'the credential has expired or was revoked');
}

import type { FastifyReply } from 'fastify';
import { SluiceError } from '../../kernel/errors.ts';
import type { ByteBudget } from '../../log/byte-budget.ts';

/** What a JSON text is sent as. */
export const JSON_TYPE = 'application/json; charset=utf-8';

/**
 * Answers with a text that may be large, and counts it until the client has taken it or is gone.
 *
 * @param body JSON
 * @param unread of all clients together
 * @throws OVERLOADED when clients have not read too much
 */
export function sendJson(reply: FastifyReply, body: string, unread: ByteBudget): FastifyReply {
  const bytes = body.length;
  if (!unread.tryTake(bytes))
    throw new SluiceError(
      'OVERLOADED',
      'clients have not read what they asked for before; ask for less, or later',
    );
  reply.raw.once('close', () => unread.give(bytes));
  return reply.header('content-type', JSON_TYPE).send(body);
}

import type { FastifyReply } from 'fastify';
import type { MadeAnswer } from './answers/answer-desk.ts';
import { whenTaken } from './answers/when-taken.ts';

/** What a JSON text is sent as. */
export const JSON_TYPE = 'application/json; charset=utf-8';

/** Sends an answer that may be large, and gives back its room once the client has taken it or is gone. */
export function sendJson(reply: FastifyReply, { body, room }: MadeAnswer): FastifyReply {
  whenTaken(reply, () => room.give());
  return reply.header('content-type', JSON_TYPE).send(body);
}

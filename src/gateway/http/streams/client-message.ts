import { z } from 'zod';
import { SluiceError } from '../../../kernel/errors.ts';

const MAX_AT_ONCE = 10_000;
const MAX_DELAY_MS = 12 * 3_600_000;
const wholeNumber = z.int().nonnegative();
const token = z.string().max(31);
const done = z.strictObject({ topic: z.string().optional(), partition: wholeNumber, offset: wholeNumber });
const tokens = z.array(token).max(MAX_AT_ONCE);

const clientMessage = z.strictObject({
  /** Chosen by the client; the outcome has it too. */
  id: z.union([z.string().max(128), z.number()]).optional(),
  /** Of a queue: tokens. Of a group: records up to which, and with which, all of their partition is done. */
  ack: z.union([tokens, z.array(done).max(MAX_AT_ONCE)]).optional(),
  /** The same as `ack` of one record of a group; what pubsub-broker's clients say. */
  commit: done.optional(),
  nack: tokens.optional(),
  reject: tokens.optional(),
  extend: tokens.optional(),
  release: tokens.optional(),
  /** Of `nack`: until the next delivery. Left out: as the queue has it. */
  delayMs: wholeNumber.max(MAX_DELAY_MS).optional(),
  /** Of `extend`: until the lease ends. Left out: as the queue has it. */
  leaseMs: wholeNumber.max(MAX_DELAY_MS).optional(),
  /** Of `nack` and `reject`, for people. */
  reason: z.string().max(1024).optional(),
  /** Records that may come besides those allowed before. */
  credit: z.int().positive().max(MAX_AT_ONCE).optional(),
});

/** What a client says on a WebSocket. */
export type ClientMessage = z.infer<typeof clientMessage>;

/** A record of a group up to which all is done. */
export type DoneRecord = z.infer<typeof done>;

/** @throws PROTOCOL_ERROR when it is no JSON; INVALID_ARGUMENT when it says nothing that is known */
export function parseClientMessage(text: string): ClientMessage {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new SluiceError('PROTOCOL_ERROR', 'a message is a JSON object', { cause });
  }
  const parsed = clientMessage.safeParse(document);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not understood'}`,
  );
}

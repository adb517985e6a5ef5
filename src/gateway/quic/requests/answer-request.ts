import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Request } from '../../../gen/sluice/client/v1/control_pb.ts';
import { RequestSchema, ResponseSchema } from '../../../gen/sluice/client/v1/control_pb.ts';
import { asSluiceError, SluiceError } from '../../../kernel/errors.ts';
import { decodeControl, encodeControl } from '../../../wire/control.ts';
import { FRAME } from '../../../wire/frame.ts';
import type { ClientSession, RequestChannel } from '../client-session.ts';
import { errorFrame } from '../error-frame.ts';
import { clusterHandlers } from './cluster.ts';
import { groupHandlers } from './groups.ts';
import type { RequestHandlers } from './handler.ts';
import { producerHandlers } from './producers.ts';
import { statusHandlers } from './status.ts';
import { subscriptionHandlers } from './subscriptions.ts';
import { tokenHandlers } from './tokens.ts';
import { topicHandlers } from './topics.ts';

/** Every request of the protocol; the compiler sees that none is missing. */
const HANDLERS: RequestHandlers = {
  ...topicHandlers,
  ...subscriptionHandlers,
  ...producerHandlers,
  ...statusHandlers,
  ...tokenHandlers,
  ...clusterHandlers,
  ...groupHandlers,
};

type ResponseBody = NonNullable<MessageInitShape<typeof ResponseSchema>['body']>;
/** A handler after its request was looked up by name: the two belong together, which the type system cannot follow. */
type AnyHandler = (session: ClientSession, request: unknown, channel: RequestChannel) => unknown;

/**
 * Answers a REQUEST with exactly one RESPONSE or ERROR, now or later.
 *
 * @throws PROTOCOL_ERROR when the payload is no request, or HELLO was left out: that ends the connection
 * @see docs/protocol.md section 5
 */
export function answerRequest(channel: RequestChannel, payload: Buffer): void {
  const { correlationId, body } = decodeControl(RequestSchema, payload);
  if (correlationId === 0) throw new SluiceError('PROTOCOL_ERROR', 'a REQUEST has a correlation id above 0');
  const { session } = channel;
  if (!channel.helloSeen && session.authenticated) {
    throw new SluiceError('PROTOCOL_ERROR', 'HELLO comes before the first REQUEST');
  }
  channel.run(async () => {
    session.context.counters.requests += 1;
    channel.write(await answer(channel, correlationId, body));
  });
}

async function answer(
  channel: RequestChannel,
  correlationId: number,
  body: Request['body'],
): Promise<Buffer> {
  try {
    const response = { correlationId, body: await handle(channel, body) };
    const { maxResponseBytes } = channel;
    const limits = { maxFrameBytes: 0, maxControlBytes: 0, maxResponseBytes };
    return encodeControl(FRAME.RESPONSE, ResponseSchema, response, '', limits);
  } catch (error) {
    return refuse(channel.session, correlationId, error);
  }
}

async function handle(channel: RequestChannel, body: Request['body']): Promise<ResponseBody> {
  channel.session.requireIdentity();
  if (body.case === undefined) {
    throw new SluiceError(
      'UNSUPPORTED',
      'this broker does not know the request: it may be older than the client',
    );
  }
  const value = await (HANDLERS[body.case] as AnyHandler)(channel.session, body.value, channel);
  return { case: body.case, value } as ResponseBody;
}

function refuse(session: ClientSession, correlationId: number, error: unknown): Buffer {
  const refusal = asSluiceError(error);
  session.countError(refusal.code);
  if (refusal.code === 'INTERNAL')
    session.context.log.error('request.failed', { session: session.id, error });
  return errorFrame(correlationId, refusal);
}

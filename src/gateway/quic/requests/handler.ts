import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Request, ResponseSchema } from '../../../gen/sluice/client/v1/control_pb.ts';
import type { ClientSession, RequestChannel } from '../client-session.ts';

type RequestBody = Request['body'];
type ResponseBody = NonNullable<MessageInitShape<typeof ResponseSchema>['body']>;

/** Name of a request; its answer has the same. */
export type RequestCase = Exclude<RequestBody['case'], undefined>;

/** The message of a request. */
export type RequestValue<C extends RequestCase> = Extract<RequestBody, { case: C }>['value'];

/** The message that answers it. */
export type ResponseValue<C extends RequestCase> = Extract<ResponseBody, { case: C }>['value'];

/**
 * Answers one kind of request.
 * @param channel where the answer goes
 * @throws SluiceError that becomes the ERROR for it
 */
export type RequestHandler<C extends RequestCase> = (
  session: ClientSession,
  request: RequestValue<C>,
  channel: Pick<RequestChannel, 'signal' | 'maxResponseBytes'>,
) => ResponseValue<C> | Promise<ResponseValue<C>>;

/** Handlers by the name of their request. */
export type RequestHandlers<C extends RequestCase = RequestCase> = { readonly [K in C]: RequestHandler<K> };

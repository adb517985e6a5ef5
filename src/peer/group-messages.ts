import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import { CoordinateRequestSchema, CoordinateResponseSchema } from '../gen/sluice/peer/v1/peer_pb.ts';
import type { GroupAsker } from '../groups/api.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { MessageCodec } from '../transport/grpc/rpc-method.ts';
import { decodeMessage, encodeMessage } from '../transport/grpc/rpc-method.ts';

/** A question to the coordinator of a partition of `__groups`. */
export interface CoordinateQuestion {
  readonly statePartition: number;
  readonly request: GroupRequest;
  readonly asker: GroupAsker;
}

/** A question to a coordinator, as a message. */
export const coordinateRequestCodec: MessageCodec<CoordinateQuestion> = {
  encode: ({ asker, ...question }) => encodeMessage(CoordinateRequestSchema, { ...question, ...asker }),
  decode: (bytes) => {
    const { statePartition, request, principal, administers } = decodeMessage(CoordinateRequestSchema, bytes);
    if (!request) throw new SluiceError('PROTOCOL_ERROR', 'a question to a coordinator without the question');
    return { statePartition, request, asker: { principal, administers } };
  },
};

/** The answer of a coordinator, as a message; batches are views of it. */
export const coordinateResponseCodec: MessageCodec<GroupResponse> = {
  encode: (response) => encodeMessage(CoordinateResponseSchema, { response }),
  decode: (bytes) => {
    const { response } = decodeMessage(CoordinateResponseSchema, bytes);
    if (!response) throw new SluiceError('PROTOCOL_ERROR', 'an answer of a coordinator without the answer');
    return response;
  },
};

import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import { GroupRequestSchema, GroupResponseSchema } from '../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAnswer, GroupAnswerInit, GroupCase, GroupQuestionInit } from './api.ts';

type RequestInit = MessageInitShape<typeof GroupRequestSchema>;
type ResponseInit = MessageInitShape<typeof GroupResponseSchema>;

/** A question as a message. Its name and what it says belong together, which the type system cannot follow. */
export function groupRequest<C extends GroupCase>(name: C, value: GroupQuestionInit<C>): GroupRequest {
  return create(GroupRequestSchema, { body: { case: name, value } } as RequestInit);
}

/** An answer as a message. */
export function groupResponse<C extends GroupCase>(name: C, value: GroupAnswerInit<C>): GroupResponse {
  return create(GroupResponseSchema, { body: { case: name, value } } as ResponseInit);
}

/** What a message answers. */
export function answerIn<C extends GroupCase>(response: GroupResponse): GroupAnswer<C> {
  return response.body.value as GroupAnswer<C>;
}

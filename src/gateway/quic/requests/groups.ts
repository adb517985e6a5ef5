import type { MessageInitShape } from '@bufbuild/protobuf';
import type { GroupResponseSchema } from '../../../gen/sluice/client/v1/groups_pb.ts';
import type { GroupCase, GroupQuestion } from '../../../groups/api.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { RequestHandlers } from './handler.ts';

type ResponseBody = NonNullable<MessageInitShape<typeof GroupResponseSchema>['body']>;

/** Requests about consumer groups and queues; which one it is, is inside. */
export const groupHandlers: RequestHandlers<'group'> = {
  async group(session, { body }) {
    if (body.case === undefined) {
      throw new SluiceError(
        'UNSUPPORTED',
        'this broker does not know the request: it may be older than the client',
      );
    }
    const question: GroupQuestion = body.value;
    const value = await session.context.broker.groups.ask<GroupCase>(
      session.requirePrincipal(),
      body.case,
      question,
    );
    return { body: { case: body.case, value } as ResponseBody };
  },
};

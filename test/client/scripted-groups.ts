import type { MessageInitShape } from '@bufbuild/protobuf';
import type { GroupResponseSchema } from '../../src/gen/sluice/client/v1/groups_pb.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import type { FakeBroker, RequestBody } from './fake-broker.ts';

/** A question about a group or a queue. */
export type GroupBody = Extract<RequestBody, { case: 'group' }>['value']['body'];
/** How one is answered. */
export type ScriptedAnswer =
  NonNullable<MessageInitShape<typeof GroupResponseSchema>['body']> | { readonly error: ErrorCode };

/** Makes `broker` answer questions about groups and queues with these, in turn. @returns the questions, as they come */
export function scriptGroups(broker: FakeBroker, answers: readonly ScriptedAnswer[]): GroupBody[] {
  const asked: GroupBody[] = [];
  const left = [...answers];
  broker.onRequest = (request) => {
    if (request.case !== 'group') return broker.defaultAnswer(request);
    asked.push(request.value.body);
    const answer = left.shift();
    if (answer === undefined) return { error: 'INTERNAL' };
    return 'error' in answer ? answer : { case: 'group', value: { body: answer } };
  };
  return asked;
}

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  GroupRequest,
  GroupRequestSchema,
  GroupResponse,
  GroupResponseSchema,
} from '../gen/sluice/client/v1/groups_pb.ts';

type RequestBody = GroupRequest['body'];
type ResponseBody = GroupResponse['body'];
type RequestInit = NonNullable<MessageInitShape<typeof GroupRequestSchema>['body']>;
type ResponseInit = NonNullable<MessageInitShape<typeof GroupResponseSchema>['body']>;

/** What can be asked of consumer groups and queues; the answer has the same name. @see proto/sluice/client/v1/groups.proto */
export type GroupCase = Exclude<RequestBody['case'], undefined>;

/** A question as its coordinator gets it. */
export type GroupQuestion<C extends GroupCase = GroupCase> = Extract<RequestBody, { case: C }>['value'];

/** A question as one asks it: what is left out is zero, empty or not there. */
export type GroupQuestionInit<C extends GroupCase = GroupCase> = Extract<RequestInit, { case: C }>['value'];

/** An answer as one gets it. */
export type GroupAnswer<C extends GroupCase = GroupCase> = Extract<ResponseBody, { case: C }>['value'];

/** An answer as a coordinator gives it. */
export type GroupAnswerInit<C extends GroupCase = GroupCase> = Extract<ResponseInit, { case: C }>['value'];

/** What goes with a question. */
export interface AskOptions {
  /** The asker has gone: what waits is given up, and nothing is leased any more. */
  readonly signal?: AbortSignal | undefined;
}

/** Who asks, as far as coordinators care. */
export interface GroupAsker {
  /** Name of the principal, which is one to whatever credential it has shown; empty: the broker itself, which is a member of nothing. */
  readonly principal: string;
  /** Whether it may administer the node. */
  readonly administers: boolean;
}

/** The broker itself. */
export const NO_ASKER: GroupAsker = Object.freeze({ principal: '', administers: false });

/** What goes with a question on its way to its coordinator. */
export interface GroupAsking {
  readonly asker: GroupAsker;
  /** As in {@link AskOptions}. */
  readonly signal: AbortSignal;
}

/** Group of a queue that is not named. */
export const DEFAULT_QUEUE_GROUP = 'default';

/** Prefix of the topic that takes the dead letters of another. */
export const DEAD_LETTER_PREFIX = 'dlq.';

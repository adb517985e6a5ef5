import type { FastifyInstance } from 'fastify';
import type { GroupQuestionInit } from '../../../groups/api.ts';
import type { ApiContext } from '../api-context.ts';
import { signalOf } from '../going.ts';
import { placeToWire } from '../place-wire.ts';
import { faultOf, plain, statusOf } from '../plain.ts';
import { ASSIGNMENT, COMMIT, COMMITTED, GROUP, GROUPS, JOIN, RESET, RESET_DONE } from '../schemas/groups.ts';
import { flag, object, reference, text } from '../schemas/json-schema.ts';

interface GroupParams {
  readonly group: string;
}
interface MemberParams extends GroupParams {
  readonly member: string;
}
interface GroupPosition {
  readonly topic: string;
  readonly partition: number;
}
interface JoinBody {
  readonly topics: readonly string[];
  readonly generation?: number;
  readonly owned?: readonly GroupPosition[];
  readonly instanceId?: string;
  readonly clientId?: string;
  readonly sessionTimeoutMs?: number;
  readonly waitMs?: number;
  readonly from?: string;
}
interface CommitBody {
  readonly memberId?: string;
  readonly generation?: number;
  readonly offsets: readonly (GroupPosition & { readonly offset: number; readonly metadata?: string })[];
}

const PARAMS = object({ group: text() }, ['group']);
const MEMBER = object({ group: text(), member: text() }, ['group', 'member']);
const REFUSED = { description: 'Refused', ...reference('Error') };
const DONE = { description: 'Done', type: 'null' };
const tags = ['groups'];

const LIST_GROUPS_ROUTE = {
  schema: {
    ...{ tags, operationId: 'listGroups', summary: 'Consumer groups of topics one may read' },
    response: { 200: GROUPS, default: REFUSED },
  },
};

const DESCRIBE_GROUP_ROUTE = {
  schema: {
    ...{ tags, operationId: 'describeGroup', summary: 'A group, its members, offsets and lag' },
    params: PARAMS,
    response: { 200: GROUP, default: REFUSED },
  },
};

const DELETE_GROUP_ROUTE = {
  schema: {
    ...{ tags, operationId: 'deleteGroup', summary: 'Forgets a group without members' },
    params: PARAMS,
    response: { 204: DONE, default: REFUSED },
  },
};

const RESET_GROUP_ROUTE = {
  schema: {
    ...{ tags, operationId: 'resetGroup', summary: 'Sets where a group without members goes on' },
    params: PARAMS,
    body: RESET,
    response: { 200: RESET_DONE, default: REFUSED },
  },
};

const COMMIT_OFFSETS_ROUTE = {
  schema: {
    ...{
      tags,
      operationId: 'commitOffsets',
      summary: 'Commits offsets: for each partition the first that is not done',
    },
    params: PARAMS,
    body: COMMIT,
    response: { 200: COMMITTED, default: REFUSED },
  },
};

const JOIN_GROUP_ROUTE = {
  schema: {
    tags,
    operationId: 'joinGroup',
    summary: 'Joins, or stays: answers when the assignment changes, else after waitMs',
    params: MEMBER,
    body: JOIN,
    response: { 200: ASSIGNMENT, default: REFUSED },
  },
};

const LEAVE_GROUP_ROUTE = {
  schema: {
    ...{ tags, operationId: 'leaveGroup', summary: 'Leaves a group' },
    params: MEMBER,
    querystring: object({ returning: flag('A static member comes back and keeps its partitions') }),
    response: { 204: DONE, default: REFUSED },
  },
};

/** Consumer groups: members, committed offsets, and what they look like. */
export function addGroupRoutes(scope: FastifyInstance, context: ApiContext): void {
  const { groups } = context.broker;
  scope.get('/v1/groups', LIST_GROUPS_ROUTE, async ({ principal }) =>
    plain(await groups.ask(principal, 'listGroups', {})),
  );
  scope.get<{ Params: GroupParams }>(
    '/v1/groups/:group',
    DESCRIBE_GROUP_ROUTE,
    async ({ principal, params: { group } }) =>
      plain(await groups.ask(principal, 'describeGroup', { group })),
  );
  scope.delete<{ Params: GroupParams }>(
    '/v1/groups/:group',
    DELETE_GROUP_ROUTE,
    async ({ principal, params: { group } }, reply) => {
      await groups.ask(principal, 'deleteGroup', { group });
      return reply.code(204).send();
    },
  );
  scope.post<{ Params: GroupParams; Body: { topic: string; to: string; partitions?: number[] } }>(
    '/v1/groups/:group/reset',
    RESET_GROUP_ROUTE,
    async ({ principal, params: { group }, body: { topic, partitions = [], to } }) =>
      plain(await groups.ask(principal, 'resetGroup', { group, topic, partitions, to: placeToWire(to) })),
  );
  scope.post<{ Params: GroupParams; Body: CommitBody }>(
    '/v1/groups/:group/offsets',
    COMMIT_OFFSETS_ROUTE,
    async ({ principal, params: { group }, body: { memberId = '', generation = 0, offsets } }, reply) => {
      const { results } = await groups.ask(principal, 'commitOffsets', {
        ...{ group, memberId, generation },
        offsets: offsets.map((each) => ({ ...each, offset: BigInt(each.offset) })),
      });
      const faults = results.map(faultOf);
      const error = faults.find((fault) => fault !== undefined);
      const said = offsets.map(({ topic, partition }, index) => ({ topic, partition, error: faults[index] }));
      return reply.code(statusOf(faults)).send({ error, results: said });
    },
  );
  scope.post<{ Params: MemberParams; Body: JoinBody }>(
    '/v1/groups/:group/members/:member',
    JOIN_GROUP_ROUTE,
    async (request, reply) => {
      const signal = signalOf(request, reply, context);
      return plain(await groups.ask(request.principal, 'joinGroup', joinOf(request), { signal }));
    },
  );
  scope.delete<{ Params: MemberParams; Querystring: { returning?: boolean } }>(
    '/v1/groups/:group/members/:member',
    LEAVE_GROUP_ROUTE,
    async ({ principal, params: { group, member }, query: { returning = false } }, reply) => {
      await groups.ask(principal, 'leaveGroup', { group, memberId: member, returning });
      return reply.code(204).send();
    },
  );
}

function joinOf({
  params: { group, member: memberId },
  body: { topics, generation = 0, owned = [], from, waitMs = 0, ...rest },
}: {
  readonly params: MemberParams;
  readonly body: JoinBody;
}): GroupQuestionInit<'joinGroup'> {
  return {
    ...{ ...rest, group, memberId, generation, filters: [...topics], owned: [...owned], maxWaitMs: waitMs },
    ...(from !== undefined && { start: placeToWire(from) }),
  };
}

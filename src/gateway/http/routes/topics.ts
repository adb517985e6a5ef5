import type { FastifyInstance } from 'fastify';
import type { TopicDescription } from '../../../broker/views.ts';
import type { TopicSettingsChange } from '../../../catalog/topic-settings.ts';
import type { ApiContext } from '../api-context.ts';
import { askerOf } from '../going.ts';
import { parsePlace } from '../place.ts';
import { flag, integer, list, object, reference, text } from '../schemas/json-schema.ts';
import { PLACE } from '../schemas/shared.ts';

interface TopicParams {
  readonly topic: string;
}
interface TopicChange {
  readonly partitions?: number;
  readonly settings?: TopicSettingsChange;
}
interface PlaceQuery {
  readonly at: string;
  readonly partition?: number;
}

const PARAMS = object({ topic: text() }, ['topic']);
const REFUSED = { description: 'Refused', ...reference('Error') };
const TOPIC = { description: 'The topic', ...reference('Topic') };
const PARTITIONS = integer('How many', { minimum: 1, maximum: 65_536 });
const POSITIONS = {
  description: 'One place for each partition',
  ...object({ offsets: list(reference('Position')) }, ['offsets']),
};

const LIST_TOPICS_ROUTE = {
  schema: {
    ...{ tags: ['topics'], operationId: 'listTopics', summary: 'Topics one may see' },
    querystring: object({ internal: flag('Those of the broker itself too') }),
    response: {
      200: { description: 'By name', ...object({ topics: list(reference('Topic')) }, ['topics']) },
      default: REFUSED,
    },
  },
};

const CREATE_TOPIC_ROUTE = {
  schema: {
    ...{ tags: ['topics'], operationId: 'createTopic', summary: 'Makes a topic' },
    body: object(
      {
        name: text(),
        partitions: PARTITIONS,
        settings: reference('TopicSettings'),
        ifNotExists: flag('A topic that is there already is the answer and no error'),
      },
      ['name'],
    ),
    response: { 201: TOPIC, default: REFUSED },
  },
};

const DESCRIBE_TOPIC_ROUTE = {
  schema: {
    ...{ tags: ['topics'], operationId: 'describeTopic', summary: 'A topic and its partitions' },
    params: PARAMS,
    response: { 200: TOPIC, default: REFUSED },
  },
};

const ALTER_TOPIC_ROUTE = {
  schema: {
    ...{
      tags: ['topics'],
      operationId: 'alterTopic',
      summary: 'Changes what is named, and leaves the rest',
    },
    params: PARAMS,
    body: object({ partitions: PARTITIONS, settings: reference('TopicSettings') }),
    response: { 200: TOPIC, default: REFUSED },
  },
};

const DELETE_TOPIC_ROUTE = {
  schema: {
    ...{ tags: ['topics'], operationId: 'deleteTopic', summary: 'Deletes a topic and its records' },
    params: PARAMS,
    response: { 204: { description: 'Deleted', type: 'null' }, default: REFUSED },
  },
};

const COUNT_ROUTE = {
  schema: {
    ...{ tags: ['topics'], operationId: 'count', summary: 'Records that are retained' },
    params: PARAMS,
    response: {
      200: {
        description: 'At most so many: a compacted partition has holes',
        ...object(
          {
            topic: text(),
            count: integer(),
            partitions: list(object({ partition: integer(), count: integer() }, ['partition', 'count'])),
          },
          ['topic', 'count', 'partitions'],
        ),
      },
      default: REFUSED,
    },
  },
};

const LIST_OFFSETS_ROUTE = {
  schema: {
    ...{ tags: ['topics'], operationId: 'listOffsets', summary: 'The offsets that a place means now' },
    params: PARAMS,
    querystring: object({ at: { ...PLACE, default: 'latest' }, partition: integer('Default: all') }),
    response: { 200: POSITIONS, default: REFUSED },
  },
};

const DELETE_RECORDS_ROUTE = {
  schema: {
    ...{ tags: ['topics'], operationId: 'deleteRecords', summary: 'Deletes the oldest records for ever' },
    params: PARAMS,
    querystring: object({ before: PLACE, partition: integer('Default: all') }, ['before']),
    response: { 200: { ...POSITIONS, description: 'Where each partition begins now' }, default: REFUSED },
  },
};

/** Topics: made, changed, deleted, described. */
export function addTopicRoutes(scope: FastifyInstance, context: ApiContext): void {
  const { broker } = context;
  scope.get<{ Querystring: { internal?: boolean } }>(
    '/v1/topics',
    LIST_TOPICS_ROUTE,
    async ({ principal, query }) => {
      const topics = await broker.listTopics(principal, { internal: query.internal === true });
      return { topics: topics.map(topicJson) };
    },
  );
  scope.post<{ Body: TopicChange & { name: string; ifNotExists?: boolean } }>(
    '/v1/topics',
    CREATE_TOPIC_ROUTE,
    async ({ principal, body }, reply) =>
      reply.code(201).send(detailedJson(await broker.createTopic(principal, body))),
  );
  scope.get<{ Params: TopicParams }>(
    '/v1/topics/:topic',
    DESCRIBE_TOPIC_ROUTE,
    async ({ principal, params }) => detailedJson(await broker.describeTopic(principal, params.topic)),
  );
  scope.patch<{ Params: TopicParams; Body: TopicChange }>(
    '/v1/topics/:topic',
    ALTER_TOPIC_ROUTE,
    async ({ principal, params, body }) =>
      detailedJson(await broker.alterTopic(principal, { ...body, name: params.topic })),
  );
  scope.delete<{ Params: TopicParams }>(
    '/v1/topics/:topic',
    DELETE_TOPIC_ROUTE,
    async ({ principal, params }, reply) => {
      await broker.deleteTopic(principal, params.topic);
      return reply.code(204).send();
    },
  );
  addOffsetRoutes(scope, context);
}

function addOffsetRoutes(scope: FastifyInstance, context: ApiContext): void {
  const { broker } = context;
  scope.get<{ Params: TopicParams }>(
    '/v1/topics/:topic/count',
    COUNT_ROUTE,
    async ({ principal, params: { topic } }) => ({ topic, ...(await countOf(broker, principal, topic)) }),
  );
  scope.get<{ Params: TopicParams; Querystring: PlaceQuery }>(
    '/v1/topics/:topic/offsets',
    LIST_OFFSETS_ROUTE,
    async (request, reply) => {
      const { principal, params, query } = request;
      const partitions = query.partition === undefined ? [] : [query.partition];
      const asker = askerOf(request, reply, context);
      return {
        offsets: await broker.listOffsets(principal, params.topic, partitions, parsePlace(query.at), asker),
      };
    },
  );
  scope.delete<{ Params: TopicParams; Querystring: { before: string; partition?: number } }>(
    '/v1/topics/:topic/messages',
    DELETE_RECORDS_ROUTE,
    async ({ principal, params, query: { before, partition } }) => ({
      offsets: await broker.deleteRecords(
        principal,
        params.topic,
        partition === undefined ? [] : [partition],
        parsePlace(before),
      ),
    }),
  );
}

/**
 * How many records a topic retains, at most.
 * @throws FORBIDDEN, TOPIC_NOT_FOUND; NOT_LEADER, UNAVAILABLE, TIMEOUT when a leader cannot be asked
 */
export async function countOf(
  broker: Pick<ApiContext['broker'], 'listOffsets'>,
  principal: Parameters<ApiContext['broker']['listOffsets']>[0],
  topic: string,
): Promise<{ count: number; partitions: { partition: number; count: number }[] }> {
  const [starts, ends] = await Promise.all([
    broker.listOffsets(principal, topic, [], { at: 'earliest' }),
    broker.listOffsets(principal, topic, [], { at: 'latest' }),
  ]);
  const partitions = starts.map(({ partition, offset }, slot) => ({
    partition,
    count: Math.max(0, ends[slot]!.offset - offset),
  }));
  return { count: partitions.reduce((sum, { count }) => sum + count, 0), partitions };
}

function topicJson({ name, id, partitions, settings, createdMs, error }: TopicDescription): object {
  return { name, id, partitions: partitions.length, settings, createdMs, error };
}

function detailedJson(topic: TopicDescription): object {
  return { ...topicJson(topic), partitionDetails: topic.partitions };
}

import type { FastifyInstance } from 'fastify';
import type { Principal } from '../../../broker/ports.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { ApiContext } from '../api-context.ts';
import { signalOf } from '../going.ts';
import { peek } from '../peek.ts';
import { parseEncoding, parsePlace } from '../place.ts';
import type { ReadRecords } from '../read-records.ts';
import { readRecords } from '../read-records.ts';
import { recordJson } from '../../../wire/record-json.ts';
import type { RecordEncoding } from '../../../wire/record-json.ts';
import { sendJson } from '../send-json.ts';
import { choice, integer, list, object, reference, text } from '../schemas/json-schema.ts';
import { ENCODING, PLACE } from '../schemas/shared.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
/** How long a client may ask to wait, milliseconds. */
export const WAIT_MAX_MS = 30_000;
const MAX_RECORDS = 10_000;
const MAX_BYTES = 16 * MiB;
const PEEK_MAX_RECORDS = 1000;

const REFUSED = { description: 'Refused', ...reference('Error') };
const BOUNDS = {
  maxBytes: integer('Of records with their headers, bytes; one comes even when it alone is larger', {
    minimum: 1,
    maximum: MAX_BYTES,
    default: MiB,
  }),
  encoding: ENCODING,
};

interface FetchQuery {
  readonly offset: string;
  readonly limit: number;
  readonly wait: number;
  readonly maxBytes: number;
  readonly encoding?: string;
}

interface PeekQuery extends Pick<FetchQuery, 'limit' | 'maxBytes' | 'encoding'> {
  readonly at: 'earliest' | 'latest';
  readonly partition?: number;
}

const FETCH_ROUTE = {
  schema: {
    tags: ['messages'],
    operationId: 'fetch',
    summary: 'Records of a partition from an offset on; waits for the first where that is asked for',
    params: object({ topic: text(), partition: integer() }, ['topic', 'partition']),
    querystring: object({
      offset: { ...PLACE, default: 'earliest' },
      limit: integer('Records at most', { minimum: 1, maximum: MAX_RECORDS, default: 100 }),
      wait: integer('Milliseconds to wait while there is none', {
        ...{ minimum: 0, maximum: WAIT_MAX_MS, default: 0 },
      }),
      ...BOUNDS,
    }),
    response: {
      200: {
        description: 'Perhaps none; `nextOffset` is where to go on',
        ...object(
          {
            topic: text(),
            partition: integer(),
            messages: list(reference('Record')),
            nextOffset: integer(),
            gaps: list(reference('Gap')),
          },
          ['topic', 'partition', 'messages', 'nextOffset', 'gaps'],
        ),
      },
      default: REFUSED,
    },
  },
};

const PEEK_ROUTE = {
  schema: {
    tags: ['messages'],
    operationId: 'peek',
    summary: 'The oldest or newest records of a topic, all partitions together, by time',
    params: object({ topic: text() }, ['topic']),
    querystring: object({
      at: { ...choice(['earliest', 'latest']), default: 'earliest' },
      limit: integer('Records at most', { minimum: 1, maximum: PEEK_MAX_RECORDS, default: 1 }),
      partition: integer('Only this one'),
      ...BOUNDS,
    }),
    response: {
      200: {
        description: 'Perhaps none',
        ...object({ topic: text(), messages: list(reference('Record')) }, ['topic', 'messages']),
      },
      default: REFUSED,
    },
  },
};

/** Reading records of topics by offset. */
export function addMessageRoutes(scope: FastifyInstance, context: ApiContext): void {
  scope.get<{ Params: { topic: string; partition: number }; Querystring: FetchQuery }>(
    '/v1/topics/:topic/partitions/:partition/messages',
    FETCH_ROUTE,
    async (request, reply) => {
      const { topic, partition } = request.params;
      const { offset, limit, wait, maxBytes, encoding } = request.query;
      const { broker, clock, limits, going, unread } = context;
      const form = parseEncoding(encoding);
      const start = parsePlace(offset);
      const name = `HTTP ${request.ip}`;
      await requireTopic(broker, request.principal, topic);
      const open = await broker.openReader(request.principal, { topic, partition, start, name });
      let found: ReadRecords;
      try {
        found = await readRecords(open.reader, clock, {
          maxRecords: limit,
          maxBytes,
          waitMs: wait,
          inflatedMaxBytes: limits.inflatedMaxBytes,
          signal: wait === 0 ? going : signalOf(reply, going),
        });
      } finally {
        open.close();
      }
      return sendJson(reply, fetchedJson(topic, partition, found, form), unread);
    },
  );
  scope.get<{ Params: { topic: string }; Querystring: PeekQuery }>(
    '/v1/topics/:topic/peek',
    PEEK_ROUTE,
    async (request, reply) => {
      const { topic } = request.params;
      const form = parseEncoding(request.query.encoding);
      const found = await peek(context, request.principal, topic, request.query);
      const messages = found.map(({ record, partition }) => recordJson(record, { topic, partition }, form));
      const body = `{"topic":"${topic}","messages":[${messages.join(',')}]}`;
      return sendJson(reply, body, context.unread);
    },
  );
}

/** To look is not to make a topic. @throws FORBIDDEN, TOPIC_NOT_FOUND */
async function requireTopic(
  broker: ApiContext['broker'],
  principal: Principal,
  topic: string,
): Promise<void> {
  const [metadata] = await broker.metadata(principal, [topic], false);
  if (metadata!.error) throw new SluiceError(metadata!.error.code, metadata!.error.message);
}

function fetchedJson(topic: string, partition: number, found: ReadRecords, form: RecordEncoding): string {
  const messages = found.records.map((record) => recordJson(record, { topic, partition }, form));
  return (
    `{"topic":"${topic}","partition":${partition},"messages":[${messages.join(',')}],` +
    `"nextOffset":${found.nextOffset},"gaps":${JSON.stringify(found.gaps)}}`
  );
}

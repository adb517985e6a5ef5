import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../../../broker/ports.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { Place } from '../../../partition/place-table.ts';
import type { PartitionReader } from '../../../partition/reader.ts';
import type { RecordCursor } from '../../../wire/record-cursor.ts';
import type { MadeAnswer } from '../answers/answer-desk.ts';
import { answerBytes, MessageList } from '../answers/message-list.ts';
import type { ApiContext } from '../api-context.ts';
import { askerOf, signalOf } from '../going.ts';
import type { ShowRecord } from '../peek.ts';
import { peek } from '../peek.ts';
import { parseEncoding, parsePlace } from '../place.ts';
import type { ReadRecords } from '../read-records.ts';
import { readRecords, Wake } from '../read-records.ts';
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

interface FetchRequest {
  Params: { topic: string; partition: number };
  Querystring: FetchQuery;
}

interface PeekRequest {
  Params: { topic: string };
  Querystring: PeekQuery;
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
  const { broker, inOrder } = context;
  scope.get<FetchRequest>(
    '/v1/topics/:topic/partitions/:partition/messages',
    { ...FETCH_ROUTE, onRequest: inOrder },
    async (request, reply) => {
      const { topic, partition } = request.params;
      const form = parseEncoding(request.query.encoding);
      const start = parsePlace(request.query.offset);
      const name = `HTTP ${request.ip}`;
      await requireTopic(broker, request.principal, topic);
      const asker = askerOf(request, reply, context);
      const open = await broker.openReader(request.principal, { topic, partition, start, name, asker });
      let answer: MadeAnswer;
      try {
        answer = await fetchRecords(context, open.reader, form, request, reply);
      } finally {
        open.close();
      }
      return sendJson(reply, answer);
    },
  );
  scope.get<PeekRequest>(
    '/v1/topics/:topic/peek',
    { ...PEEK_ROUTE, onRequest: inOrder },
    async (request, reply) => {
      const { topic } = request.params;
      const { limit, maxBytes, encoding } = request.query;
      const form = parseEncoding(encoding);
      const show: ShowRecord = (record, partition) => recordJson(record, { topic, partition }, form);
      const answer = await context.desk.make(request, answerBytes(topic, limit, maxBytes), async (doWork) => {
        const messages = new MessageList();
        const found = await peek(context, request.principal, { topic, ...request.query }, show, doWork);
        for (const text of found) messages.add(text);
        return messages.between(`{"topic":"${topic}","messages":[`, ']}');
      });
      return sendJson(reply, answer!);
    },
  );
}

/** An answer with records of a partition, after waiting for the first as long as the client wants. */
async function fetchRecords(
  context: ApiContext,
  reader: PartitionReader,
  form: RecordEncoding,
  request: FastifyRequest<FetchRequest>,
  reply: FastifyReply,
): Promise<MadeAnswer> {
  const { desk, clock, limits, going } = context;
  const { inflatedMaxBytes } = limits;
  const { topic, partition } = request.params;
  const { limit: maxRecords, maxBytes, wait } = request.query;
  const bounds = { maxRecords, maxBytes, inflatedMaxBytes };
  const wake = new Wake(reader);
  const signal = wait === 0 ? going : signalOf(request, reply, context);
  const deadlineMs = clock.monotonicMs() + wait;
  const place = { topic, partition };
  for (;;) {
    const answer = await desk.make(request, answerBytes(topic, maxRecords, maxBytes), async (doWork) => {
      const messages = new MessageList();
      const take = (record: RecordCursor): boolean => messages.add(recordJson(record, place, form));
      const found = await readRecords(reader, doWork, bounds, take);
      return found && fetchedJson(place, messages, found);
    });
    if (answer) return answer;
    const isWoken = await wake.wait(clock, deadlineMs - clock.monotonicMs(), signal);
    if (signal.reason instanceof SluiceError) throw signal.reason;
    if (!isWoken) break;
  }
  const nothing = fetchedJson(place, new MessageList(), { nextOffset: reader.nextOffset, gaps: [] });
  const answer = await desk.make(request, nothing.length, () => Promise.resolve(nothing));
  return answer!;
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

function fetchedJson(
  { topic, partition }: Place,
  messages: MessageList,
  { nextOffset, gaps }: ReadRecords,
): Buffer {
  const head = `{"topic":"${topic}","partition":${partition},"messages":[`;
  return messages.between(head, `],"nextOffset":${nextOffset},"gaps":${JSON.stringify(gaps)}}`);
}

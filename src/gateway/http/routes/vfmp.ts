/**
 * The paths of VFMP, for clients of it:
 *
 *     POST /messages/<topic>            publishes the body; 200 with an empty body
 *     GET  /messages/<topic>?data=count { "count": … }    of the queue `default`: what is not leased and not done
 *     GET  /messages/<topic>?data=peek  the first of them, not taken; 404 where there is none
 *     GET  /control/healthcheck         200
 *     GET  /control/version             text
 *
 * `DEADLETTER/<topic>` is the topic of its dead letters. What comes after another topic's `/` is the key of the record.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../../../broker/ports.ts';
import { parseAddress } from '../../../catalog/topic-name.ts';
import type { BrowsedBatch } from '../../../gen/sluice/client/v1/groups_pb.ts';
import { DEAD_LETTER_PREFIX } from '../../../groups/api.ts';
import { SluiceError, asSluiceError } from '../../../kernel/errors.ts';
import { RecordBatch } from '../../../wire/record-batch-decoder.ts';
import type { RecordCursor } from '../../../wire/record-cursor.ts';
import type { DoWork, Work } from '../answers/answer-desk.ts';
import { answerBytes } from '../answers/message-list.ts';
import type { ApiContext } from '../api-context.ts';
import { peek } from '../peek.ts';
import type { PublishBatcher } from '../publish/publish-batcher.ts';
import { headerOf, recordFromRequest } from '../publish/record-input.ts';
import { sendJson } from '../send-json.ts';
import { choice, object, reference, text } from '../schemas/json-schema.ts';
import { uuidV7 } from '../uuid-v7.ts';
import { countOf } from './topics.ts';

const DEAD_LETTERS = 'DEADLETTER/';
const CORRELATION = 'x-correlation-id';
/** The header of the record that keeps it. */
const CORRELATION_HEADER = 'correlation-id';
const CORRELATION_MAX = 128;
const PEEK_BYTES = 1;

const REFUSED = { description: 'Refused', ...reference('Error') };
const PARAMS = object({ '*': text('A topic, topic/key, or DEADLETTER/ and a topic') }, ['*']);
const tags = ['VFMP'];

type TopicRequest = FastifyRequest<{ Params: { '*': string } }>;

/** Publishing of VFMP. The scope gives bodies as they came. */
export function addVfmpPublish(
  scope: FastifyInstance,
  { limits, clock, random }: ApiContext,
  batcher: PublishBatcher,
): void {
  scope.post<{ Params: { '*': string }; Body: Buffer | undefined }>(
    '/messages/*',
    {
      schema: {
        ...{ tags, operationId: 'vfmpPublish', summary: 'Publishes the body', params: PARAMS },
        response: { 200: { description: 'Stored', type: 'null' }, default: REFUSED },
      },
      config: { body: { 'application/octet-stream': { schema: text('The value', { format: 'binary' }) } } },
    },
    (request, reply) => {
      const { topic, key } = addressOf(request, limits.keyMaxBytes);
      const said = headerOf(request.headers, CORRELATION) ?? uuidV7(clock, random);
      if (said.length > CORRELATION_MAX)
        throw new SluiceError(
          'INVALID_ARGUMENT',
          `X-Correlation-ID has at most ${CORRELATION_MAX} characters`,
        );
      const record = recordFromRequest(request.headers, key, request.body ?? Buffer.alloc(0));
      const headers = [...record.headers, { key: CORRELATION_HEADER, value: Buffer.from(said) }];
      const destination = { topic, partition: undefined, acks: 2 } as const;
      batcher.add(request.principal, destination, { ...record, headers }, (error) => {
        if (error) void reply.send(error);
        else void reply.header(CORRELATION, encodeURI(said)).send();
      });
    },
  );
}

/** Looking at queues as VFMP does, and its control paths. */
export function addVfmpRoutes(scope: FastifyInstance, context: ApiContext, version: string): void {
  scope.get<{ Params: { '*': string }; Querystring: { data: 'count' | 'peek' } }>(
    '/messages/*',
    {
      onRequest: context.inOrder,
      schema: {
        ...{
          tags,
          operationId: 'vfmpLook',
          summary: 'How many records wait in the queue, or the first of them',
        },
        params: PARAMS,
        querystring: object({ data: choice(['count', 'peek']) }, ['data']),
        response: {
          200: { description: 'The count, or the record', type: 'object', additionalProperties: true },
          default: REFUSED,
        },
      },
    },
    async (request, reply) => {
      const { topic, key } = addressOf(request, context.limits.keyMaxBytes);
      if (key !== undefined)
        throw new SluiceError('INVALID_ARGUMENT', `a queue holds all keys of a topic: ask for ${topic}`);
      if (request.query.data === 'count')
        return { count: await waitingIn(context, request.principal, topic) };
      return answerPeek(context, request, topic, reply);
    },
  );
  scope.get(
    '/control/healthcheck',
    {
      schema: {
        tags,
        operationId: 'vfmpHealth',
        summary: 'Whether the node answers',
        response: { 200: { description: 'It does', type: 'null' } },
      },
    },
    (_request, reply) => reply.send(),
  );
  scope.get(
    '/control/version',
    {
      schema: {
        tags,
        operationId: 'vfmpVersion',
        summary: 'The version, as text',
        response: { 200: { description: 'The version', content: { 'text/plain': { schema: text() } } } },
      },
    },
    (_request, reply) => reply.type('text/plain; charset=utf-8').send(version),
  );
}

function addressOf(
  { params }: TopicRequest,
  keyMaxBytes: number,
): { topic: string; key: string | undefined } {
  const path = params['*'];
  const isDead = path.startsWith(DEAD_LETTERS);
  const { topic, key } = parseAddress(isDead ? path.slice(DEAD_LETTERS.length) : path, keyMaxBytes);
  return { topic: isDead ? `${DEAD_LETTER_PREFIX}${topic}` : topic, key: key?.toString() };
}

/** A topic that is not there is an empty queue, as VFMP has it. */
async function waitingIn(context: ApiContext, principal: Principal, topic: string): Promise<number> {
  try {
    return await countWaiting(context, principal, topic);
  } catch (error) {
    if (asSluiceError(error).code === 'TOPIC_NOT_FOUND') return 0;
    throw error;
  }
}

async function countWaiting({ broker }: ApiContext, principal: Principal, topic: string): Promise<number> {
  try {
    const { partitions } = await broker.groups.ask(principal, 'describeQueue', { topic });
    return partitions.reduce((sum, { ready, delayed }) => sum + Number(ready) + Number(delayed), 0);
  } catch (error) {
    if (asSluiceError(error).code !== 'QUEUE_NOT_FOUND') throw error;
    return (await countOf(broker, principal, topic)).count;
  }
}

async function answerPeek(
  context: ApiContext,
  request: FastifyRequest,
  topic: string,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const answer = await context.desk.make(request, answerBytes(topic, 1, PEEK_BYTES), async (doWork) => {
    const found = await firstOf(context, request.principal, topic, doWork);
    if (found === undefined) throw new SluiceError('RECORD_NOT_FOUND', `nothing waits in ${topic}`);
    return Buffer.from(found);
  });
  return sendJson(reply, answer!);
}

/** The record of a topic as VFMP shows it. */
function showRecord(record: RecordCursor, topic: string, attempts: number): string {
  const { headers, value, timestampMs } = record;
  const correlation = headers.find(({ key }) => key === CORRELATION_HEADER)?.value;
  return JSON.stringify({
    topic,
    correlationID: correlation?.toString() ?? '',
    data: (value ?? Buffer.alloc(0)).toString('base64'),
    leaseId: '',
    sendCount: attempts,
    createdAt: new Date(timestampMs).toISOString(),
  });
}

async function firstOf(
  context: ApiContext,
  principal: Principal,
  topic: string,
  doWork: DoWork,
): Promise<string | undefined> {
  const { broker, limits } = context;
  try {
    const { batches } = await broker.groups.ask(principal, 'browseQueue', { topic, maxRecords: 1 });
    return await doWork(firstBrowsed(batches, topic, limits.inflatedMaxBytes));
  } catch (error) {
    if (asSluiceError(error).code !== 'QUEUE_NOT_FOUND') throw error;
    const question = { topic, at: 'earliest', limit: 1, maxBytes: PEEK_BYTES } as const;
    const [first] = await peek(
      context,
      principal,
      question,
      (record) => showRecord(record, topic, 0),
      doWork,
    );
    return first;
  }
}

function* firstBrowsed(
  [first]: readonly BrowsedBatch[],
  topic: string,
  inflatedMaxBytes: number,
): Work<string | undefined> {
  if (!first) return undefined;
  const { batch, records } = first;
  const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
  const cursor = new RecordBatch(bytes, { inflatedMaxBytes, verifyCrc: false }).cursor();
  while (cursor.next()) {
    const { offset } = cursor;
    const range = records.find((each) => offset >= Number(each.first) && offset < Number(each.end));
    if (range) return showRecord(cursor, topic, range.attempt);
    yield;
  }
  return undefined;
}

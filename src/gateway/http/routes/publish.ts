import { hash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Acks } from '../../../broker/broker.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { ApiContext } from '../api-context.ts';
import { parseJson } from '../body.ts';
import type { KeptAnswer } from '../publish/idempotency-keys.ts';
import { IdempotencyKeys } from '../publish/idempotency-keys.ts';
import type { Destination, PublishBatcher } from '../publish/publish-batcher.ts';
import { publishMany } from '../publish/publish-many.ts';
import type { RecordInput } from '../publish/record-input.ts';
import {
  recordFromJson,
  recordFromRequest,
  recordsFromLines,
  recordsFromList,
} from '../publish/record-input.ts';
import { JSON_TYPE } from '../send-json.ts';
import { choice, flag, integer, list, object, reference, text } from '../schemas/json-schema.ts';

interface PublishQuery {
  readonly partition?: number;
  readonly key?: string;
  readonly acks?: 'all' | 'leader' | 'none';
  readonly raw?: boolean;
}

type PublishRequest = FastifyRequest<{
  Params: { topic: string };
  Querystring: PublishQuery;
  Body: Buffer | undefined;
}>;

const ACKS: Readonly<Record<NonNullable<PublishQuery['acks']>, Acks>> = { all: 2, leader: 1, none: 0 };
const NO_BODY = Buffer.alloc(0);
const NDJSON = /^application\/(?:x-)?(?:ndjson|jsonl|jsonlines)\b/;
const JSON_BODY = /^application\/json\b/;
const IDEMPOTENCY_KEY_MAX = 255;

const QUERY = object({
  partition: integer('Default: by the key, or in turn where there is none', { minimum: 0, maximum: 65_535 }),
  key: text('Of a raw body; X-Sluice-Key is the same'),
  acks: choice(
    ['all', 'leader', 'none'],
    'all: stored by all in-sync replicas (default); none: not waited for',
  ),
  raw: flag('The body is the value, whatever its type'),
});

const PUBLISHED_MANY = object(
  { topic: text(), messages: list(reference('Stored')), offsets: list(integer()) },
  ['topic', 'messages', 'offsets'],
);
const PUBLISHED = {
  anyOf: [
    object({ topic: text(), partition: integer(), offset: integer() }, ['topic', 'partition', 'offset']),
    PUBLISHED_MANY,
  ],
};
const SENT = { description: 'With acks=none: on its way', ...object({ topic: text() }, ['topic']) };
const REFUSED = { description: 'Refused', ...reference('Error') };
const PARAMS = object({ topic: text() }, ['topic']);

/** Publishing: one record, as JSON or as the body itself, or many. The scope gives bodies as they came. */
export function addPublishRoutes(scope: FastifyInstance, context: ApiContext, batcher: PublishBatcher): void {
  const publishing = new Publishing(context, batcher);
  scope.post<{ Params: { topic: string }; Querystring: PublishQuery; Body: Buffer | undefined }>(
    '/v1/topics/:topic/messages',
    {
      schema: {
        tags: ['messages'],
        operationId: 'publish',
        summary: 'Publishes a record, or the records of NDJSON as one batch for each partition',
        params: PARAMS,
        querystring: QUERY,
        response: { 201: { description: 'Stored', ...PUBLISHED }, 202: SENT, default: REFUSED },
      },
      // Only documented: bodies are what a publish costs, so they are looked at by hand.
      config: {
        body: {
          'application/json': { schema: reference('NewRecord') },
          'application/x-ndjson': { schema: text('On each line a record in JSON') },
          'application/octet-stream': { schema: text('The value itself', { format: 'binary' }) },
          'text/plain': { schema: text('The value itself') },
        },
      },
    },
    (request, reply) => publishing.publish(request, reply),
  );
  scope.post<{ Params: { topic: string }; Querystring: PublishQuery; Body: Buffer | undefined }>(
    '/v1/topics/:topic/messages/batch',
    {
      schema: {
        tags: ['messages'],
        operationId: 'publishBatch',
        summary: 'Publishes records as one batch for each partition',
        params: PARAMS,
        querystring: QUERY,
        response: { 201: { description: 'Stored', ...PUBLISHED_MANY }, 202: SENT, default: REFUSED },
      },
      config: {
        body: {
          'application/json': {
            schema: object({ messages: list(reference('NewRecord')) }, ['messages']),
          },
        },
      },
    },
    (request, reply) => publishing.publishList(request, reply),
  );
}

/** Takes publishes of requests and answers them. */
class Publishing {
  readonly #context: ApiContext;
  readonly #batcher: PublishBatcher;
  readonly #keys: IdempotencyKeys;

  constructor(context: ApiContext, batcher: PublishBatcher) {
    this.#context = context;
    this.#batcher = batcher;
    this.#keys = new IdempotencyKeys(context.clock);
  }

  publish(request: PublishRequest, reply: FastifyReply): void {
    const body = request.body ?? NO_BODY;
    const { raw, key } = request.query;
    const type = raw === true ? undefined : request.headers['content-type'];
    if (type !== undefined && NDJSON.test(type)) {
      this.#answerMany(request, reply, recordsFromLines(body.toString()));
      return;
    }
    const isJson = type !== undefined && JSON_BODY.test(type);
    const record = isJson
      ? recordFromJson(parseJson(body.toString()))
      : recordFromRequest(request.headers, key, body);
    this.#checkKey(record);
    const destination = destinationOf(request);
    if (request.headers['idempotency-key'] !== undefined) {
      this.#answerOnce(request, reply, () => this.#one(request, destination, record));
      return;
    }
    this.#batcher.add(request.principal, destination, record, (error, partition, offset) => {
      if (error) void reply.send(error);
      else send(reply, storedAnswer(destination, partition, offset));
    });
  }

  publishList(request: PublishRequest, reply: FastifyReply): void {
    const document = parseJson((request.body ?? NO_BODY).toString());
    this.#answerMany(request, reply, recordsFromList(document));
  }

  #answerMany(request: PublishRequest, reply: FastifyReply, records: readonly RecordInput[]): void {
    for (const record of records) this.#checkKey(record);
    const perform = (): Promise<KeptAnswer> =>
      publishMany(this.#context.broker, this.#batcher, request.principal, destinationOf(request), records);
    if (request.headers['idempotency-key'] === undefined) sendLater(reply, perform());
    else this.#answerOnce(request, reply, perform);
  }

  #one(request: PublishRequest, destination: Destination, record: RecordInput): Promise<KeptAnswer> {
    return new Promise((resolve, reject) =>
      this.#batcher.add(request.principal, destination, record, (error, partition, offset) => {
        if (error) reject(error);
        else resolve(storedAnswer(destination, partition, offset));
      }),
    );
  }

  #answerOnce(request: PublishRequest, reply: FastifyReply, perform: () => Promise<KeptAnswer>): void {
    const { principal, url, headers, params, body } = request;
    const key = String(headers['idempotency-key']);
    if (key.length === 0 || key.length > IDEMPOTENCY_KEY_MAX)
      throw new SluiceError('INVALID_ARGUMENT', `Idempotency-Key has 1 to ${IDEMPOTENCY_KEY_MAX} characters`);
    const owner = `${principal.kind}\n${principal.name}\n${params.topic}\n${key}`;
    sendLater(reply, this.#keys.once(owner, fingerprintOf(url, headers, body ?? NO_BODY), perform));
  }

  #checkKey({ key }: RecordInput): void {
    const { keyMaxBytes } = this.#context.limits;
    if (key === null || key.length <= keyMaxBytes) return;
    throw new SluiceError('KEY_TOO_LARGE', `a key of ${key.length} bytes; at most ${keyMaxBytes}`);
  }
}

function destinationOf({ params, query }: PublishRequest): Destination {
  return { topic: params.topic, partition: query.partition, acks: ACKS[query.acks ?? 'all'] };
}

/** The topic's name needs no escapes: the broker has taken it. */
function storedAnswer({ topic, acks }: Destination, partition: number, offset: number): KeptAnswer {
  if (acks === 0) return { status: 202, body: `{"topic":"${topic}"}` };
  return { status: 201, body: `{"topic":"${topic}","partition":${partition},"offset":${offset}}` };
}

function send(reply: FastifyReply, { status, body }: KeptAnswer): void {
  void reply.code(status).header('content-type', JSON_TYPE).send(body);
}

function sendLater(reply: FastifyReply, answer: Promise<KeptAnswer>): void {
  answer.then(
    (found) => send(reply, found),
    (error: unknown) => void reply.send(error),
  );
}

/** Of everything that says what to publish. */
function fingerprintOf(url: string, headers: PublishRequest['headers'], body: Buffer): string {
  const said = Object.entries(headers).filter(
    ([name]) => name.startsWith('x-sluice-') || name === 'content-type',
  );
  return hash('sha256', Buffer.concat([Buffer.from(JSON.stringify([url, said])), body]), 'base64');
}

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../../../broker/ports.ts';
import type { LeasedBatch, QueueSettingsSchema } from '../../../gen/sluice/client/v1/groups_pb.ts';
import { SettlementKind } from '../../../gen/sluice/client/v1/groups_pb.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import { decodeLeaseToken, leaseRange } from '../../../wire/lease-token.ts';
import type { MadeAnswer } from '../answers/answer-desk.ts';
import { answerBytes } from '../answers/message-list.ts';
import type { ApiContext } from '../api-context.ts';
import { bodyOrEmpty } from '../body.ts';
import { signalOf } from '../going.ts';
import type { LeftRange } from '../leased-records.ts';
import { leasedRecords } from '../leased-records.ts';
import { placeToWire } from '../place-wire.ts';
import { parseEncoding } from '../place.ts';
import { faultOf, plain, statusOf } from '../plain.ts';
import { sendJson } from '../send-json.ts';
import { integer, object, reference, text } from '../schemas/json-schema.ts';
import {
  CONFIGURED,
  QUEUE,
  QUEUES,
  QUEUE_SETTINGS,
  RECEIVE,
  RECEIVED,
  SETTLED,
  settlement,
} from '../schemas/queues.ts';
import { ENCODING } from '../schemas/shared.ts';

/** A queue as its path names it. */
interface QueueParams {
  readonly topic: string;
  /** Undefined: `default`. */
  readonly group?: string;
}
interface Queue {
  readonly topic: string;
  readonly group: string;
}
interface SettingsBody {
  readonly leaseMs?: number;
  readonly maxAttempts?: number;
  readonly backoffMs?: number;
  readonly maxBackoffMs?: number;
  readonly orderedByKey?: boolean;
  readonly deadLetterTopic?: string;
  readonly start?: string;
}
interface ReceiveBody {
  readonly max?: number;
  readonly waitMs?: number;
  readonly maxBytes?: number;
  readonly leaseMs?: number;
  readonly consumer?: string;
}
interface SettleBody {
  readonly tokens: readonly string[];
  readonly delayMs?: number;
  readonly leaseMs?: number;
  readonly reason?: string;
}

const SETTLE_MAX = 10_000;
const REFUSED = { description: 'Refused', ...reference('Error') };
const DELAY = integer('Milliseconds');
const REASON = text('For people, in the dead letter', { maxLength: 1024 });
const tags = ['queues'];

const ACTIONS = [
  { name: 'ack', kind: SettlementKind.ACK, summary: 'The records are done', more: {} },
  {
    ...{ name: 'nack', kind: SettlementKind.NACK },
    summary: 'Again later, or a dead letter where it was the last attempt',
    more: { delayMs: DELAY, reason: REASON },
  },
  { name: 'reject', kind: SettlementKind.REJECT, summary: 'Dead letters at once', more: { reason: REASON } },
  {
    ...{ name: 'extend', kind: SettlementKind.EXTEND },
    summary: 'The leases end later',
    more: { leaseMs: integer('From now on; default: that of the queue') },
  },
  {
    ...{ name: 'release', kind: SettlementKind.RELEASE },
    summary: 'Never begun: again at once, and the attempt does not count',
    more: {},
  },
] as const;

/** Queues: records leased one by one, and settled by the tokens of their leases. */
export function addQueueRoutes(scope: FastifyInstance, context: ApiContext): void {
  const queues = new QueueRequests(context);
  scope.get(
    '/v1/queues',
    {
      schema: {
        ...{ tags, operationId: 'listQueues', summary: 'Queues of topics one may read' },
        response: { 200: QUEUES, default: REFUSED },
      },
    },
    async ({ principal }) => plain(await context.broker.groups.ask(principal, 'listQueues', {})),
  );
  for (const path of ['/v1/queues/:topic', '/v1/queues/:topic/:group']) {
    const isNamed = path.endsWith(':group');
    const params = isNamed
      ? object({ topic: text(), group: text() }, ['topic', 'group'])
      : object({ topic: text() }, ['topic']);
    const id = (name: string): { operationId: string; params: object; tags: string[] } => ({
      ...{ tags, operationId: isNamed ? `${name}OfGroup` : name, params },
    });
    addAdministration(scope, path, id, queues);
    scope.post<{ Params: QueueParams; Body: ReceiveBody; Querystring: { encoding?: string } }>(
      `${path}/receive`,
      {
        schema: {
          ...{ ...id('receive'), summary: 'Leases records; waits for the first where that is asked for' },
          body: RECEIVE,
          querystring: object({ encoding: ENCODING }),
          response: { 200: RECEIVED, default: REFUSED },
        },
        preValidation: bodyOrEmpty,
        preHandler: context.inOrder,
      },
      (request, reply) => queues.receive(request, reply),
    );
    for (const { name, kind, summary, more } of ACTIONS) {
      scope.post<{ Params: QueueParams; Body: SettleBody }>(
        `${path}/${name}`,
        {
          schema: {
            ...{ ...id(name), summary, body: settlement(more) },
            response: { 200: SETTLED, default: REFUSED },
          },
        },
        (request, reply) => queues.settle(request, reply, kind),
      );
    }
  }
}

function addAdministration(
  scope: FastifyInstance,
  path: string,
  id: (name: string) => object,
  queues: QueueRequests,
): void {
  scope.get<{ Params: QueueParams }>(
    path,
    {
      schema: {
        ...{ ...id('describeQueue'), summary: 'A queue and its partitions' },
        response: { 200: QUEUE, default: REFUSED },
      },
    },
    (request) => queues.describe(request),
  );
  scope.put<{ Params: QueueParams; Body: SettingsBody }>(
    path,
    {
      schema: {
        ...{ ...id('configureQueue'), summary: 'Makes a queue, or changes what is named' },
        body: QUEUE_SETTINGS,
        response: { 200: CONFIGURED, default: REFUSED },
      },
    },
    (request) => queues.configure(request),
  );
  scope.delete<{ Params: QueueParams }>(
    path,
    {
      schema: {
        ...{
          ...id('deleteQueue'),
          summary: 'Forgets what is leased and done; the records stay in the topic',
        },
        response: { 204: { description: 'Deleted', type: 'null' }, default: REFUSED },
      },
    },
    async (request, reply) => {
      await queues.delete(request);
      return reply.code(204).send();
    },
  );
}

/** What the routes of queues do. */
class QueueRequests {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  async describe({ principal, params }: FastifyRequest<{ Params: QueueParams }>): Promise<unknown> {
    const { settings, ...rest } = await this.#groups.ask(principal, 'describeQueue', queueOf(params));
    return { ...(plain(rest) as object), settings: settingsJson(settings) };
  }

  async configure(request: FastifyRequest<{ Params: QueueParams; Body: SettingsBody }>): Promise<unknown> {
    const { start, ...rest } = request.body;
    const settings: MessageInitShape<typeof QueueSettingsSchema> = {
      ...rest,
      ...(start !== undefined && { start: placeToWire(start) }),
    };
    const question = { ...queueOf(request.params), settings };
    const answer = await this.#groups.ask(request.principal, 'configureQueue', question);
    return { settings: settingsJson(answer.settings) };
  }

  async delete({ principal, params }: FastifyRequest<{ Params: QueueParams }>): Promise<void> {
    await this.#groups.ask(principal, 'deleteQueue', queueOf(params));
  }

  async receive(
    request: FastifyRequest<{
      Params: QueueParams;
      Body: ReceiveBody;
      Querystring: { encoding?: string };
    }>,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const { max = 1, waitMs = 0, maxBytes = 0, leaseMs = 0, consumer = '' } = request.body;
    const queue = queueOf(request.params);
    const { inflatedMaxBytes } = this.#context.limits;
    const form = { topic: queue.topic, encoding: parseEncoding(request.query.encoding), inflatedMaxBytes };
    const signal = signalOf(request, reply, this.#context);
    const question = {
      ...{ ...queue, consumerId: consumer, maxRecords: max, maxBytes },
      ...{ maxWaitMs: waitMs, leaseMs },
    };
    const space = answerBytes(queue.topic, max, Infinity);
    // Refused before anything is leased, where that can be known.
    this.#context.desk.checkRoom(request, space);
    const { batches, gaps } = await this.#groups.ask(request.principal, 'receive', question, { signal });
    const rest = `"leaseMs":${batches[0]?.leaseMs ?? 0},"gaps":${JSON.stringify(plain(gaps))}`;
    let answer: MadeAnswer | undefined;
    try {
      answer = await this.#context.desk.make(request, space, async (doWork) => {
        const { texts, left, rejections } = await doWork(leasedRecords(batches, form));
        await this.#release(request.principal, queue, left);
        if (rejections.length > 0)
          await this.#groups.ask(request.principal, 'settle', { ...queue, settlements: rejections });
        return texts.between('{"messages":[', `],${rest}}`);
      });
    } catch (error) {
      await this.#release(request.principal, queue, batches.flatMap(rangesOf));
      throw error;
    }
    return sendJson(reply, answer!);
  }

  /** Each token by itself, so that it can be said of each what became of it. */
  async settle(
    { principal, params, body }: FastifyRequest<{ Params: QueueParams; Body: SettleBody }>,
    reply: FastifyReply,
    kind: SettlementKind,
  ): Promise<FastifyReply> {
    const { tokens, reason = '', delayMs = body.leaseMs } = body;
    if (tokens.length === 0 || tokens.length > SETTLE_MAX)
      throw new SluiceError('INVALID_ARGUMENT', `1 to ${SETTLE_MAX} tokens in a request`);
    const settlements = tokens.map((token) => ({
      ...leaseRange(decodeLeaseToken(token)),
      ...{ kind, reason },
      ...(delayMs !== undefined && { delayMs }),
    }));
    const { results } = await this.#groups.ask(principal, 'settle', { ...queueOf(params), settlements });
    const faults = results.map(faultOf);
    const error = faults.find((fault) => fault !== undefined);
    const said = tokens.map((token, index) => ({ token, error: faults[index] }));
    return reply.code(statusOf(faults)).send({ error, results: said });
  }

  /** Nobody is there to have them, there is no room for them, or they are too many for one answer. */
  async #release(principal: Principal, queue: Queue, ranges: readonly LeftRange[]): Promise<void> {
    if (ranges.length === 0) return;
    const settlements = ranges.map(({ partition, grant, first, end }) => ({
      ...{ partition, grant: BigInt(grant), first: BigInt(first), end: BigInt(end) },
      kind: SettlementKind.RELEASE,
    }));
    await this.#groups.ask(principal, 'settle', { ...queue, settlements });
  }

  get #groups(): ApiContext['broker']['groups'] {
    return this.#context.broker.groups;
  }
}

function rangesOf({ partition, grant, leases }: LeasedBatch): LeftRange[] {
  return leases.map(({ first, end }) => ({
    ...{ partition, grant: Number(grant), first: Number(first), end: Number(end) },
  }));
}

function queueOf({ topic, group = '' }: QueueParams): Queue {
  return { topic, group };
}

/** Where a queue began is no setting of it any more. */
function settingsJson(settings: object | undefined): object {
  const all = plain(settings ?? {}) as object;
  return Object.fromEntries(Object.entries(all).filter(([name]) => name !== 'start'));
}

import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../../../broker/ports.ts';
import type { BrowsedBatch } from '../../../gen/sluice/client/v1/groups_pb.ts';
import { DEAD_LETTER_PREFIX } from '../../../groups/api.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { DoWork, MadeAnswer } from '../answers/answer-desk.ts';
import type { AnswerRoom } from '../answers/answer-room.ts';
import { answerBytes, MessageList } from '../answers/message-list.ts';
import { whenTaken } from '../answers/when-taken.ts';
import type { ApiContext } from '../api-context.ts';
import { bodyOrEmpty } from '../body.ts';
import type { LeftRange } from '../leased-records.ts';
import { browsedRecords } from '../leased-records.ts';
import { parseEncoding } from '../place.ts';
import { plain } from '../plain.ts';
import { sendJson } from '../send-json.ts';
import { integer, object, reference, text } from '../schemas/json-schema.ts';
import { BROWSED, OFFSETS, QUEUES } from '../schemas/queues.ts';
import { ENCODING } from '../schemas/shared.ts';

interface DeadLetterParams {
  readonly topic: string;
}
interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
}
interface ReplayBody {
  readonly records?: readonly RecordPlace[];
  readonly destination?: string;
}
interface BrowseQuestion extends BrowseQuery {
  readonly topic: string;
}
interface Position {
  readonly partition: number;
  readonly offset: bigint;
}
interface BrowseQuery {
  readonly limit: number;
  readonly from?: string | undefined;
  readonly encoding?: string | undefined;
}

const PAGE_RECORDS = 1000;
const POSITIONS = /^\d{1,10}:\d{1,16}(?:,\d{1,10}:\d{1,16})*$/;
const REFUSED = { description: 'Refused', ...reference('Error') };
const PARAMS = object({ topic: text('The topic whose dead letters are meant') }, ['topic']);
const tags = ['dead letters'];
const path = '/v1/dead-letters/:topic';

const LIST_DEAD_LETTERS_ROUTE = {
  schema: {
    ...{
      tags,
      operationId: 'listDeadLetters',
      summary: 'Queues of dead letters; topic is that of the dead letters',
    },
    response: { 200: QUEUES, default: REFUSED },
  },
};

const BROWSE_DEAD_LETTERS_ROUTE = {
  schema: {
    ...{
      tags,
      operationId: 'browseDeadLetters',
      summary: 'Dead letters, without taking them',
      params: PARAMS,
    },
    querystring: object({
      limit: integer('Records at most', { minimum: 1, maximum: 10_000, default: 100 }),
      from: text('`next` of the answer before', { pattern: POSITIONS.source }),
      encoding: ENCODING,
    }),
    response: { 200: BROWSED, default: REFUSED },
  },
};

const EXPORT_DEAD_LETTERS_ROUTE = {
  schema: {
    ...{ tags, operationId: 'exportDeadLetters', summary: 'All dead letters as NDJSON', params: PARAMS },
    querystring: object({ encoding: ENCODING }),
    response: {
      200: {
        description: 'On each line a record',
        content: { 'application/x-ndjson': { schema: text() } },
      },
      default: REFUSED,
    },
  },
};

const REPLAY_DEAD_LETTERS_ROUTE = {
  schema: {
    ...{ tags, operationId: 'replayDeadLetters', summary: 'Publishes them again, where they came from' },
    params: PARAMS,
    body: object({ records: OFFSETS, destination: text('Default: where each came from') }),
    response: {
      200: { description: 'How many', ...object({ moved: integer() }, ['moved']) },
      default: REFUSED,
    },
  },
  preValidation: bodyOrEmpty,
};

/** Dead letters of a topic: looked at, sent back, deleted, exported. */
export function addDeadLetterRoutes(scope: FastifyInstance, context: ApiContext): void {
  const { groups } = context.broker;
  const letters = new DeadLetters(context);
  scope.get('/v1/dead-letters', LIST_DEAD_LETTERS_ROUTE, async ({ principal }) => {
    const { queues } = await groups.ask(principal, 'listQueues', {});
    return { queues: queues.filter(({ topic }) => topic.startsWith(DEAD_LETTER_PREFIX)).map(plain) };
  });
  scope.get<{ Params: DeadLetterParams; Querystring: BrowseQuery }>(
    path,
    { ...BROWSE_DEAD_LETTERS_ROUTE, onRequest: context.inOrder },
    async (request, reply) => {
      const { limit, from, encoding } = request.query;
      const { topic } = request.params;
      const answer = await context.desk.make(request, answerBytes(topic, limit, Infinity), async (doWork) => {
        const texts = new MessageList();
        const question = { topic, from, limit, encoding };
        const next = await letters.browse(request.principal, question, texts, doWork);
        return texts.between('{"messages":[', next === undefined ? ']}' : `],"next":"${next}"}`);
      });
      return sendJson(reply, answer!);
    },
  );
  scope.get<{ Params: DeadLetterParams; Querystring: Pick<BrowseQuery, 'encoding'> }>(
    `${path}/export`,
    { ...EXPORT_DEAD_LETTERS_ROUTE, onRequest: context.inOrder },
    async (request, reply) => {
      const lines = await letters.lines(request, reply, request.params.topic, request.query.encoding);
      return reply
        .header('content-type', 'application/x-ndjson')
        .send(Readable.from(lines, { objectMode: false }));
    },
  );
  scope.post<{ Params: DeadLetterParams; Body: ReplayBody }>(
    `${path}/replay`,
    REPLAY_DEAD_LETTERS_ROUTE,
    ({ principal, params, body }) => letters.replay(principal, params.topic, body),
  );
  addDeletion(scope, letters);
}

function addDeletion(scope: FastifyInstance, letters: DeadLetters): void {
  const response = {
    200: { description: 'How many', ...object({ discarded: integer() }, ['discarded']) },
    default: REFUSED,
  };
  scope.post<{ Params: DeadLetterParams; Body: { records: readonly RecordPlace[] } }>(
    `${path}/delete`,
    {
      schema: {
        ...{
          tags,
          operationId: 'deleteDeadLetters',
          summary: 'Deletes dead letters',
          params: PARAMS,
          response,
        },
        body: object({ records: OFFSETS }, ['records']),
      },
    },
    ({ principal, params, body }) => {
      if (body.records.length === 0) throw new SluiceError('INVALID_ARGUMENT', 'records names none');
      return letters.discard(principal, params.topic, body.records);
    },
  );
  scope.delete<{ Params: DeadLetterParams }>(
    path,
    {
      schema: {
        tags,
        operationId: 'purgeDeadLetters',
        summary: 'Deletes all dead letters',
        params: PARAMS,
        response,
      },
    },
    ({ principal, params }) => letters.discard(principal, params.topic, []),
  );
}

/** What the routes of dead letters do. */
class DeadLetters {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  /**
   * Puts a page into `texts`.
   * @param doWork in whose turns it is made
   * @returns where the next one begins; undefined: there is none
   */
  async browse(
    principal: Principal,
    { topic, from, limit, encoding }: BrowseQuestion,
    texts: MessageList,
    doWork: DoWork,
  ): Promise<string | undefined> {
    const queue = queueOf(topic);
    const { inflatedMaxBytes } = this.#context.limits;
    const form = { topic: queue.topic, encoding: parseEncoding(encoding), inflatedMaxBytes };
    const question = { ...queue, positions: positionsOf(from), maxRecords: limit };
    const { batches, next } = await this.#groups.ask(principal, 'browseQueue', question);
    const { left } = await doWork(browsedRecords(batches, form, texts));
    const positions = left.length > 0 ? positionsBehind(batches, left, next) : next;
    const position = positions.map(({ partition, offset }) => `${partition}:${offset}`).join(',');
    return position === '' ? undefined : position;
  }

  /** All dead letters, a line each, page by page; what is refused is so before the first line. */
  async lines(
    request: FastifyRequest,
    reply: FastifyReply,
    topic: string,
    encoding: string | undefined,
  ): Promise<AsyncGenerator<Buffer>> {
    const space = answerBytes(topic, PAGE_RECORDS, Infinity);
    let from: string | undefined;
    const page = async (room: AnswerRoom | number): Promise<MadeAnswer> => {
      const made = await this.#context.desk.make(request, room, async (doWork) => {
        const texts = new MessageList('\n');
        const question = { topic, from, limit: PAGE_RECORDS, encoding };
        from = await this.browse(request.principal, question, texts, doWork);
        return texts.between('', texts.isEmpty ? '' : '\n');
      });
      return made!;
    };
    const first = await page(space);
    const { room } = first;
    whenTaken(reply, () => room.give());
    return (async function* () {
      yield first.body;
      while (from !== undefined) yield (await page(room)).body;
    })();
  }

  async replay(principal: Principal, topic: string, body: ReplayBody): Promise<{ moved: number }> {
    const { records, destination = '' } = body;
    if (records?.length === 0)
      throw new SluiceError('INVALID_ARGUMENT', 'records names none; leave it out for all');
    const question = { ...queueOf(topic), ranges: rangesOf(records ?? []), destination };
    const { moved } = await this.#groups.ask(principal, 'moveRecords', question);
    return { moved: Number(moved) };
  }

  /** @param records none: all */
  async discard(
    principal: Principal,
    topic: string,
    records: readonly RecordPlace[],
  ): Promise<{ discarded: number }> {
    const question = { ...queueOf(topic), ranges: rangesOf(records) };
    const { discarded } = await this.#groups.ask(principal, 'discardRecords', question);
    return { discarded: Number(discarded) };
  }

  get #groups(): ApiContext['broker']['groups'] {
    return this.#context.broker.groups;
  }
}

function queueOf(topic: string): { topic: string; group: string } {
  return { topic: topic.startsWith(DEAD_LETTER_PREFIX) ? topic : `${DEAD_LETTER_PREFIX}${topic}`, group: '' };
}

function rangesOf(records: readonly RecordPlace[]): { partition: number; first: bigint; end: bigint }[] {
  return records.map(({ partition, offset }) => ({
    partition,
    first: BigInt(offset),
    end: BigInt(offset + 1),
  }));
}

/** Where to go on when an answer had no room for all that was found. */
function positionsBehind(
  batches: readonly BrowsedBatch[],
  left: readonly LeftRange[],
  next: readonly Position[],
): Position[] {
  const positions = new Map<number, bigint>();
  for (const { partition, records } of batches) positions.set(partition, records.at(-1)?.end ?? 0n);
  for (const { partition, offset } of next) positions.set(partition, offset);
  for (const { partition, first } of left.toReversed()) positions.set(partition, BigInt(first));
  return Array.from(positions, ([partition, offset]) => ({ partition, offset }));
}

function positionsOf(from: string | undefined): { partition: number; offset: bigint }[] {
  if (from === undefined) return [];
  return from.split(',').map((each) => {
    const [partition, offset] = each.split(':');
    return { partition: Number(partition), offset: BigInt(offset!) };
  });
}

import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { default as addFormats } from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answered, AnswerQuestion } from './api-stage.ts';
import { ApiStage } from './api-stage.ts';
import { browsedBatch, leasedBatch, storedBatch } from './leased.ts';

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const BATCH = storedBatch(0, ['a', 'b']);
const SETTINGS = { leaseMs: 1000, maxAttempts: 5, orderedByKey: false, deadLetterTopic: '' };
const DONE = { errorCode: 0, errorMessage: '' };
const POSITION = { topic: 'orders', partition: 0, offset: 3n, metadata: '' };

/** Answers as a coordinator's messages are. */
const answers: Readonly<Record<string, unknown>> = {
  listGroups: {
    groups: [{ group: 'g', state: 'empty', members: 0, topics: ['orders'], coordinatorNodeId: 'n' }],
  },
  describeGroup: {
    ...{ group: 'g', state: 'stable', generation: 1, coordinatorNodeId: 'n' },
    members: [
      {
        ...{ memberId: 'm', instanceId: '', clientId: '', revoking: [], idleMs: 5n, filters: ['orders'] },
        assigned: [{ topic: 'orders', partition: 0 }],
      },
    ],
    offsets: [
      {
        ...{ topic: 'orders', partition: 0, committed: 1n, metadata: '', end: 3n, lag: 2n, memberId: 'm' },
        committedMs: 0n,
      },
    ],
  },
  deleteGroup: {},
  leaveGroup: {},
  resetGroup: { offsets: [POSITION] },
  commitOffsets: { results: [DONE] },
  joinGroup: {
    generation: 1,
    assigned: [{ topic: 'orders', partition: 0, offset: 3n }],
    sessionTimeoutMs: 10_000,
  },
  listQueues: {
    queues: [
      { topic: 'dlq.orders', group: 'default', ready: 1n, leased: 0n, delayed: 0n, coordinatorNodeId: 'n' },
    ],
  },
  describeQueue: {
    ...{ topic: 'orders', group: 'default', settings: SETTINGS, coordinatorNodeId: 'n', waitingConsumers: 0 },
    partitions: [{ partition: 0, floor: 0n, cursor: 2n, end: 3n, ready: 1n, leased: 0n, delayed: 0n }],
  },
  configureQueue: { settings: SETTINGS },
  deleteQueue: {},
  receive: { batches: [leasedBatch(BATCH, 7, [[0, 2, 1]])], gaps: [{ partition: 0, from: 0n, to: 2n }] },
  settle: { results: [DONE] },
  browseQueue: { batches: [browsedBatch(BATCH, [[0, 1, 1]])], next: [] },
  moveRecords: { moved: 1n },
  discardRecords: { discarded: 1n },
};
const answer: AnswerQuestion = (name) => answers[name];

/** One request of each operation, in an order in which they work; the path is the operation's own with its names filled in. */
const REQUESTS: readonly (readonly [operation: string, method: string, path: string, body?: unknown])[] = [
  ['createTopic', 'POST', '/v1/topics', { name: 'orders', partitions: 1 }],
  [
    'publish',
    'POST',
    '/v1/topics/orders/messages',
    { key: 'k', value: { a: 1 }, headers: { h: ['x', null] } },
  ],
  ['publishBatch', 'POST', '/v1/topics/orders/messages/batch', { messages: [{ value: 'b' }] }],
  ['fetch', 'GET', '/v1/topics/orders/partitions/0/messages?encoding=json'],
  ['peek', 'GET', '/v1/topics/orders/peek?encoding=base64'],
  ['listTopics', 'GET', '/v1/topics'],
  ['describeTopic', 'GET', '/v1/topics/orders'],
  ['alterTopic', 'PATCH', '/v1/topics/orders', { partitions: 2 }],
  ['count', 'GET', '/v1/topics/orders/count'],
  ['listOffsets', 'GET', '/v1/topics/orders/offsets?at=earliest'],
  ['deleteRecords', 'DELETE', '/v1/topics/orders/messages?before=1&partition=0'],
  ['listGroups', 'GET', '/v1/groups'],
  ['describeGroup', 'GET', '/v1/groups/g'],
  ['resetGroup', 'POST', '/v1/groups/g/reset', { topic: 'orders', to: 'latest' }],
  [
    'commitOffsets',
    'POST',
    '/v1/groups/g/offsets',
    { offsets: [{ topic: 'orders', partition: 0, offset: 1 }] },
  ],
  ['joinGroup', 'POST', '/v1/groups/g/members/m', { topics: ['orders'] }],
  ['leaveGroup', 'DELETE', '/v1/groups/g/members/m'],
  ['deleteGroup', 'DELETE', '/v1/groups/g'],
  ['listQueues', 'GET', '/v1/queues'],
  ['describeQueue', 'GET', '/v1/queues/orders'],
  ['describeQueueOfGroup', 'GET', '/v1/queues/orders/g'],
  ['configureQueue', 'PUT', '/v1/queues/orders', { maxAttempts: 3 }],
  ['configureQueueOfGroup', 'PUT', '/v1/queues/orders/g', {}],
  ...(['', 'OfGroup'] as const).flatMap((suffix) => {
    const path = suffix === '' ? '/v1/queues/orders' : '/v1/queues/orders/g';
    const settle = ['ack', 'nack', 'reject', 'extend', 'release'].map(
      (name) => [`${name}${suffix}`, 'POST', `${path}/${name}`, { tokens: ['0.1.2'] }] as const,
    );
    return [[`receive${suffix}`, 'POST', `${path}/receive`, { max: 2 }] as const, ...settle];
  }),
  ['deleteQueue', 'DELETE', '/v1/queues/orders'],
  ['deleteQueueOfGroup', 'DELETE', '/v1/queues/orders/g'],
  ['listDeadLetters', 'GET', '/v1/dead-letters'],
  ['browseDeadLetters', 'GET', '/v1/dead-letters/orders'],
  ['exportDeadLetters', 'GET', '/v1/dead-letters/orders/export'],
  ['replayDeadLetters', 'POST', '/v1/dead-letters/orders/replay', {}],
  ['deleteDeadLetters', 'POST', '/v1/dead-letters/orders/delete', { records: [{ partition: 0, offset: 1 }] }],
  ['purgeDeadLetters', 'DELETE', '/v1/dead-letters/orders'],
  ['cluster', 'GET', '/v1/cluster'],
  ['node', 'GET', '/v1/node'],
  ['vfmpPublish', 'POST', '/messages/orders', 'x'],
  ['vfmpLook', 'GET', '/messages/orders?data=peek'],
  ['vfmpHealth', 'GET', '/control/healthcheck'],
  ['vfmpVersion', 'GET', '/control/version'],
  ['deleteTopic', 'DELETE', '/v1/topics/orders'],
];

describe('the OpenAPI document', () => {
  let stage: ApiStage;
  let document: Document;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);

  beforeAll(async () => {
    stage = await ApiStage.open({ groups: answer });
    document = (await stage.get('/openapi.json')).body as Document;
    ajv.addSchema(document, 'document');
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  const operations = (): Operation[] =>
    Object.values(document.paths).flatMap((path) =>
      Object.values(path).filter(({ operationId }) => operationId),
    );
  /** What is wrong with an answer, by the document. */
  const faultsOf = (operationId: string, { status, body, headers }: Answered): unknown => {
    const operation = operations().find((each) => each.operationId === operationId)!;
    const response = operation.responses[status] ?? operation.responses.default;
    const type = headers.get('content-type')?.split(';')[0];
    if (type === undefined) return body === '' ? [] : 'a body without type';
    const schema = response?.content?.[type]?.schema;
    if (!schema) return `${status} with ${type} is not described`;
    const validate = ajv.compile(relative(schema));
    return validate(body) ? [] : validate.errors;
  };

  it('is one', async () => {
    const result = await new Validator().validate(
      structuredClone(document) as unknown as Record<string, unknown>,
    );
    expect(result).toMatchObject({ valid: true });
  });

  it('names every operation once', () => {
    const names = operations().map(({ operationId }) => operationId);
    expect(names).toHaveLength(new Set(names).size);
  });

  it('has no operation that is not asked below', () => {
    const asked = new Set(REQUESTS.map(([operation]) => operation));
    expect(operations().filter(({ operationId }) => !asked.has(operationId))).toEqual([]);
  });

  it.each(REQUESTS.map((request) => ({ operation: request[0], request })))(
    'is right about what $operation answers',
    async ({ operation, request: [, method, path, body] }) => {
      const found = await stage.call(method, path, body);
      expect([found.status < 300, faultsOf(operation, found)]).toEqual([true, []]);
    },
  );

  it.each([
    ['fetch', '/v1/topics/nowhere/partitions/0/messages', 404],
    ['describeTopic', '/v1/topics/nowhere', 404],
    ['browseDeadLetters', '/v1/dead-letters/orders?from=x', 400],
  ])('is right about how %s refuses', async (operation, path, status) => {
    const found = await stage.get(path);
    expect([found.status, faultsOf(operation, found)]).toEqual([status, []]);
  });
});

/** A schema whose references to the document can be followed from where ajv has it. */
function relative(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as object;
}

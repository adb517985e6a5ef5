import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../api-context.ts';
import { flag, integer, list, object, reference, text } from '../schemas/json-schema.ts';

const REFUSED = { description: 'Refused', ...reference('Error') };
const tags = ['cluster'];
const NODE = object(
  {
    nodeId: text(),
    clientUrls: list(text()),
    peerAddress: { type: ['string', 'null'] },
    zone: text(),
    capacity: integer(),
    software: text(),
    draining: flag(),
    leads: integer('Partitions'),
    replicas: integer('Copies, those it leads among them'),
    outOfSync: integer(),
    onlyCopies: integer('Partitions it leads that no other node has a copy of'),
  },
  ['nodeId', 'clientUrls', 'zone', 'draining', 'leads', 'replicas', 'outOfSync', 'onlyCopies'],
);
const CLUSTER = object(
  {
    clusterId: text(),
    nodeId: text('Who says this'),
    controllerId: text('Left out: there is none now'),
    leaseHeld: flag(),
    nodes: list(NODE),
    rebalancing: flag(),
    partitions: integer(),
    leaderless: integer(),
    underReplicated: integer(),
  },
  ['clusterId', 'nodeId', 'leaseHeld', 'nodes', 'rebalancing', 'partitions', 'leaderless', 'underReplicated'],
);
const STATUS = object(
  {
    nodeId: text(),
    clusterId: text(),
    ...Object.fromEntries(
      [
        ...[
          'uptimeMs',
          'subscriptions',
          'topics',
          'partitions',
          'failedTopics',
          'retainedBytes',
          'diskBytes',
        ],
        ...['diskSegments', 'recordsIn', 'bytesIn'],
      ].map((name) => [name, integer()]),
    ),
    draining: flag(),
  },
  ['nodeId', 'clusterId', 'topics', 'partitions', 'draining'],
);

/** The cluster and this node in numbers, for who administers them. */
export function addClusterRoutes(scope: FastifyInstance, { broker }: ApiContext): void {
  scope.get(
    '/v1/cluster',
    {
      schema: {
        ...{ tags, operationId: 'cluster', summary: 'The cluster as this node sees it' },
        response: { 200: { description: 'The cluster', ...CLUSTER }, default: REFUSED },
      },
    },
    ({ principal }, reply) => reply.send(broker.cluster.status(principal)),
  );
  scope.get(
    '/v1/node',
    {
      schema: {
        ...{ tags, operationId: 'node', summary: 'This node in numbers' },
        response: { 200: { description: 'The node', ...STATUS }, default: REFUSED },
      },
    },
    ({ principal }, reply) => reply.send(broker.status(principal)),
  );
}

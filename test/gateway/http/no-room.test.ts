import type { FastifyInstance } from 'fastify';
import { fastify } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AnswerDesk } from '../../../src/gateway/http/answers/answer-desk.ts';
import { ConnectionLines } from '../../../src/gateway/http/answers/connection-lines.ts';
import type { ApiContext } from '../../../src/gateway/http/api-context.ts';
import { addErrors } from '../../../src/gateway/http/errors.ts';
import { addDeadLetterRoutes } from '../../../src/gateway/http/routes/dead-letters.ts';
import { addMessageRoutes } from '../../../src/gateway/http/routes/messages.ts';
import { addQueueRoutes } from '../../../src/gateway/http/routes/queues.ts';
import { SHARED_SCHEMAS } from '../../../src/gateway/http/schemas/shared.ts';
import { SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { CredentialWatch } from '../../../src/gateway/credential-watch.ts';
import { PumpScheduler } from '../../../src/gateway/pump-scheduler.ts';
import { ByteBudget } from '../../../src/log/byte-budget.ts';
import { ANONYMOUS } from '../../../src/security/principal.ts';
import { silentLogger } from '../../../src/telemetry/logger.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const MiB = 1024 * 1024;

describe('a large answer that there is no room for', () => {
  let server: FastifyInstance;
  let unread: ByteBudget;
  /** What was asked of the broker for it. */
  let asked: string[];
  let released: unknown[];
  /** What happens while records are leased. */
  let onReceive: () => void;
  beforeEach(async () => {
    asked = [];
    released = [];
    onReceive = () => undefined;
    unread = new ByteBudget(20 * MiB);
    const clock = new FakeClock();
    const reader = {
      nextOffset: 0,
      read: () => {
        asked.push('read');
        return { kind: 'ended' };
      },
    };
    const ask = (_principal: unknown, name: string, question: { settlements?: unknown[] }): unknown => {
      asked.push(name);
      if (name === 'settle') released.push(...question.settlements!);
      if (name === 'receive') onReceive();
      const leases = [{ first: 3n, end: 5n, attempt: 1 }];
      return Promise.resolve({ batches: [{ partition: 1, grant: 7n, leases, leaseMs: 10 }], gaps: [] });
    };
    const context = {
      broker: {
        groups: { ask },
        metadata: () => Promise.resolve([{}]),
        openReader: () => Promise.resolve({ reader, close: () => undefined }),
        listOffsets: () => {
          asked.push('listOffsets');
          return Promise.resolve([]);
        },
      },
      ...{ clock, credentials: new CredentialWatch(clock), going: new AbortController().signal },
      limits: { inflatedMaxBytes: MiB },
      desk: new AnswerDesk(new PumpScheduler(clock), unread, unread.limitBytes),
      inOrder: new ConnectionLines().enter,
    } as unknown as ApiContext;
    server = fastify();
    addErrors(server, silentLogger, () => undefined);
    for (const [$id, schema] of Object.entries(SHARED_SCHEMAS)) server.addSchema({ ...schema, $id });
    server.decorateRequest('principal', null as never);
    server.addHook('onRequest', (request, _reply, done) => {
      request.principal = ANONYMOUS;
      done();
    });
    addMessageRoutes(server, context);
    addQueueRoutes(server, context);
    addDeadLetterRoutes(server, context);
    await server.listen({ host: '127.0.0.1', port: 0 });
  });
  afterEach(() => server.close());
  const call = async (method: string, path: string): Promise<number> => {
    const { port } = server.server.address() as { port: number };
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    await answer.text();
    return answer.status;
  };

  it.each([
    ['GET', '/v1/topics/a/partitions/0/messages?maxBytes=16777216'],
    ['GET', '/v1/topics/a/peek?maxBytes=16777216'],
    ['GET', '/v1/dead-letters/a'],
    ['GET', '/v1/dead-letters/a/export'],
    ['POST', '/v1/queues/a/receive'],
  ])('is refused before anything is read or leased: %s %s', async (method, path) => {
    unread.take(10 * MiB);
    const status = await call(method, path);
    expect([status, asked, unread.usedBytes]).toEqual([429, [], 10 * MiB]);
  });

  it('gives back what was leased for it before that was known', async () => {
    onReceive = () => unread.take(10 * MiB);
    const status = await call('POST', '/v1/queues/a/receive');
    expect([status, released]).toMatchObject([
      429,
      [{ partition: 1, grant: 7n, first: 3n, end: 5n, kind: SettlementKind.RELEASE }],
    ]);
  });
});

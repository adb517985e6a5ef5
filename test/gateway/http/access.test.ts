import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../support/fake-clock.ts';
import type { ApiStageOptions } from './api-stage.ts';
import { ApiStage } from './api-stage.ts';

describe('access to the HTTP API', () => {
  let stage: ApiStage;
  const open = async (options: ApiStageOptions): Promise<void> => {
    stage = await ApiStage.open(options);
  };
  afterEach(() => stage[Symbol.asyncDispose]());
  const alice = { authorization: 'Bearer secret-a' };
  const tokens = { 'secret-a': 'alice', 'secret-b': 'bob' };
  /** `fetch` sets Host and Origin itself. @returns status and body */
  const withHeaders = (headers: Record<string, string>, method = 'GET'): Promise<[number, string]> =>
    new Promise((resolve, reject) => {
      const options = { port: stage.gateway.port, path: '/v1/topics', method, headers };
      const asking = httpRequest(options, (response) => {
        text(response).then((body) => resolve([response.statusCode!, body]), reject);
      });
      asking.on('error', reject).end();
    });

  it('asks for a token', async () => {
    await open({ tokens });
    const { status, body, headers } = await stage.get('/v1/topics');
    expect([status, body, headers.get('www-authenticate')]).toMatchObject([
      401,
      { error: { code: 'UNAUTHENTICATED' } },
      'Bearer',
    ]);
  });

  it('lets nobody wait longer than about a second whose token is good no more', async () => {
    const clock = new FakeClock();
    let isGood = true;
    const { promise: whenAsked, resolve: noteAsked } = Promise.withResolvers<undefined>();
    await open({
      ...{ tokens, isStillValid: () => isGood, api: { clock } },
      groups: (name, _, signal) =>
        new Promise((_resolve, reject) => {
          if (name === 'receive') noteAsked(undefined);
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    });
    await stage.post('/v1/topics', { name: 'orders' }, alice);
    const waiting = [
      stage.get('/v1/topics/orders/partitions/0/messages?wait=30000', alice),
      stage.post('/v1/groups/g/members/m', { topics: ['orders'], generation: 1, waitMs: 30_000 }, alice),
      stage.post('/v1/queues/orders/receive', { waitMs: 30_000 }, alice),
    ];
    await Promise.all([whenAsked, stage.get('/v1/topics/orders', alice)]);
    clock.advance(1000);
    isGood = false;
    clock.advance(1000);
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([401, 401, 401]);
  });

  it('lets in who shows a token', async () => {
    await open({ tokens });
    expect((await stage.get('/v1/topics', alice)).status).toBe(200);
  });

  it.each(['Bearer wrong', 'Basic YTpi', 'Bearer'])('refuses "%s"', async (authorization) => {
    await open({ tokens });
    expect((await stage.get('/v1/topics', { authorization })).status).toBe(401);
  });

  it('asks for the rights of who makes the request, also where another made one on the same connection', async () => {
    await open({ tokens, allows: ({ name }) => name === 'alice' });
    const publish = (token: string, more = ''): string =>
      `POST /v1/topics/orders/messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n` +
      `content-length: 1\r\n${more}\r\nx`;
    const socket = connect(stage.gateway.port, '127.0.0.1');
    socket.write(
      publish('secret-a') +
        publish('secret-b') +
        publish('wrong') +
        publish('secret-a', 'connection: close\r\n'),
    );
    expect((await text(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual([
      ...['HTTP/1.1 201', 'HTTP/1.1 403', 'HTTP/1.1 401', 'HTTP/1.1 201'],
    ]);
  });

  it('lets who guesses wait', async () => {
    await open({ tokens, refusalDelaysMs: [60] });
    const beginMs = performance.now();
    await stage.get('/v1/topics', { authorization: 'Bearer wrong' });
    expect(performance.now() - beginMs).toBeGreaterThan(50);
  });

  it('reads nothing of a body before it knows who sends it', async () => {
    await open({ tokens });
    const socket = connect(stage.gateway.port, '127.0.0.1');
    socket.write('POST /v1/topics/a/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 401 /);
  });

  it('serves health and the description to everybody', async () => {
    await open({ tokens });
    const paths = ['/healthz', '/readyz', '/metrics', '/version', '/openapi.json'];
    const statuses = await Promise.all(paths.map(async (path) => (await stage.get(path)).status));
    expect(statuses).toEqual(paths.map(() => 200));
  });

  it('refuses pages of other origins', async () => {
    await open({});
    const [status, body] = await withHeaders({ host: 'localhost', origin: 'https://evil.example' }, 'POST');
    expect([status, JSON.parse(body)]).toMatchObject([403, { error: { code: 'FORBIDDEN' } }]);
  });

  it('serves pages of its own and of configured origins', async () => {
    await open({ api: { origins: ['https://app.example'] } });
    const own = await withHeaders({ host: 'localhost:7451', origin: 'http://localhost:7451' });
    const other = await withHeaders({ host: 'localhost:7451', origin: 'https://app.example' });
    expect([own[0], other[0]]).toEqual([200, 200]);
  });

  it('takes no page for its own whose name was made to point to this machine', async () => {
    await open({});
    const page = await withHeaders({ host: 'evil.example', origin: 'http://evil.example' });
    const quiet = await withHeaders({ host: 'evil.example' });
    expect([page[0], quiet[0]]).toEqual([403, 403]);
  });

  it('answers preflight requests of configured origins only', async () => {
    await open({ tokens, api: { origins: ['https://app.example'] } });
    const preflight = (origin: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${stage.gateway.port}/v1/topics`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization',
        },
      });
    const allowed = await preflight('https://app.example');
    const other = await preflight('https://evil.example');
    const origins = [allowed, other].map(({ headers }) => headers.get('access-control-allow-origin'));
    expect([allowed.status, origins]).toEqual([204, ['https://app.example', null]]);
  });

  it('has no CORS unless it is configured', async () => {
    await open({});
    const [status] = await withHeaders(
      { host: 'localhost', 'access-control-request-method': 'POST' },
      'OPTIONS',
    );
    expect(status).toBe(404);
  });
});

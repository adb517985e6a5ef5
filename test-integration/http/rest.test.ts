/** The HTTP API of a real node: queues and dead letters from end to end, HTTPS, tokens, and what happens when it is killed or drained. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { NodeProcessOptions } from '../support/node-process.ts';
import { NodeProcess } from '../support/node-process.ts';

const ADMIN = 'a'.repeat(40);

interface Answered {
  readonly status: number;
  readonly body: string;
}
interface Message {
  readonly value: string;
  readonly token: string;
  readonly attempt: number;
  readonly headers: Readonly<Record<string, string>>;
}

describe('the HTTP API of a node', () => {
  let node: NodeProcess;
  const start = async (options: NodeProcessOptions = {}): Promise<void> => {
    node = await NodeProcess.start(options);
  };
  afterEach(() => node[Symbol.asyncDispose]());

  /** @param body a string as it is, anything else as JSON */
  const call = async (
    method: string,
    path: string,
    body?: unknown,
    more: { readonly headers?: Record<string, string>; readonly tls?: boolean } = {},
  ): Promise<Answered> => {
    const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const type = payload === body ? 'text/plain' : 'application/json';
    const options = {
      ...{ host: node.host, port: node.httpPort, method, path },
      headers: { 'content-type': type, ...more.headers },
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const asking = more.tls
        ? httpsRequest({ ...options, ca: readFileSync(node.ca), servername: 'localhost' }, resolve)
        : httpRequest(options, resolve);
      asking.on('error', reject).end(payload);
    });
    return { status: response.statusCode!, body: await text(response) };
  };
  const receive = async (path: string, question: object): Promise<readonly Message[]> => {
    const { body } = await call('POST', `${path}/receive`, question);
    return (JSON.parse(body) as { messages: readonly Message[] }).messages;
  };

  it('takes a record through its deliveries to the dead letters, back, and to its end', async () => {
    await start();
    await call('POST', '/v1/topics', { name: 'jobs', settings: { storage: 'disk' } });
    await call('PUT', '/v1/queues/jobs', { maxAttempts: 2, backoffMs: 10, maxBackoffMs: 10 });
    await call('POST', '/v1/topics/jobs/messages', { key: 'k', value: 'poison', headers: { trace: 't' } });
    for (const attempt of [1, 2]) {
      const [job] = await receive('/v1/queues/jobs', { waitMs: 10_000 });
      expect(job).toMatchObject({ value: 'poison', attempt });
      await call('POST', '/v1/queues/jobs/nack', { tokens: [job!.token], reason: 'cannot' });
    }
    let letters: readonly Message[] = [];
    await eventually('the dead letter is there', async () => {
      const { body } = await call('GET', '/v1/dead-letters/jobs');
      letters = (JSON.parse(body) as { messages?: readonly Message[] }).messages ?? [];
      return letters.length === 1;
    });
    expect(letters[0]).toMatchObject({
      value: 'poison',
      headers: { trace: 't', 'sluice-dlq-reason': 'max-attempts', 'sluice-dlq-topic': 'jobs' },
    });
    const replayed = await call('POST', '/v1/dead-letters/jobs/replay');
    const [again] = await receive('/v1/queues/jobs', { waitMs: 10_000 });
    const done = await call('POST', '/v1/queues/jobs/ack', { tokens: [again!.token] });
    const twice = await call('POST', '/v1/queues/jobs/ack', { tokens: [again!.token] });
    expect([JSON.parse(replayed.body), again, done.status, twice.status]).toMatchObject([
      { moved: 1 },
      { value: 'poison', attempt: 1, headers: { trace: 't' } },
      200,
      410,
    ]);
    expect(again!.headers).not.toHaveProperty('sluice-dlq-reason');
  });

  it('serves what VFMP’s clients ask', async () => {
    await start();
    for (let n = 0; n < 10; n += 1)
      expect((await call('POST', '/messages/AAAA', 'test-message')).status).toBe(200);
    const count = await call('GET', '/messages/AAAA?data=count');
    const peek = await call('GET', '/messages/AAAA?data=peek');
    const { data } = JSON.parse(peek.body) as { data: string };
    expect([JSON.parse(count.body), Buffer.from(data, 'base64').toString()]).toEqual([
      { count: 10 },
      'test-message',
    ]);
  });

  it('shows members of groups over HTTP what they may read, and keeps what they commit over kill -9', async () => {
    await start();
    await call('POST', '/v1/topics', { name: 'orders', settings: { storage: 'disk' } });
    await call('POST', '/v1/topics/orders/messages/batch', { messages: [{ value: 'a' }, { value: 'b' }] });
    const member = '/v1/groups/billing/members/m';
    let joined: { readonly generation: number; readonly assigned: readonly object[] };
    await eventually('the partition is assigned', async () => {
      const { body } = await call('POST', member, { topics: ['orders'], from: 'earliest', waitMs: 1000 });
      joined = JSON.parse(body) as typeof joined;
      return joined.assigned.length === 1;
    });
    const { generation, assigned } = joined!;
    const offsets = [{ topic: 'orders', partition: 0, offset: 1 }];
    const committed = await call('POST', '/v1/groups/billing/offsets', {
      memberId: 'm',
      generation,
      offsets,
    });
    await call('DELETE', member);
    await node.kill('SIGKILL');
    await node.restart();
    let described: Answered;
    await eventually('the group is known again', async () => {
      described = await call('GET', '/v1/groups/billing');
      return described.status === 200;
    });
    expect([assigned, committed.status, JSON.parse(described!.body)]).toMatchObject([
      [{ topic: 'orders', partition: 0, offset: 0 }],
      200,
      { state: 'empty', offsets: [{ topic: 'orders', committed: 1, end: 2, lag: 1 }] },
    ]);
  });

  it('is HTTPS with the certificate of the node, for who shows a token, where that is configured', async () => {
    const env = { SLUICE_HTTP_TLS: 'true', SLUICE_AUTH_MODE: 'required', SLUICE_AUTH_ADMIN_TOKEN: ADMIN };
    await start({ env });
    const secure = { tls: true, headers: { authorization: `Bearer ${ADMIN}` } };
    const stranger = await call('GET', '/v1/topics', undefined, { tls: true });
    const known = await call('GET', '/v1/topics', undefined, secure);
    expect([stranger.status, known.status]).toEqual([401, 200]);
    await expect(call('GET', '/v1/topics')).rejects.toThrow();
  });

  it('serves health but no records over plain HTTP that others can reach', async () => {
    await start({ flags: ['--allow-anonymous'], host: '0.0.0.0' });
    const health = await call('GET', '/healthz');
    const topics = await call('GET', '/v1/topics');
    expect([health.status, topics.status]).toEqual([200, 404]);
  });

  it('answers who waits for records when the node is stopped', async () => {
    await start();
    await call('POST', '/v1/topics', { name: 'orders' });
    const waiting = call('GET', '/v1/topics/orders/partitions/0/messages?wait=30000');
    await call('GET', '/v1/topics');
    const exitCode = await node.kill('SIGTERM');
    expect([(await waiting).status, exitCode]).toEqual([200, 0]);
  });
});

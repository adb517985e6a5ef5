import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiStage } from './api-stage.ts';

const KiB = 1024;

describe('hostile requests', () => {
  let stage: ApiStage;
  beforeEach(async () => {
    const limits = {
      bodyMaxBytes: 64 * KiB,
      bodiesMaxBytes: 96 * KiB,
      keyMaxBytes: 100,
      inflatedMaxBytes: 1024 * KiB,
    };
    stage = await ApiStage.open({ api: { limits }, gateway: { requestTimeoutMs: 300 } });
  });
  afterEach(async () => {
    const { status } = await stage.post('/v1/topics/others/messages', 'served');
    await stage[Symbol.asyncDispose]();
    // Whatever happened, others are served.
    expect(status).toBe(201);
  });
  const dial = (): Socket => connect(stage.gateway.port, '127.0.0.1').on('error', () => undefined);
  /** Everything that is answered to bytes, until the node closes the connection. */
  const raw = (bytes: string): Promise<string> => {
    const socket = dial();
    socket.write(bytes);
    return text(socket);
  };
  const post = (headers: string, body = ''): string =>
    `POST /v1/topics/a/messages HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n\r\n${body}`;
  const codeOf = (answer: string): string =>
    (JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as { error: { code: string } }).error.code;

  it('refuses a body that is announced too large, before it comes', async () => {
    const answer = await raw(post(`content-length: ${10 ** 12}`));
    expect([answer.slice(0, 12), codeOf(answer)]).toEqual(['HTTP/1.1 413', 'FRAME_TOO_LARGE']);
  });

  it('refuses a body that turns out too large', async () => {
    const chunk = `${(16 * KiB).toString(16)}\r\n${'x'.repeat(16 * KiB)}\r\n`;
    const answer = await raw(post('transfer-encoding: chunked', chunk.repeat(5)));
    expect([answer.slice(0, 12), codeOf(answer)]).toEqual(['HTTP/1.1 413', 'FRAME_TOO_LARGE']);
  });

  it('refuses bodies that are half there when there are too many of them', async () => {
    const half = post(`content-length: ${60 * KiB}`, 'x'.repeat(40 * KiB));
    const answers = await Promise.all([raw(half), raw(half), raw(half)]);
    expect(answers.map((answer) => codeOf(answer)).sort()).toContain('OVERLOADED');
  });

  it('does not wait for a body that does not come', async () => {
    const answer = await raw(post('content-length: 10', 'x'));
    expect([answer.slice(0, 12), codeOf(answer)]).toEqual(['HTTP/1.1 408', 'TIMEOUT']);
  });

  it('refuses junk after a request in the same pipe', async () => {
    const answer = await raw(`${post('content-length: 1', 'x')}\x00\x01junk\r\n\r\n`);
    expect(answer).toMatch(/HTTP\/1\.1 400 [\s\S]*PROTOCOL_ERROR/);
  });

  it('answers pipelined requests in their order', async () => {
    const answer = await raw(
      `${post('content-length: 1', 'x').repeat(3)}GET /nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
    );
    expect(answer.match(/HTTP\/1\.1 \d+|"offset":\d+/g)).toEqual([
      ...['HTTP/1.1 201', '"offset":0', 'HTTP/1.1 201', '"offset":1', 'HTTP/1.1 201', '"offset":2'],
      'HTTP/1.1 404',
    ]);
  });

  it('refuses requests without end that wait for something', async () => {
    await stage.post('/v1/topics', { name: 'quiet' });
    const wait = 'GET /v1/topics/quiet/partitions/0/messages?wait=30000 HTTP/1.1\r\nhost: localhost\r\n\r\n';
    const socket = dial();
    const answered = text(socket);
    socket.write(wait.repeat(300));
    await stage.get('/v1/topics');
    stage.gateway.drain();
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    const statuses = (await answered).match(/HTTP\/1\.1 \d+/g)!;
    expect([statuses.length, statuses.filter((status) => status.endsWith('429')).length >= 44]).toEqual([
      301,
      true,
    ]);
  });

  it('makes large answers of a connection one after the other, and refuses those beyond a few that wait', async () => {
    await stage.post('/v1/topics/big/messages', 'x');
    const read = 'GET /v1/topics/big/partitions/0/messages?offset=0 HTTP/1.1\r\nhost: localhost\r\n';
    const answer = await raw(`${`${read}\r\n`.repeat(30)}${read}connection: close\r\n\r\n`);
    const statuses = answer.match(/HTTP\/1\.1 \d+/g)!.map((line) => line.slice(-3));
    expect([statuses.length, statuses.filter((status) => status === '200').length]).toEqual([31, 17]);
  });

  it('refuses too many headers', async () => {
    const answer = await raw(post(Array.from({ length: 300 }, (_, n) => `h${n}: x`).join('\r\n')));
    expect([answer.slice(0, 12), codeOf(answer)]).toEqual(['HTTP/1.1 413', 'FRAME_TOO_LARGE']);
  });

  it('refuses a request with two lengths', async () => {
    expect(await raw(post('content-length: 1\r\ntransfer-encoding: chunked', '0\r\n\r\n'))).toMatch(
      /^HTTP\/1\.1 400 /,
    );
  });

  it.each([
    ['a key that is too long', `?key=${'k'.repeat(101)}`, 'KEY_TOO_LARGE', 413],
    ['a partition that is not there', '?partition=9', 'PARTITION_NOT_FOUND', 404],
    ['an empty number', '?partition=', 'INVALID_ARGUMENT', 400],
    ['a parameter twice', '?partition=0&partition=1', 'INVALID_ARGUMENT', 400],
  ])('refuses %s', async (_what, query, code, status) => {
    const answer = await stage.post(`/v1/topics/a/messages${query}`, 'x');
    expect([answer.status, answer.body]).toMatchObject([status, { error: { code } }]);
  });

  it.each(['%2e%2e', 'a%00b', '%ff', 'a b', '-a', 'x'.repeat(250)])('refuses the topic %s', async (topic) => {
    const answer = await stage.post(`/v1/topics/${topic}/messages`, 'x');
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
  });

  it('takes names that mean something to JavaScript for what they are', async () => {
    const record = '{"value":{"__proto__":{"a":1}},"headers":{"__proto__":"x","constructor":"y"}}';
    await stage.post('/v1/topics/a/messages', record, { 'content-type': 'application/json' });
    const { body } = await stage.get('/v1/topics/a/partitions/0/messages');
    const [found] = (body as { messages: { value: string; headers: object }[] }).messages;
    expect([found!.value, Object.entries(found!.headers)]).toEqual([
      '{"__proto__":{"a":1}}',
      [
        ['__proto__', 'x'],
        ['constructor', 'y'],
      ],
    ]);
  });

  it('refuses JSON that is nested without end', async () => {
    const body = `{"value":${'['.repeat(30_000)}${']'.repeat(30_000)}}`;
    const answer = await stage.post('/v1/topics/a/messages', body, { 'content-type': 'application/json' });
    expect([answer.status, answer.body]).toMatchObject([400, { error: { code: 'INVALID_ARGUMENT' } }]);
  });
});

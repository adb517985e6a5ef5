/** A gRPC client in another language, on another implementation of gRPC, against a real node. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { NodeProcess } from '../support/node-process.ts';
import { requireTools } from '../support/system-tools.ts';
import type { PythonAnswer } from './python-client.ts';
import { PYTHON_PACKAGES, PythonClient } from './python-client.ts';

const ADMIN_TOKEN = 'a-token-for-tests-with-32-characters-or-more';

interface ReceivedMessage {
  readonly topic: string;
  readonly body: string;
  readonly leaseToken: string;
  readonly attempt: number;
  readonly offset: string;
  readonly partition: number;
  readonly key: string;
  readonly correlationId: string;
  readonly headers: readonly { readonly key: string; readonly value: string }[];
  readonly createdAt: string;
  readonly leaseExpiresAt: string;
}

const resources = new AsyncDisposableStack();
let node: NodeProcess;
let python: PythonClient;

beforeAll(async () => {
  requireTools([], PYTHON_PACKAGES);
  node = resources.use(await NodeProcess.start({ flags: ['--grpc', '127.0.0.1:0'] }));
  python = resources.use(await PythonClient.start(node.grpcAddress, node.ca));
}, 300_000);
afterAll(() => resources.disposeAsync());

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const text = (encoded: string): string => Buffer.from(encoded, 'base64').toString();
const messagesOf = ({ responses }: PythonAnswer): ReceivedMessage[] =>
  (responses as { messages: ReceivedMessage[] }[]).flatMap(({ messages }) => messages);

async function publish(topic: string, bodies: readonly string[]): Promise<void> {
  const messages = bodies.map((body) => ({ body: base64(body) }));
  expect(await python.call('Publish', { topic, messages })).toMatchObject({ status: 'OK' });
}

/** What is to be had of a queue within a while. */
async function consume(topic: string, maxMessages: number, more: object = {}): Promise<ReceivedMessage[]> {
  const answer = await python.call('Consume', { topic, maxMessages, maxWaitMs: 20_000, ...more });
  expect(answer).toMatchObject({ status: 'OK' });
  return messagesOf(answer);
}

describe('a client in Python', () => {
  it('learns by reflection what there is', () => {
    expect([...python.services].sort()).toEqual([
      'grpc.health.v1.Health',
      'sluice.messages.v1.MessageService',
    ]);
  });

  it('asks for health', async () => {
    expect(await python.call('Check', {})).toMatchObject({
      status: 'OK',
      responses: [{ status: 'SERVING' }],
    });
  });

  it('publishes, consumes what it has published, and acknowledges it', async () => {
    const before = Date.now();
    const message = {
      ...{ body: base64('hello'), key: base64('k'), correlationId: 'c-1' },
      headers: [{ key: 'h', value: base64('v') }],
    };
    const published = await python.call('Publish', { topic: 'greetings', messages: [message] });
    expect(published).toMatchObject({
      status: 'OK',
      responses: [{ results: [{ partition: 0, offset: '0' }] }],
    });
    const [got] = await consume('greetings', 1);
    expect(got).toMatchObject({
      topic: 'greetings',
      correlationId: 'c-1',
      attempt: 1,
      offset: '0',
      partition: 0,
    });
    expect([text(got!.body), text(got!.key)]).toEqual(['hello', 'k']);
    expect(got!.headers).toContainEqual({ key: 'h', value: base64('v') });
    expect(Date.parse(got!.createdAt)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(got!.leaseExpiresAt)).toBeGreaterThan(Date.now());
    const ack = { topic: 'greetings', leaseTokens: [got!.leaseToken] };
    expect(await python.call('Ack', ack)).toMatchObject({ status: 'OK' });
    expect(await python.call('Ack', ack)).toMatchObject({
      status: 'FAILED_PRECONDITION',
      code: 'LEASE_EXPIRED',
    });
    expect(await consume('greetings', 1, { maxWaitMs: 0 })).toEqual([]);
  });

  it('streams messages to be published', async () => {
    const requests = Array.from({ length: 1_000 }, (_, index) => ({
      ...(index === 0 && { topic: 'streamed' }),
      message: { body: base64(String(index)) },
    }));
    expect(await python.call('PublishStream', requests)).toMatchObject({
      status: 'OK',
      responses: [{ published: '1000' }],
    });
    const got = await consume('streamed', 1_000);
    expect(got.map(({ body }) => Number(text(body)))).toEqual(requests.map((_, index) => index));
  });

  it('gets what it hands back again, with the next attempt', async () => {
    await publish('again', ['a']);
    const [first] = await consume('again', 1);
    const nack = { topic: 'again', leaseTokens: [first!.leaseToken], delayMs: 0, reason: 'busy' };
    expect(await python.call('Nack', nack)).toMatchObject({ status: 'OK' });
    const [second] = await consume('again', 1);
    expect([second!.offset, second!.attempt]).toEqual([first!.offset, 2]);
    const release = { topic: 'again', leaseTokens: [second!.leaseToken] };
    expect(await python.call('Release', release)).toMatchObject({ status: 'OK' });
    const [third] = await consume('again', 1);
    expect([third!.offset, third!.attempt]).toEqual([first!.offset, 2]);
  });

  it('gets again what it has not settled when its lease has run out, unless it extends the lease', async () => {
    await publish('leased', ['kept', 'lost']);
    const leased = await consume('leased', 2, { leaseMs: 2_000 });
    const kept = leased.find(({ body }) => text(body) === 'kept')!;
    const extend = { topic: 'leased', leaseTokens: [kept.leaseToken], leaseMs: 60_000 };
    expect(await python.call('Extend', extend)).toMatchObject({ status: 'OK' });
    const again = await consume('leased', 2, { maxWaitMs: 6_000 });
    expect(again.map(({ body, attempt }) => [text(body), attempt])).toEqual([['lost', 2]]);
    const ack = { topic: 'leased', leaseTokens: leased.map(({ leaseToken }) => leaseToken) };
    const settled = await python.call('Ack', ack);
    expect(settled).toMatchObject({
      status: 'OK',
      responses: [{ failures: [{ leaseToken: leased[1]!.leaseToken, failure: { code: 'LEASE_EXPIRED' } }] }],
    });
  });

  it('makes dead letters, and reads them', async () => {
    await publish('work', ['poison']);
    const [bad] = await consume('work', 1);
    const reject = { topic: 'work', leaseTokens: [bad!.leaseToken], reason: 'cannot be read' };
    expect(await python.call('DeadLetter', reject)).toMatchObject({ status: 'OK' });
    const [letter] = await consume('dlq.work', 1);
    expect(text(letter!.body)).toBe('poison');
    const headers = Object.fromEntries(letter!.headers.map(({ key, value }) => [key, text(value)]));
    expect(headers).toMatchObject({
      ...{ 'sluice-dlq-reason': 'rejected', 'sluice-dlq-text': 'cannot be read' },
      ...{ 'sluice-dlq-topic': 'work', 'sluice-dlq-offset': '0' },
    });
    expect(await consume('work', 1, { maxWaitMs: 0 })).toEqual([]);
  });

  it('waits for messages that come later, one stream for all of them', async () => {
    const waiting = python.call('Consume', { topic: 'later', maxMessages: 2 });
    await publish('later', ['a']);
    await publish('later', ['b']);
    expect(messagesOf(await waiting).map(({ body }) => text(body))).toEqual(['a', 'b']);
  });

  it('is answered before its deadline', async () => {
    const answer = await python.call('Consume', { topic: 'nothing' }, { timeout: 2 });
    expect(answer).toMatchObject({ status: 'OK', responses: [] });
  });

  it('that cancels leases nothing more', async () => {
    await publish('cancelled', ['a']);
    const first = await python.call('Consume', { topic: 'cancelled' }, { cancelAfter: 1 });
    expect(first).toMatchObject({ status: 'CANCELLED' });
    await publish('cancelled', ['b']);
    const got = await consume('cancelled', 1);
    expect(got.map(({ body }) => text(body))).toEqual(['b']);
  });

  it('is told what it did wrong', async () => {
    const messages = [{ body: base64('a') }];
    expect(await python.call('Publish', { topic: 'no/topic', messages })).toMatchObject({
      status: 'INVALID_ARGUMENT',
      code: 'INVALID_TOPIC',
    });
    expect(await python.call('Ack', { topic: 'greetings', leaseTokens: ['nonsense'] })).toMatchObject({
      status: 'INVALID_ARGUMENT',
      code: 'INVALID_ARGUMENT',
    });
  });

  it('is counted', async () => {
    const page = await (await fetch(`http://127.0.0.1:${node.httpPort}/metrics`)).text();
    expect(page).toMatch(/sluice_grpc_calls_total\{method="Consume"\} [1-9]/);
    expect(page).toMatch(/sluice_grpc_published_total [1-9]\d{3}/);
    expect(page).toMatch(/sluice_grpc_errors_total\{code="LEASE_EXPIRED"\} [1-9]/);
  });
});

describe('whoever is hostile', () => {
  it('gets nowhere with garbage, giant messages and hundreds of calls at once', async () => {
    const [host, port] = node.grpcAddress.split(':');
    const sockets = Array.from({ length: 50 }, () => {
      const socket = connect(Number(port), host);
      socket.on('error', () => undefined);
      socket.resume().write(randomBytes(5_000));
      return socket;
    });
    const giant = { topic: 'giant', messages: [{ body: Buffer.alloc(5 * 1024 * 1024).toString('base64') }] };
    const giants = await Promise.all(Array.from({ length: 10 }, () => python.call('Publish', giant)));
    expect(new Set(giants.map(({ status }) => status))).toEqual(new Set(['RESOURCE_EXHAUSTED']));
    const waiting = await Promise.all(
      Array.from({ length: 300 }, () => python.call('Consume', { topic: 'nobody' }, { timeout: 3 })),
    );
    const statuses = new Set(waiting.map(({ status }) => status));
    // Python itself may be too slow for some of its deadlines.
    expect([...statuses].filter((status) => status !== 'OK' && status !== 'DEADLINE_EXCEEDED')).toEqual([]);
    for (const socket of sockets) socket.destroy();
    await publish('giant', ['small']);
    expect(node.alive).toBe(true);
  });
});

describe('a node that asks who its clients are', () => {
  it('takes tokens, without TLS where the settings say so', async () => {
    await using guarded = await NodeProcess.start({
      flags: ['--grpc', '127.0.0.1:0'],
      env: {
        SLUICE_GRPC_PLAINTEXT: 'true',
        SLUICE_AUTH_MODE: 'required',
        SLUICE_AUTH_ADMIN_TOKEN: ADMIN_TOKEN,
      },
    });
    await using client = await PythonClient.start(guarded.grpcAddress);
    const request = { topic: 't', messages: [{ body: base64('a') }] };
    expect(await client.call('Publish', request)).toMatchObject({
      status: 'UNAUTHENTICATED',
      code: 'UNAUTHENTICATED',
    });
    expect(await client.call('Publish', request, { token: 'wrong' })).toMatchObject({
      status: 'UNAUTHENTICATED',
    });
    expect(await client.call('Publish', request, { token: ADMIN_TOKEN })).toMatchObject({ status: 'OK' });
    expect(await client.call('Check', {})).toMatchObject({ status: 'OK' });
  });
});

describe('a node that stops', () => {
  it('answers who waits, and ends', async () => {
    await using stopping = await NodeProcess.start({ flags: ['--grpc', '127.0.0.1:0'] });
    await using client = await PythonClient.start(stopping.grpcAddress, stopping.ca);
    await client.call('Publish', { topic: 't', messages: [{ body: base64('a') }] });
    let answer: PythonAnswer | undefined;
    void client.call('Consume', { topic: 't', group: 'g' }).then((ended) => (answer = ended));
    await eventually('it consumes', async () => {
      const page = await (await fetch(`http://127.0.0.1:${stopping.httpPort}/metrics`)).text();
      return /sluice_grpc_consumed_total 1/.test(page);
    });
    expect(await stopping.kill('SIGTERM')).toBe(0);
    await eventually('it is told', () => answer !== undefined);
    expect(answer).toMatchObject({ status: 'UNAVAILABLE', code: 'DRAINING' });
  });
});

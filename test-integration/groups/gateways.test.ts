/** HTTP, WebSocket, SSE and gRPC at a node that neither leads nor coordinates what they ask for, also when that node goes. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClusterStage, StagedNode } from '../cluster/stage.ts';
import { untilInSync } from '../cluster/trial.ts';
import { PYTHON_PACKAGES, PythonClient } from '../grpc/python-client.ts';
import type { Frame } from '../http/streams-stage.ts';
import { TestEvents, TestSocket } from '../http/streams-stage.ts';
import { requireTools } from '../support/system-tools.ts';
import { eventually } from '../support/eventually.ts';
import { coordinatorOf } from './coordinators.ts';
import { LONG_MS, startStage } from './stage.ts';

const LEASE_MS = 3000;
const DRAINING = 4006;

/** A topic and a group, and nodes by what they have to do with them. */
interface Scene {
  readonly topic: string;
  /** Its queue, and the consumer group, are both at one of the other nodes. */
  readonly group: string;
  /** Has no copy of the topic, and coordinates neither. */
  readonly bystander: StagedNode;
  readonly other: StagedNode;
}

interface Message {
  readonly value: string;
  readonly token: string;
  readonly attempt: number;
}

/** What answers have; each has some of it. */
interface Body {
  readonly messages: readonly Message[];
  readonly generation: number;
  readonly assigned: readonly object[];
  readonly offsets: readonly object[];
}

interface Answered {
  readonly status: number;
  readonly body: Body;
}

describe('a node that neither leads nor coordinates', () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    requireTools([], PYTHON_PACKAGES);
    stage = await startStage({
      SLUICE_GRPC_LISTEN: '127.0.0.1:0',
      SLUICE_GRPC_PLAINTEXT: 'true',
    });
    // Makes the topic of all groups.
    const { admin } = await stage.connect();
    await admin.createTopic({ name: 'first', partitions: 1 });
    await admin.queues.configure('first', {});
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(() => untilInSync(stage));

  async function setScene(topic: string): Promise<Scene> {
    const { admin } = await stage.connect();
    const settings = { storage: 'disk', replicationFactor: 2, minInsync: 1 } as const;
    await admin.createTopic({ name: topic, partitions: 1, settings });
    const { replicas } = (await admin.describeTopic(topic)).partitions[0]!;
    const bystander = stage.nodes.find(({ nodeId }) => !replicas.includes(nodeId))!;
    const other = stage.node(replicas[0]!);
    for (let n = 0; ; n++) {
      const group = `group-${n}`;
      const keys = [`q/${topic}/${group}`, `g/${group}`];
      const coordinators = await Promise.all(keys.map((key) => coordinatorOf(stage, key)));
      if (!coordinators.includes(bystander)) return { topic, group, bystander, other };
    }
  }

  async function call(node: StagedNode, method: string, path: string, body?: unknown): Promise<Answered> {
    const response = await fetch(`http://127.0.0.1:${node.process.httpPort}/v1/${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    return { status: response.status, body: JSON.parse(text === '' ? '{}' : text) as Body };
  }

  /** Publishes numbers as text. */
  async function publish(node: StagedNode, topic: string, from: number, to: number): Promise<void> {
    for (let value = from; value < to; value++)
      expect(await call(node, 'POST', `topics/${topic}/messages`, { value: String(value) })).toMatchObject({
        status: 201,
      });
  }

  function stream(node: StagedNode, topic: string, query: string): Promise<TestSocket> {
    return new TestSocket(
      `ws://127.0.0.1:${node.process.httpPort}/v1/topics/${topic}/stream?${query}`,
    ).untilOpen();
  }

  function events(node: StagedNode, topic: string, query: string, headers = {}): Promise<TestEvents> {
    return TestEvents.open(
      `http://127.0.0.1:${node.process.httpPort}/v1/topics/${topic}/events?${query}`,
      headers,
    );
  }

  const numbers = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, n) => String(from + n));
  const valuesOf = (messages: readonly Frame[]): string[] => messages.map(({ value }) => String(value));
  const places = (records: readonly Frame[]) =>
    records.map(({ partition, offset }) => ({ partition, offset }));
  const tokens = (records: readonly Frame[]) => records.map(({ token }) => token);
  async function answered(socket: TestSocket, message: object): Promise<void> {
    socket.say({ id: 1, ...message });
    await eventually('it is done', () => socket.ofType('done').length === 1, LONG_MS);
  }

  it('serves queues and groups over HTTP, and leases of it are settled at another', async () => {
    const { topic, group, bystander, other } = await setScene('http');
    const queue = `queues/${topic}/${group}`;
    await call(bystander, 'PUT', queue, { backoffMs: 10, maxBackoffMs: 10 });
    await publish(bystander, topic, 0, 6);
    const receive = async (node: StagedNode, max: number): Promise<readonly Message[]> =>
      (await call(node, 'POST', `${queue}/receive`, { max, waitMs: 10_000 })).body.messages;
    const got: Message[] = [];
    while (got.length < 6) got.push(...(await receive(bystander, 6 - got.length)));
    expect(got.map(({ value }) => value)).toEqual(numbers(0, 6));
    const token = (n: number): { tokens: string[] } => ({ tokens: [got[n]!.token] });
    expect(await call(bystander, 'POST', `${queue}/ack`, token(0))).toMatchObject({ status: 200 });
    expect(await call(other, 'POST', `${queue}/ack`, token(1))).toMatchObject({ status: 200 });
    expect(await call(bystander, 'POST', `${queue}/ack`, token(1))).toMatchObject({ status: 410 });
    expect(await call(other, 'POST', `${queue}/reject`, token(2))).toMatchObject({ status: 200 });
    expect(await call(other, 'POST', `${queue}/nack`, token(3))).toMatchObject({ status: 200 });
    const [again] = await receive(bystander, 1);
    expect(again).toMatchObject({ value: '3', attempt: 2 });
    const dead = async (): Promise<readonly string[]> =>
      (await call(bystander, 'GET', `dead-letters/${topic}`)).body.messages.map(({ value }) => value);
    await eventually('the dead letter is there', async () => (await dead()).length > 0, LONG_MS);
    expect(await dead()).toEqual(['2']);

    const member = `groups/${group}/members/m`;
    let generation = 0;
    const isAssigned = async (): Promise<boolean> => {
      const question = { topics: [topic], from: 'earliest', generation, waitMs: 2000 };
      const { body } = await call(bystander, 'POST', member, question);
      generation = body.generation;
      if (body.assigned.length > 0) expect(body.assigned).toMatchObject([{ topic, partition: 0, offset: 0 }]);
      return body.assigned.length > 0;
    };
    await eventually('it is assigned', isAssigned, LONG_MS);
    const commit = {
      memberId: 'm',
      generation,
      offsets: [{ topic, partition: 0, offset: 4 }],
    };
    expect(await call(other, 'POST', `groups/${group}/offsets`, commit)).toMatchObject({ status: 200 });
    const late = { ...commit, memberId: 'stranger' };
    expect((await call(bystander, 'POST', `groups/${group}/offsets`, late)).status).toBeGreaterThanOrEqual(
      400,
    );
    const described = await call(bystander, 'GET', `groups/${group}`);
    expect(described.body.offsets).toMatchObject([{ partition: 0, committed: 4, end: 6, lag: 2 }]);
  });

  it('is killed under WebSockets: what was acknowledged does not come again at another node, the rest does', async () => {
    const { topic, group, bystander, other } = await setScene('sockets');
    await publish(bystander, topic, 0, 6);
    const asQueue = `queue=${group}&lease=${LEASE_MS}`;
    const asMember = `group=${group}&from=earliest&instance=page`;
    const queue = await stream(bystander, topic, asQueue);
    const member = await stream(bystander, topic, asMember);
    await queue.untilRecords(6);
    await member.untilRecords(6);
    await answered(queue, { ack: tokens(queue.records.slice(0, 2)) });
    await answered(member, { ack: places(member.records.slice(1, 2)) });
    await bystander.process.kill('SIGKILL');
    await queue.untilClosed();
    await member.untilClosed();
    const queueAgain = await stream(other, topic, asQueue);
    const memberAgain = await stream(other, topic, asMember);
    await publish(other, topic, 6, 8);
    await eventually(
      'all came',
      () => queueAgain.records.length >= 6 && memberAgain.records.length >= 6,
      LONG_MS,
    );
    expect(valuesOf(memberAgain.records)).toEqual(numbers(2, 8));
    const attempts = queueAgain.records.map(({ value, attempt }) => [Number(value), attempt]).toSorted();
    expect(attempts).toEqual([...[2, 3, 4, 5].map((value) => [value, 2]), [6, 1], [7, 1]]);
    // Whoever has the token of a lease that is over is told so.
    queueAgain.say({ id: 'late', ack: tokens(queue.records.slice(2, 3)) });
    await eventually('a refusal', () => queueAgain.ofType('refused').length === 1, LONG_MS);
    expect(queueAgain.ofType('refused')[0]).toMatchObject({
      id: 'late',
      refused: [{ code: 'LEASE_EXPIRED' }],
    });
    for (const { ws } of [queueAgain, memberAgain]) ws.close();
    await bystander.process.restart();
  });

  it('is killed under event streams: they go on at another node', async () => {
    const { topic, group, bystander, other } = await setScene('events');
    await publish(bystander, topic, 0, 6);
    const asMember = `group=${group}&from=earliest&instance=page`;
    const plain = await events(bystander, topic, 'from=earliest');
    const member = await events(bystander, topic, asMember);
    await plain.untilValues(6);
    await member.untilValues(6);
    const committed = async (): Promise<unknown> => {
      const { admin } = await stage.connect([other.nodeId]);
      return (await admin.groups.describe(group)).offsets[0]?.committed;
    };
    await eventually('what has come is committed', async () => (await committed()) === 6, LONG_MS);
    await bystander.process.kill('SIGKILL');
    await publish(other, topic, 6, 9);
    const plainAgain = await events(other, topic, 'from=latest', { 'last-event-id': plain.lastId });
    const memberAgain = await events(other, topic, asMember);
    expect(await plainAgain.untilValues(3)).toEqual(numbers(6, 9));
    expect(await memberAgain.untilValues(3)).toEqual(numbers(6, 9));
    plainAgain.close();
    memberAgain.close();
    await bystander.process.restart();
  });

  it('is killed under a consuming call of gRPC: another node gives what was not acknowledged', async () => {
    const { topic, group, bystander, other } = await setScene('calls');
    await using python = await PythonClient.start(bystander.process.grpcAddress);
    const messages = numbers(0, 6).map((value) => ({ body: Buffer.from(value).toString('base64') }));
    expect(await python.call('Publish', { topic, messages })).toMatchObject({ status: 'OK' });
    const question = { topic, group, maxMessages: 6, maxWaitMs: 10_000, leaseMs: LEASE_MS };
    const first = messagesOf(await python.call('Consume', question));
    const ack = { topic, group, leaseTokens: first.slice(0, 2).map(({ leaseToken }) => leaseToken) };
    expect(await python.call('Ack', ack)).toMatchObject({ status: 'OK' });
    const waiting = python.call('Consume', { topic, group });
    await bystander.process.kill('SIGKILL');
    expect(await waiting).toMatchObject({ status: 'UNAVAILABLE' });
    await using elsewhere = await PythonClient.start(other.process.grpcAddress);
    const again = messagesOf(await elsewhere.call('Consume', { ...question, maxMessages: 4 }));
    const told = again.map(({ body, attempt }) => [Buffer.from(body, 'base64').toString(), attempt]);
    expect(told.toSorted()).toEqual(
      first.slice(2).map(({ body }) => [Buffer.from(body, 'base64').toString(), 2]),
    );
    const late = { topic, group, leaseTokens: [first[3]!.leaseToken] };
    expect(await elsewhere.call('Ack', late)).toMatchObject({
      status: 'FAILED_PRECONDITION',
      code: 'LEASE_EXPIRED',
    });
    const rest = { topic, group, leaseTokens: again.map(({ leaseToken }) => leaseToken) };
    expect(await elsewhere.call('Ack', rest)).toMatchObject({ status: 'OK', responses: [{}] });
    await bystander.process.restart();
  });

  it('drains under WebSockets: they are sent away, and what they had leased is free at once', async () => {
    const { topic, group, bystander, other } = await setScene('drained');
    await publish(bystander, topic, 0, 4);
    const queue = await stream(bystander, topic, `queue=${group}&lease=600000`);
    const member = await stream(bystander, topic, `group=${group}&from=earliest`);
    await queue.untilRecords(4);
    await member.untilRecords(4);
    await answered(queue, { ack: tokens(queue.records.slice(0, 1)) });
    await answered(member, { ack: places(member.records.slice(0, 1)) });
    const ended = bystander.process.kill('SIGTERM');
    expect((await queue.untilClosed()).code).toBe(DRAINING);
    expect((await member.untilClosed()).code).toBe(DRAINING);
    const queueAgain = await stream(other, topic, `queue=${group}`);
    const memberAgain = await stream(other, topic, `group=${group}&from=earliest`);
    await eventually(
      'all came',
      () => queueAgain.records.length >= 3 && memberAgain.records.length >= 3,
      LONG_MS,
    );
    expect(queueAgain.records.map(({ value, attempt }) => [value, attempt]).toSorted()).toEqual(
      numbers(1, 4).map((value) => [value, 1]),
    );
    expect(valuesOf(memberAgain.records)).toEqual(numbers(1, 4));
    expect(await ended).toBe(0);
    for (const { ws } of [queueAgain, memberAgain]) ws.close();
    await bystander.process.restart();
  });
});

interface Delivered {
  readonly body: string;
  readonly leaseToken: string;
  readonly attempt: number;
}

function messagesOf({ responses }: { readonly responses: readonly unknown[] }): readonly Delivered[] {
  return (responses as { messages: Delivered[] }[]).flatMap(({ messages }) => messages);
}

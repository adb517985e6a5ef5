import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import { turns } from '../support/turns.ts';
import type { Answer } from './fake-broker.ts';
import { FakeBroker } from './fake-broker.ts';

let broker: FakeBroker;
/** Answers that the test gives, in the order they were asked for. */
let answers: ((answer: NonNullable<Answer>) => void)[];
beforeEach(async () => {
  broker = await FakeBroker.open([1, 2]);
  answers = [];
  broker.onRequest = (request, _connection, later) => {
    if (request.case !== 'group') return broker.defaultAnswer(request);
    answers.push(later);
    return undefined;
  };
});
afterEach(() => broker[Symbol.asyncDispose]());

const NONE: NonNullable<Answer> = { case: 'group', value: { body: { case: 'receive', value: {} } } };
const URLS = ['memory://fake:1', 'memory://fake:2'];

/** Begins to receive from a queue of `client`. */
async function receive(client: Client): Promise<{ done: Promise<unknown>; close: () => Promise<void> }> {
  const queue = client.queue('q');
  const done = queue.receive();
  await turns(5);
  return { done, close: () => queue.close() };
}

describe('a request stream', () => {
  it('is the own of each queue, and not the control stream', async () => {
    const client = await broker.client();
    const [first, second] = [await receive(client), await receive(client)];
    const [a, b] = broker.last.requestStreams;
    expect([a! > 0, b! > 0, a !== b]).toEqual([true, true, true]);
    for (const answer of answers) answer(NONE);
    await Promise.all([first.done, second.done]);
  });

  it('takes answers that are larger than those of the control stream', async () => {
    const client = await broker.client();
    const { done } = await receive(client);
    const batch = Buffer.alloc(5_000_000);
    const value = { batches: [{ batch, leases: [] }] };
    answers[0]!({ case: 'group', value: { body: { case: 'receive', value } } });
    expect(await done).toEqual([]);
  });

  it('of a session that is being left is answered there, while new questions go to the next', async () => {
    const client = await broker.client(URLS);
    await broker.pass(1100); // a connection that goes as soon as it comes is not left at once
    const queue = client.queue('q');
    const first = queue.receive();
    await turns(5);
    const old = broker.last;
    old.goAway([URLS[1]!]);
    await turns(10);
    expect(broker.last).not.toBe(old);
    const second = queue.receive();
    await broker.pass(100);
    expect(
      [old, broker.last].map((connection) => connection.requestStreams.filter((id) => id > 0).length),
    ).toEqual([1, 1]);
    expect(old.closeCode).toBeUndefined();
    answers[0]!(NONE);
    answers[1]!(NONE);
    await Promise.all([first, second]);
    await turns(5);
    expect(old.closeCode).toBe(0);
  });

  it('holds its session each time that something waits on it', async () => {
    const client = await broker.client(URLS);
    await broker.pass(1100); // a connection that goes as soon as it comes is not left at once
    const queue = client.queue('q');
    const first = queue.receive();
    await turns(5);
    answers[0]!(NONE);
    await first;
    const second = queue.receive();
    await turns(5);
    const old = broker.last;
    old.goAway([URLS[1]!]);
    await turns(10);
    expect(old.closeCode).toBeUndefined();
    answers[1]!(NONE);
    await second;
    await turns(5);
    expect(old.closeCode).toBe(0);
  });

  it('ends with an error of its own, and another one is opened', async () => {
    const client = await broker.client();
    const { done } = await receive(client);
    answers[0]!({ error: 'DRAINING' });
    await turns(5);
    await broker.pass(100);
    expect(broker.last.requestStreams).toHaveLength(2);
    broker.last.resetStream(broker.last.requestStreams[1]!);
    await turns(5);
    await broker.pass(2000);
    const ids = broker.last.requestStreams;
    expect([ids[0] === ids[1], ids[1] === ids[2]]).toEqual([true, false]);
    answers[2]!(NONE);
    expect(await done).toEqual([]);
  });
});

describe('a queue that has closed', () => {
  it('gives back over the control stream what came too late', async () => {
    const client = await broker.client();
    const { done, close } = await receive(client);
    const closed = close();
    await turns(5);
    const lease = { first: 0n, end: 1n, attempt: 1 };
    const value = { batches: [{ batch: Buffer.alloc(0), grant: 1n, leases: [lease], leaseMs: 1000 }] };
    answers[0]!({ case: 'group', value: { body: { case: 'receive', value } } });
    await turns(5);
    expect(broker.last.requestStreams.at(-1)).toBe(0);
    answers[1]!({ case: 'group', value: { body: { case: 'settle', value: { results: [{}] } } } });
    await turns(5);
    await broker.pass(1100);
    await closed;
    expect(await done).toEqual([]);
  });
});

/** Consumer groups and queues of one node that is killed and started again. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import { NodeProcess } from '../support/node-process.ts';

const LEASE_MS = 3000;

describe('a node on its own', () => {
  let stack: AsyncDisposableStack;
  let node: NodeProcess;

  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    node = stack.use(await NodeProcess.start());
  });
  afterEach(() => stack.disposeAsync());

  async function connect(): Promise<Client> {
    return stack.adopt(await node.connect({ reconnect: { maxDelayMs: 250 } }), (one) =>
      one.close({ timeoutMs: 1000 }),
    );
  }

  /** Publishes `from` to `to`, exclusive, as text. */
  async function publish(client: Client, topic: string, from: number, to: number): Promise<void> {
    const producer = client.producer();
    const values = Array.from({ length: to - from }, (_, nth) => String(from + nth));
    await Promise.all(values.map((value) => producer.send({ topic, value, key: value })));
    await producer.close();
  }

  /** Reads as a member of the group until it has that many, commits and leaves. */
  async function take(client: Client, count: number): Promise<number[]> {
    const member = client.group('billing', { topics: ['orders'], from: 'earliest', commit: 'manual' });
    const values: number[] = [];
    for await (const record of member) {
      values.push(Number(record.text()));
      if (values.length < count) continue;
      await member.commit(record);
      // Which closes it.
      break;
    }
    return values;
  }

  it('a group goes on where it has committed, over kill -9', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: 'orders', partitions: 1, settings: { storage: 'disk' } });
    await publish(client, 'orders', 0, 100);
    expect(await take(client, 60)).toEqual(Array.from({ length: 60 }, (_, n) => n));
    await node.kill('SIGKILL');
    await node.restart();
    expect(await take(await connect(), 40)).toEqual(Array.from({ length: 40 }, (_, n) => 60 + n));
  });

  it('a member goes on through kill -9 of its node, and misses nothing', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: 'orders', partitions: 4, settings: { storage: 'disk' } });
    const member = client.group('billing', { topics: ['orders'], from: 'earliest' });
    const seen = new Set<number>();
    const reading = (async () => {
      for await (const record of member) seen.add(Number(record.text()));
    })();
    await publish(client, 'orders', 0, 200);
    await eventually('the first 200', () => seen.size === 200);
    await node.kill('SIGKILL');
    await node.restart();
    await publish(client, 'orders', 200, 400);
    await eventually('all 400', () => seen.size === 400);
    await member.close();
    await reading;
  });

  it('what was acknowledged before kill -9 never comes again, what was leased comes with its attempts counted', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: 'jobs', partitions: 2, settings: { storage: 'disk' } });
    await publish(client, 'jobs', 0, 100);
    const queue = client.queue('jobs', { leaseMs: LEASE_MS });
    const first = [];
    while (first.length < 60) first.push(...(await queue.receive({ max: 60 - first.length, waitMs: 5000 })));
    const acknowledged = first.slice(0, 40);
    await Promise.all(acknowledged.map((job) => job.ack()));
    await node.kill('SIGKILL');
    await node.restart();
    // Its leases outlive the process that gave them.
    const kept = first.slice(40, 50);
    await Promise.all(kept.map((job) => job.ack()));
    const lost = new Set(first.slice(50).map((job) => job.record.text()));
    const again = (await connect()).queue('jobs', { leaseMs: LEASE_MS });
    const attempts = new Map<string, number>();
    while (attempts.size < 50) {
      for (const job of await again.receive({ max: 100, waitMs: 5000 })) {
        attempts.set(job.record.text(), job.attempt);
        await job.ack();
      }
    }
    for (const { record } of [...acknowledged, ...kept]) expect(attempts.has(record.text())).toBe(false);
    for (const [value, attempt] of attempts) expect(attempt).toBe(lost.has(value) ? 2 : 1);
    expect(await again.receive({ max: 1, waitMs: LEASE_MS + 1000 })).toEqual([]);
  });

  it('a record that fails too often is a dead letter, once, with kill -9 in between', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: 'jobs', partitions: 1, settings: { storage: 'disk' } });
    await publish(client, 'jobs', 0, 1);
    const queue = client.queue('jobs');
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      let [job] = await queue.receive({ waitMs: 5000 });
      while (!job) [job] = await queue.receive({ waitMs: 5000 });
      expect(job.attempt).toBe(attempt);
      await job.nack({ delayMs: 0, reason: 'does not work' });
      if (attempt === 3) {
        await node.kill('SIGKILL');
        await node.restart();
      }
    }
    const dead = client.queue('dlq.jobs');
    const [letter] = await dead.receive({ waitMs: 10_000 });
    expect(letter?.record.text()).toBe('0');
    const headers = new Map(letter!.record.headers.map(({ key, value }) => [key, value?.toString()]));
    expect(headers.get('sluice-dlq-reason')).toBe('max-attempts');
    expect(headers.get('sluice-dlq-attempts')).toBe('5');
    await letter!.ack();
    expect(await dead.receive({ waitMs: 500 })).toEqual([]);
  });
});

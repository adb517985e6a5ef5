/** What topics on disk have after their node was killed, or stopped, and started again. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client, Producer, ReceivedRecord, StartPosition } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import { NodeProcess } from '../support/node-process.ts';

/** Silence alone tells a client within seconds that its node is gone. */
const LIMITS = { idleTimeoutMs: 3000, keepAliveMs: 500 };
const TOPIC = 'ledger';
const OTHER_TOPIC = 'other';
const SIGNALS = ['SIGKILL', 'SIGTERM'] as const;

let node: NodeProcess;
let resources: AsyncDisposableStack;

beforeEach(async () => {
  resources = new AsyncDisposableStack();
  node = resources.use(await NodeProcess.start());
});
afterEach(() => resources.disposeAsync());

async function connect(): Promise<Client> {
  const client = await node.connect({ limits: LIMITS, reconnect: { maxDelayMs: 100 } });
  return resources.adopt(client, () => client.close());
}

async function restart(signal: (typeof SIGNALS)[number]): Promise<void> {
  await node.kill(signal);
  await node.restart();
}

/** Publishes `from`, …, `to` − 1 all at once. */
async function publish(producer: Producer, from: number, to: number, timestampMs?: number): Promise<void> {
  const records = Array.from({ length: to - from }, (_, index) => ({
    topic: TOPIC,
    value: String(from + index),
    ...(timestampMs !== undefined && { timestampMs: timestampMs + index }),
  }));
  await Promise.all(records.map((record) => producer.send(record)));
}

/** Everything from a position to the end of the only partition. */
async function read(client: Client, from: StartPosition): Promise<ReceivedRecord[]> {
  const [end] = await client.admin.listOffsets(TOPIC, 'latest');
  const records: ReceivedRecord[] = [];
  const subscription = await client.subscribe(TOPIC, { from });
  for await (const record of subscription) {
    records.push(record);
    if (record.offset + 1 >= end!.offset) break;
  }
  return records;
}

const valuesOf = (records: readonly ReceivedRecord[]): number[] =>
  records.map((record) => Number(record.text()));
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

describe.each(SIGNALS)('after %s and a new start a topic on disk', (signal) => {
  it.each(['always', 'interval', 'os'] as const)('has every record, with flush %s', async (flush) => {
    const client = await connect();
    await client.admin.createTopic({ name: TOPIC, settings: { storage: 'disk', flush } });
    await publish(client.producer(), 0, 3000);
    await restart(signal);
    expect(valuesOf(await read(client, 'earliest'))).toEqual(numbers(0, 3000));
  });

  it('takes what a producer repeats only once', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: TOPIC, settings: { storage: 'disk' } });
    const producer = client.producer({ idempotent: true });
    await publish(producer, 0, 1000);
    const sending = publish(producer, 1000, 5000);
    await producer.send({ topic: OTHER_TOPIC, value: 'so that some are on their way' });
    await restart(signal);
    await sending;
    await publish(producer, 5000, 6000);
    expect(valuesOf(await read(client, 'earliest'))).toEqual(numbers(0, 6000));
    expect(await metrics()).not.toContain('UNKNOWN_PRODUCER');
  });

  it('is found by the time of its records', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: TOPIC, settings: { storage: 'disk' } });
    const timestampMs = Date.UTC(2026, 0, 31, 12);
    await publish(client.producer(), 0, 2000, timestampMs);
    await restart(signal);
    expect(valuesOf(await read(client, new Date(timestampMs + 1234)))).toEqual(numbers(1234, 2000));
  });

  it('goes on for a subscriber where it was', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: TOPIC, settings: { storage: 'disk' } });
    const seen: number[] = [];
    const subscription = await client.subscribe(TOPIC);
    void (async () => {
      for await (const record of subscription) seen.push(Number(record.text()));
    })();
    const producer = client.producer();
    await publish(producer, 0, 500);
    await restart(signal);
    await publish(producer, 500, 1000);
    await eventually('all records', () => seen.length >= 1000);
    expect(seen).toEqual(numbers(0, 1000));
  });

  it('begins where records were deleted to', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: TOPIC, settings: { storage: 'disk' } });
    await publish(client.producer(), 0, 1000);
    await client.admin.deleteRecords(TOPIC, 700);
    // The new start is written down beside; it is safe when the node has had a moment.
    await eventually('a snapshot', () => snapshots() > 0);
    await restart(signal);
    expect(valuesOf(await read(client, 'earliest'))).toEqual(numbers(700, 1000));
  });

  it('stays deleted', async () => {
    const client = await connect();
    await client.admin.createTopic({ name: TOPIC, settings: { storage: 'disk' } });
    await publish(client.producer(), 0, 10);
    await client.admin.deleteTopic(TOPIC);
    await restart(signal);
    expect(await client.admin.listTopics()).toEqual([]);
    await eventually('no folders of topics', () => topicFolders().length === 0);
  });
});

async function metrics(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${node.httpPort}/metrics`);
  return response.text();
}

function topicFolders(): string[] {
  return readdirSync(join(node.dataFolder, 'topics')).filter((name) => name !== 'cluster');
}

function snapshots(): number {
  const [folder] = topicFolders();
  const names = readdirSync(join(node.dataFolder, 'topics', folder!, '0'));
  return names.filter((name) => name.endsWith('.snapshot')).length;
}

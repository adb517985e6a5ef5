/** One subscriber that does not read disturbs nobody: not on its own connection, and not the node's memory. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client, GapEvent, Subscription } from '../src/client/index.ts';
import { MEASURED, memoryInUse } from './support/memory-in-use.ts';
import { NodeProcess } from './support/node-process.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const PARTITION = 0;

let resources: AsyncDisposableStack;
let node: NodeProcess;
let publishing: Client;

beforeEach(async () => {
  resources = new AsyncDisposableStack();
  node = resources.use(await NodeProcess.start({ env: { SLUICE_LOG_LEVEL: 'warn', ...MEASURED } }));
  publishing = resources.use(await node.connect());
});

afterEach(() => resources.disposeAsync());

/** Publishes `records` values that begin with their number. */
async function publish(topics: readonly string[], records: number, valueBytes: number): Promise<void> {
  await using producer = publishing.producer();
  for (let n = 0; n < records; n += 1) {
    const value = Buffer.alloc(valueBytes, '.');
    value.write(`${n} `);
    for (const topic of topics) {
      while (!producer.offer({ topic, partition: PARTITION, value })) await producer.ready();
    }
    if (n % 256 === 0) await new Promise(setImmediate);
  }
  await producer.flush();
}

/** Reads so many records and checks that each is the next one. @returns how many were the wrong one */
async function readAll(subscription: Subscription, records: number): Promise<number> {
  let next = 0;
  let wrong = 0;
  for await (const record of subscription) {
    if (record.offset !== next || Number.parseInt(record.value!.toString('latin1', 0, 12), 10) !== next)
      wrong += 1;
    if (++next === records) break;
  }
  return wrong;
}

async function lagRecords(topic: string): Promise<number> {
  const all = await publishing.admin.listSubscriptions();
  return all.find((one) => one.topic === topic)?.lagRecords ?? 0;
}

describe('one connection', () => {
  it('with two subscriptions: one stalls, the other reads everything meanwhile, the stalled one misses nothing', async () => {
    await using client = await node.connect();
    const records = 20_000;
    const topics = ['pair-read', 'pair-stalled'];
    for (const name of topics) await publishing.admin.createTopic({ name });
    const reading = await client.subscribe('pair-read');
    const stalled = await client.subscribe('pair-stalled');
    const read = readAll(reading, records);
    await publish(topics, records, 1000);
    expect(await read).toBe(0);
    // More than its stream and its buffer hold: the broker itself stands still for it.
    expect(await lagRecords('pair-stalled')).toBeGreaterThan(records / 2);
    expect(await readAll(stalled, records)).toBe(0);
  });

  it('with a hundred subscriptions, 99 of them stalled: the same', async () => {
    await using client = await node.connect();
    const records = 1500;
    const topics = Array.from({ length: 100 }, (_, n) => `hundred-${n}`);
    for (const name of topics) await publishing.admin.createTopic({ name });
    const subscriptions: Subscription[] = [];
    for (const topic of topics) subscriptions.push(await client.subscribe(topic, { bufferBytes: 64 * KiB }));
    const [reading, ...stalled] = subscriptions as [Subscription, ...Subscription[]];
    const read = readAll(reading, records);
    await publish(topics, records, 1000);
    expect(await read).toBe(0);
    expect(await lagRecords('hundred-99')).toBeGreaterThan(0);
    const wrong = await Promise.all(stalled.map((one) => readAll(one, records)));
    expect(wrong.filter((count) => count > 0)).toEqual([]);
  });
});

describe('a subscriber far behind', () => {
  it('is told exactly which records are gone, and the node does not grow with what it has not read', async () => {
    const topic = 'far-behind';
    const valueBytes = KiB;
    const [warm, more] = [200 * KiB, 200 * KiB];
    const retentionBytes = 16 * MiB;
    await publishing.admin.createTopic({ name: topic, settings: { retentionBytes } });
    await using client = await node.connect();
    const laggard = await client.subscribe(topic, { bufferBytes: 64 * KiB });
    // The retained buffer and the laggard's stream are full before memory is measured.
    await publish([topic], warm, valueBytes);
    const before = { usedBytes: await memoryInUse(node), rssBytes: node.rssBytes };
    await publish([topic], more, valueBytes);
    // What it takes only while it is published to it is not looked at: it cannot be told from garbage.
    const after = { usedBytes: await memoryInUse(node), rssBytes: node.rssBytes };

    const gaps: GapEvent[] = [];
    const holes: Pick<GapEvent, 'from' | 'to'>[] = [];
    laggard.on('gap', (gap) => gaps.push(gap));
    let next = 0;
    for await (const { offset } of laggard) {
      if (offset !== next) holes.push({ from: next, to: offset });
      next = offset + 1;
      if (next === warm + more) break;
    }
    expect(gaps.map(({ from, to }) => ({ from, to }))).toEqual(holes);
    expect(gaps).toMatchObject([{ topic, partition: PARTITION, reason: 'retention' }]);
    // All that was still retained was read.
    const { logStart } = (await publishing.admin.describeTopic(topic)).partitions[PARTITION]!;
    expect(gaps[0]!.to).toBe(logStart);
    expect((next - logStart) * valueBytes).toBeGreaterThan(retentionBytes * 0.8);
    expect(after.usedBytes - before.usedBytes).toBeLessThan(4 * MiB);
    expect(after.rssBytes - before.rssBytes).toBeLessThan(32 * MiB);
  });
});

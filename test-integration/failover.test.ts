/** Two nodes that know nothing of each other, and clients that know both: where one goes, they go on at the other. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../src/client/index.ts';
import { connect } from '../src/client/index.ts';
import { eventually } from './support/eventually.ts';
import { NodeProcess } from './support/node-process.ts';

/** Silence alone tells a client within seconds that its node is gone. */
const LIMITS = { idleTimeoutMs: 3000, keepAliveMs: 500 };
const AT_ONCE = 64;
const TOPIC = 'moved';

let first: NodeProcess;
let second: NodeProcess;
let resources: AsyncDisposableStack;

beforeEach(async () => {
  resources = new AsyncDisposableStack();
  first = resources.use(await NodeProcess.start());
  second = resources.use(await NodeProcess.start());
});
afterEach(() => resources.disposeAsync());

async function open(urls: readonly string[]): Promise<Client> {
  const ca = [first, second].map((node) => readFileSync(node.ca, 'utf8')).join('\n');
  const client = await connect(urls, { ca, limits: LIMITS, reconnect: { maxDelayMs: 250 } });
  return resources.adopt(client, () => client.close());
}

describe.each(['SIGTERM', 'SIGKILL'] as const)('two nodes, the first of which is ended by %s', (signal) => {
  it('everything that was taken is acknowledged in order, and is read where it was stored', async () => {
    const urls = [first.url, second.url];
    const [publisher, subscriber] = [await open(urls), await open(urls)];
    await publisher.admin.createTopic({ name: TOPIC });
    const goaways: string[] = [];
    publisher.on('goaway', ({ url }) => goaways.push(url));
    const subscription = await subscriber.subscribe(TOPIC);
    const statuses: string[] = [];
    subscription.on('status', ({ kind }) => statuses.push(kind));
    const read: number[] = [];
    void (async () => {
      for await (const record of subscription) read.push(Number(record.text()));
    })();

    const producer = publisher.producer();
    const acknowledged: number[] = [];
    let next = 0;
    let stopped = false;
    const publish = async (): Promise<void> => {
      while (!stopped) {
        const value = next++;
        await producer.send({ topic: TOPIC, value: String(value) });
        acknowledged.push(value);
      }
    };
    const publishing = Promise.all(Array.from({ length: AT_ONCE }, publish));
    const more = (records: number): Promise<void> => {
      const wanted = acknowledged.length + records;
      return eventually(`${records} more records`, () => acknowledged.length >= wanted, 60_000);
    };

    await more(1000);
    await first.kill(signal);
    await eventually('the other node', () => publisher.connection?.url === second.url, 30_000);
    await more(1000);
    stopped = true;
    await publishing;
    const last = next - 1;
    await eventually('the last record', () => read.at(-1) === last);

    // Whatever was on its way when the first node went was answered, once and in order.
    expect(acknowledged).toEqual(acknowledged.map((_, n) => n));
    expect(goaways).toEqual(signal === 'SIGTERM' ? [first.url] : []);
    // The second node has what the first did not answer and all that came later: each once, in order, to the last.
    const stored = await second.connect().then(readAll);
    expect(stored).toEqual(stored.map((_, n) => stored[0]! + n));
    expect([stored.length > 0, stored.at(-1)]).toEqual([true, last]);
    // The subscriber was told that it reads another log, and got all of it.
    expect(statuses).toContain('restarted');
    expect(read.slice(-stored.length)).toEqual(stored);
  });
});

/** Values of the topic now, in the order of their offsets. */
async function readAll(client: Client): Promise<number[]> {
  const { highWatermark } = (await client.admin.describeTopic(TOPIC)).partitions[0]!;
  const values: number[] = [];
  for await (const record of await client.subscribe(TOPIC, { from: 'earliest' })) {
    values.push(Number(record.text()));
    if (record.offset === highWatermark - 1) break;
  }
  await client.close();
  return values;
}

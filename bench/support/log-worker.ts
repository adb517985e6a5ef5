/**
 * A process that fills and reads logs through the SDK: takes orders over IPC and reports.
 *
 *     fill   publishes to the partitions in turn, as fast as it goes; reports `filled` when all is acknowledged
 *     read   one subscription, or one member of a group, from the beginning; reports `read`
 *     pace   publishes to the partitions in turn at a fixed rate; reports `pacing`, and after `stop` `paced`
 *     lag    subscriptions that begin all over a topic; reports `lagging` when all are there, and after `stop` `lagged`
 */
import type { ServerAddress } from '../adapters/adapter.ts';
import type { Client, ReceivedBatch, Subscription } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import { payloads, stamp } from './payload.ts';

interface Target {
  readonly server: ServerAddress;
  readonly topic: string;
}

interface FillOrder extends Target {
  readonly kind: 'fill';
  readonly partitions: number;
  readonly records: number;
  readonly bytes: number;
  /** Records go round so many keys; 0: they have none. */
  readonly keys: number;
  /** Size of batches; undefined: the SDK's. */
  readonly batchBytes?: number;
}

interface ReadOrder extends Target {
  readonly kind: 'read';
  readonly records: number;
  /** As a member of this group; undefined: as a plain subscription. */
  readonly group?: string | undefined;
}

interface LagOrder extends Target {
  readonly kind: 'lag';
  readonly connections: number;
  /** In all; the nth begins at n / subscriptions of `records`. */
  readonly subscriptions: number;
  readonly records: number;
  /** What they read together; undefined: all they can. */
  readonly bytesPerSecond?: number | undefined;
}

interface PaceOrder extends Target {
  readonly kind: 'pace';
  readonly partitions: number;
  /** Records per second, in all. */
  readonly rate: number;
  /** Of each value; the first of them say when it was published. */
  readonly bytes: number;
}

export type LogOrder = FillOrder | ReadOrder | PaceOrder | LagOrder | { readonly kind: 'stop' };

export type LogReport =
  | { readonly kind: 'filled'; readonly seconds: number }
  | {
      readonly kind: 'read';
      /** From the first record to the last. */
      readonly seconds: number;
      readonly cpuSeconds: number;
    }
  | { readonly kind: 'pacing' }
  | { readonly kind: 'paced'; readonly records: number }
  | { readonly kind: 'lagging' }
  | { readonly kind: 'lagged'; readonly bytes: number; readonly seconds: number }
  | { readonly kind: 'failed'; readonly message: string };

/** Records that go to one partition before the next has its turn: a full batch or so. */
const RUN_RECORDS = 256;
/** What each of very many subscriptions may have waiting. */
const LAGGARD_BUFFER_BYTES = 64 * 1024;

const report = (message: LogReport): void => {
  process.send!(message);
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const dial = ({ host, port, caFile }: ServerAddress): Promise<Client> =>
  connect(`quic://${host}:${port}`, { ca: caFile });

async function fill({
  server,
  topic,
  partitions,
  records,
  bytes,
  keys,
  batchBytes,
}: FillOrder): Promise<void> {
  await using client = await dial(server);
  const producer = client.producer(batchBytes === undefined ? {} : { batchBytes });
  const values = payloads('random', bytes);
  const startMs = performance.now();
  for (let sent = 0; sent < records;) {
    const key = keys === 0 ? undefined : `key-${sent % keys}`;
    const partition = Math.floor(sent / RUN_RECORDS) % partitions;
    const value = values[sent & 63]!;
    if (producer.offer({ topic, value, partition, ...(key !== undefined && { key }) })) sent += 1;
    else await producer.ready();
  }
  await producer.flush();
  report({ kind: 'filled', seconds: (performance.now() - startMs) / 1e3 });
}

async function read({ server, topic, records, group }: ReadOrder): Promise<void> {
  await using client = await dial(server);
  await using reader: AsyncDisposable & { batches(): AsyncIterable<ReceivedBatch> } =
    group === undefined
      ? await client.subscribe(topic, { from: 'earliest' })
      : client.group(group, { topics: [topic], from: 'earliest' });
  let got = 0;
  let bytes = 0;
  let startMs = 0;
  let startCpu = process.cpuUsage();
  for await (const batch of reader.batches()) {
    if (startMs === 0) {
      startMs = performance.now();
      startCpu = process.cpuUsage();
    }
    batch.forEach((record) => {
      got += 1;
      bytes += record.value!.length;
    });
    if (got >= records) break;
  }
  if (got !== records || bytes === 0) throw new Error(`${got} records came, not ${records}`);
  const { user, system } = process.cpuUsage(startCpu);
  report({ kind: 'read', seconds: (performance.now() - startMs) / 1e3, cpuSeconds: (user + system) / 1e6 });
}

let stopped: (() => void) | undefined;

async function pace({ server, topic, partitions, rate, bytes }: PaceOrder): Promise<void> {
  await using client = await dial(server);
  const producer = client.producer();
  let over = false;
  stopped = () => (over = true);
  const startMs = performance.now();
  let sent = 0;
  report({ kind: 'pacing' });
  while (!over) {
    const due = ((performance.now() - startMs) * rate) / 1e3;
    for (; sent < due; sent += 1) {
      const value = Buffer.alloc(bytes, 120);
      stamp(value);
      if (!producer.offer({ topic, value, partition: sent % partitions })) await producer.ready();
    }
    await pause(1);
  }
  await producer.flush();
  report({ kind: 'paced', records: sent });
}

async function lag(order: LagOrder): Promise<void> {
  const { server, topic, connections, subscriptions, records } = order;
  const clients = await Promise.all(Array.from({ length: connections }, () => dial(server)));
  const subscribed: Subscription[] = [];
  for (let n = 0; n < subscriptions; n += 1) {
    const from = Math.floor((n * records) / subscriptions);
    const client = clients[n % connections]!;
    subscribed.push(await client.subscribe(topic, { from, bufferBytes: LAGGARD_BUFFER_BYTES, paused: true }));
  }
  const rate = order.bytesPerSecond === undefined ? undefined : order.bytesPerSecond / subscriptions;
  let bytes = 0;
  const startMs = performance.now();
  const over = new Promise<void>((resolve) => (stopped = resolve));
  const readers = subscribed.map((subscription, n) =>
    crawl(subscription, rate, n / subscriptions, (read) => (bytes += read)),
  );
  report({ kind: 'lagging' });
  await Promise.race([over, Promise.all(readers)]);
  const seconds = (performance.now() - startMs) / 1e3;
  report({ kind: 'lagged', bytes, seconds });
  await Promise.all(clients.map((client) => client.close()));
  await Promise.allSettled(readers);
}

/** Reads on at `rate` bytes per second. @param phase when in the time of a batch it begins, so that not all do at once */
async function crawl(
  subscription: Subscription,
  rate: number | undefined,
  phase: number,
  onRead: (bytes: number) => void,
): Promise<void> {
  let startMs = performance.now();
  let bytes = 0;
  subscription.resume();
  for await (const batch of subscription.batches()) {
    onRead(batch.sizeBytes);
    bytes += batch.sizeBytes;
    if (rate === undefined) continue;
    if (bytes === batch.sizeBytes) startMs -= (phase * 1e3 * bytes) / rate;
    await pause(Math.max(0, startMs + (bytes * 1e3) / rate - performance.now()));
  }
}

async function obey(order: LogOrder): Promise<void> {
  if (order.kind === 'fill') await fill(order);
  else if (order.kind === 'read') await read(order);
  else if (order.kind === 'pace') await pace(order);
  else if (order.kind === 'lag') await lag(order);
  else stopped?.();
}

process.on('message', (order: LogOrder) => {
  obey(order).catch((error: unknown) => {
    report({
      kind: 'failed',
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  });
});
process.on('disconnect', () => process.exit(0));

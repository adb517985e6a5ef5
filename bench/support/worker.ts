/**
 * A load generating process: takes orders over IPC, one at a time, and reports.
 *
 *     subscribe  N connections to one topic; reports `subscribed`, `progress` and, when all has arrived, `received`
 *     publish    a closed loop: at most `windowRecords` ahead of the slowest subscriber; reports `published`
 *     pace       a fixed rate; reports `published`
 *     idle       connections with subscriptions that nothing is published to; reports `subscribed`
 */
import type { BenchClient, BenchSubscription, ClientOptions, ServerAddress } from '../adapters/adapter.ts';
import { adapterOf } from '../adapters/load-adapter.ts';
import type { PayloadKind } from './payload.ts';
import { ageMs, payloads, stamp } from './payload.ts';

interface SubscribeOrder {
  readonly kind: 'subscribe';
  readonly server: ServerAddress;
  readonly options: ClientOptions;
  readonly connections: number;
  /** Each connection subscribes to each of them. */
  readonly topics: readonly string[];
  /** Records per connection and topic after which it is done. */
  readonly records: number;
  /** Record the age of each value of these topics; others are only counted. */
  readonly timed: readonly string[];
  /** Topics that are not read for a while. */
  readonly stalls?: { readonly topics: readonly string[]; readonly afterMs: number; readonly forMs: number };
  /** Give up waiting this long after the last record; what is missing is lost. */
  readonly quietMs: number;
  /** Give up waiting this long after subscribing in any case. Default: never. */
  readonly deadlineMs?: number;
}

interface PublishOrder {
  readonly kind: 'publish';
  readonly server: ServerAddress;
  readonly options: ClientOptions;
  readonly topic: string;
  readonly payload: PayloadKind;
  readonly bytes: number;
  readonly records: number;
  readonly windowRecords: number;
}

interface PaceOrder {
  readonly kind: 'pace';
  readonly server: ServerAddress;
  readonly options: ClientOptions;
  readonly topics: readonly string[];
  readonly bytes: number;
  /** Records per second, in all. */
  readonly rate: number;
  readonly records: number;
}

export type Order =
  | SubscribeOrder
  | PublishOrder
  | PaceOrder
  /** To a publisher: the slowest subscriber has so many. */
  | { readonly kind: 'progress'; readonly done: number };

export type Report =
  | { readonly kind: 'subscribed' }
  | { readonly kind: 'progress'; readonly done: number }
  | {
      readonly kind: 'received';
      /** Over all connections and topics. */
      readonly records: number;
      /** From the first record to the last. */
      readonly seconds: number;
      readonly cpuSeconds: number;
      /** Milliseconds, per timed topic. */
      readonly ages: Readonly<Record<string, readonly number[]>>;
      readonly perTopic: Readonly<Record<string, number>>;
    }
  | { readonly kind: 'published'; readonly seconds: number; readonly cpuSeconds: number }
  | { readonly kind: 'failed'; readonly message: string };

const PROGRESS_MS = 2;
/** What a publisher sends in one turn of its event loop. */
const TURN_BYTES = 256 * 1024;
const report = (message: Report): void => {
  process.send!(message);
};
const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const DIAL_ATTEMPTS = 5;
const DIALS_TOGETHER = 10;
let clients: BenchClient[] = [];
let farthest = 0;

/** Connects; a handshake may fail on a link that loses packets, which is not what is measured. */
async function dial(server: ServerAddress, options: ClientOptions): Promise<BenchClient> {
  const adapter = await adapterOf(server.system);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const client = await adapter.connect(server, options);
      clients.push(client);
      return client;
    } catch (error) {
      if (attempt === DIAL_ATTEMPTS) throw error;
    }
  }
}

async function subscribe(order: SubscribeOrder): Promise<void> {
  const wanted = order.records;
  const counts: { topic: string; got: number }[] = [];
  const ages: Record<string, number[]> = Object.fromEntries(order.timed.map((topic) => [topic, []]));
  const stalled: BenchSubscription[] = [];
  let firstMs = 0;
  let lastMs = 0;
  let startCpu = 0;
  let complete = 0;
  const open = async (): Promise<void> => {
    const client = await dial(order.server, order.options);
    for (const topic of order.topics) {
      const count = { topic, got: 0 };
      counts.push(count);
      const times = ages[topic];
      const subscription = await client.subscribe(topic, (value) => {
        count.got += 1;
        if (firstMs === 0) {
          firstMs = performance.now();
          startCpu = cpuSeconds();
        }
        if (times !== undefined) times.push(ageMs(value));
        if (count.got === wanted) complete += 1;
        // Looking at the clock for every record would be measured too.
        if (count.got === wanted || (count.got & 255) === 0 || times !== undefined)
          lastMs = performance.now();
      });
      if (order.stalls?.topics.includes(topic)) stalled.push(subscription);
    }
  };
  for (let n = 0; n < order.connections; n += DIALS_TOGETHER) {
    const count = Math.min(DIALS_TOGETHER, order.connections - n);
    await Promise.all(Array.from({ length: count }, open));
  }
  const deadlineMs = performance.now() + (order.deadlineMs ?? Infinity);
  report({ kind: 'subscribed' });
  if (order.stalls !== undefined) {
    const { afterMs, forMs } = order.stalls;
    setTimeout(() => {
      for (const one of stalled) one.stall();
    }, afterMs);
    setTimeout(() => {
      for (const one of stalled) one.resume();
    }, afterMs + forMs);
  }
  let told = -1;
  while (complete < counts.length) {
    await pause(PROGRESS_MS);
    const least = counts.reduce((low, { got }) => Math.min(low, got), Infinity);
    if (least !== told) report({ kind: 'progress', done: least });
    told = least;
    if (lastMs > 0 && performance.now() - lastMs > order.quietMs) break;
    if (performance.now() > deadlineMs) break;
  }
  const perTopic: Record<string, number> = {};
  for (const { topic, got } of counts) perTopic[topic] = (perTopic[topic] ?? 0) + got;
  report({
    kind: 'received',
    records: counts.reduce((sum, { got }) => sum + got, 0),
    seconds: (lastMs - firstMs) / 1e3,
    cpuSeconds: cpuSeconds() - startCpu,
    ages,
    perTopic,
  });
}

async function publish(order: PublishOrder): Promise<void> {
  const client = await dial(order.server, order.options);
  const values = payloads(order.payload, order.bytes);
  const startMs = performance.now();
  const startCpu = cpuSeconds();
  const recordsATurn = Math.max(1, Math.floor(TURN_BYTES / order.bytes));
  farthest = 0;
  for (let sent = 0; sent < order.records;) {
    if (sent - farthest >= order.windowRecords) {
      await client.ready();
      await pause(0);
      continue;
    }
    if (client.publish(order.topic, values[sent & 63]!)) sent += 1;
    else if (order.server.system === 'sluice') await client.ready();
    else {
      // The others have taken the record and ask to wait before the next one.
      sent += 1;
      await client.ready();
    }
    // A program that sends lets its event loop turn now and then: progress, and what the broker says, comes in.
    if (sent % recordsATurn === 0) await new Promise(setImmediate);
  }
  await client.flush();
  report({
    kind: 'published',
    seconds: (performance.now() - startMs) / 1e3,
    cpuSeconds: cpuSeconds() - startCpu,
  });
}

async function pace(order: PaceOrder): Promise<void> {
  const client = await dial(order.server, order.options);
  const startMs = performance.now();
  const startCpu = cpuSeconds();
  for (let sent = 0; sent < order.records; sent += 1) {
    const dueMs = startMs + (sent * 1e3) / order.rate;
    // A timer comes up to a millisecond late, which is no part of what is measured; spinning would take a core from what is.
    for (let early = dueMs - performance.now(); early > 0; early = dueMs - performance.now()) {
      await pause(Math.max(1, Math.floor(early)));
    }
    const value = Buffer.alloc(order.bytes, 120);
    stamp(value);
    client.publish(order.topics[sent % order.topics.length]!, value);
  }
  await client.flush();
  report({
    kind: 'published',
    seconds: (performance.now() - startMs) / 1e3,
    cpuSeconds: cpuSeconds() - startCpu,
  });
}

async function obey(order: Order): Promise<void> {
  if (order.kind === 'subscribe') await subscribe(order);
  else if (order.kind === 'publish') await publish(order);
  else if (order.kind === 'pace') await pace(order);
  else {
    farthest = order.done;
    return;
  }
  const finished = clients;
  clients = [];
  await Promise.allSettled(finished.map((client) => client.close()));
}

process.on('message', (order: Order) => {
  obey(order).catch((error: unknown) => {
    report({
      kind: 'failed',
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  });
});
process.on('disconnect', () => process.exit(0));

/**
 * A process that publishes to, or reads from, a server that stores: takes orders over IPC, one at a time, and reports.
 *
 *     create     makes the topic, stream or queue; reports `created`
 *     fill       publishes so many records, as fast as they are acknowledged; reports `filled`
 *     publish    keeps `inFlight` records unacknowledged; reports `measuring` once it is warm, then `published`
 *     consume    reads from the beginning and acknowledges; reports `consumed`
 */
import type { DurableAddress, DurableClient, Storage } from '../adapters/durable/adapter.ts';
import { durableAdapterOf } from '../adapters/durable/load-adapter.ts';
import { payloads } from './payload.ts';
import type { Latency } from './statistics.ts';
import { latencyOf } from './statistics.ts';

interface Target {
  readonly server: DurableAddress;
  readonly name: string;
}

interface PublishOrder extends Target {
  readonly kind: 'publish';
  readonly bytes: number;
  readonly inFlight: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

interface FillOrder extends Target {
  readonly kind: 'fill';
  readonly bytes: number;
  readonly records: number;
}

interface ConsumeOrder extends Target {
  readonly kind: 'consume';
  readonly records: number;
}

interface CreateOrder extends Target {
  readonly kind: 'create';
  readonly storage: Storage;
}

export type DurableOrder = CreateOrder | FillOrder | PublishOrder | ConsumeOrder;

export type DurableReport =
  | { readonly kind: 'created' }
  | { readonly kind: 'filled' }
  | { readonly kind: 'measuring' }
  | {
      readonly kind: 'published';
      /** Acknowledged while it was measured. */
      readonly records: number;
      /** Acknowledged since the process began. */
      readonly allRecords: number;
      readonly seconds: number;
      readonly cpuSeconds: number;
      /** From publishing to the acknowledgement. */
      readonly latency: Latency;
    }
  | {
      readonly kind: 'consumed';
      readonly records: number;
      /** From the first record to the last acknowledgement. */
      readonly seconds: number;
      readonly cpuSeconds: number;
    }
  | { readonly kind: 'failed'; readonly message: string };

const FILL_IN_FLIGHT = 1_000;
/** Every so many records one is timed. */
const TIMED_EVERY = 16;

const report = (message: DurableReport): void => {
  process.send!(message);
};
const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let connected: DurableClient | undefined;
let allRecords = 0;

async function client(server: DurableAddress): Promise<DurableClient> {
  connected ??= await (await durableAdapterOf(server.system)).connect(server);
  return connected;
}

async function fill(order: FillOrder): Promise<void> {
  const to = await client(order.server);
  const values = payloads('random', order.bytes);
  let sent = 0;
  const lane = async (): Promise<void> => {
    while (sent < order.records) {
      sent += 1;
      await to.publish(order.name, values[sent & 63]!);
    }
  };
  await Promise.all(Array.from({ length: FILL_IN_FLIGHT }, lane));
  report({ kind: 'filled' });
}

async function publish(order: PublishOrder): Promise<void> {
  const { name, inFlight } = order;
  const to = await client(order.server);
  const values = payloads('random', order.bytes);
  let times: number[] = [];
  let acknowledged = 0;
  let sent = 0;
  let over = false;
  const lane = async (): Promise<void> => {
    while (!over) {
      const timed = inFlight === 1 || sent % TIMED_EVERY === 0;
      const value = values[sent & 63]!;
      sent += 1;
      const startMs = timed ? performance.now() : 0;
      await to.publish(name, value);
      acknowledged += 1;
      if (timed) times.push(performance.now() - startMs);
    }
  };
  const lanes = Promise.all(Array.from({ length: inFlight }, lane));
  // Never by itself: a lane that fails ends the wait.
  await Promise.race([lanes, pause(order.warmUpMs)]);
  report({ kind: 'measuring' });
  times = [];
  const startMs = performance.now();
  const startCpu = cpuSeconds();
  const before = acknowledged;
  await Promise.race([lanes, pause(order.measureMs)]);
  const seconds = (performance.now() - startMs) / 1e3;
  const cpu = cpuSeconds() - startCpu;
  const records = acknowledged - before;
  const latency = latencyOf(times);
  over = true;
  await lanes;
  allRecords += acknowledged;
  report({ kind: 'published', records, allRecords, seconds, cpuSeconds: cpu, latency });
}

async function consume(order: ConsumeOrder): Promise<void> {
  const from = await client(order.server);
  let startMs = 0;
  let startCpu = 0;
  let bytes = 0;
  await from.consume(order.name, order.records, (value) => {
    if (startMs === 0) {
      startMs = performance.now();
      startCpu = cpuSeconds();
    }
    bytes += value.length;
  });
  if (bytes === 0) throw new Error(`${order.server.system}: nothing came back`);
  report({
    kind: 'consumed',
    records: order.records,
    seconds: (performance.now() - startMs) / 1e3,
    cpuSeconds: cpuSeconds() - startCpu,
  });
}

async function obey(order: DurableOrder): Promise<void> {
  if (order.kind === 'publish') return publish(order);
  if (order.kind === 'consume') return consume(order);
  if (order.kind === 'fill') return fill(order);
  await (await client(order.server)).create(order.name, order.storage);
  report({ kind: 'created' });
}

process.on('message', (order: DurableOrder) => {
  obey(order).catch((error: unknown) => {
    report({
      kind: 'failed',
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  });
});
process.on('disconnect', () => process.exit(0));

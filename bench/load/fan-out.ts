import type { ClientOptions, SystemName } from '../adapters/adapter.ts';
import type { PayloadKind } from '../support/payload.ts';
import { Worker } from '../support/processes.ts';
import { BenchServer } from '../support/servers.ts';

/** One publisher, N subscribers with a connection each, as fast as it goes without losing anything. */
export interface FanOut {
  readonly subscribers: number;
  readonly bytes: number;
  readonly payload: PayloadKind;
  readonly options: ClientOptions;
  /** Records delivered to all subscribers together in one run. */
  readonly deliveries: number;
}

export interface FanOutSample {
  /** Records per second delivered to all subscribers together. */
  readonly deliveredPerSecond: number;
  readonly megabytesPerSecond: number;
  /** Cores used while records were delivered. */
  readonly brokerCores: number;
  readonly subscriberCores: number;
  readonly publisherCores: number;
  readonly brokerRssMiB: number;
}

/** Bytes that a publisher may be ahead of the slowest subscriber: less than any broker buffers. */
const WINDOW_BYTES = 16 * 1024 * 1024;
const QUIET_MS = 10_000;

/** Runs it once against a fresh server. @throws Error when a record is missing */
export async function runFanOut(system: SystemName, scenario: FanOut): Promise<FanOutSample> {
  await using server = await BenchServer.start(system);
  await using subscriber = new Worker();
  await using publisher = new Worker();
  const { options, bytes, payload } = scenario;
  const records = Math.ceil(scenario.deliveries / scenario.subscribers);
  const shared = { server: server.address, options };
  const subscribed = subscriber.next('subscribed');
  subscriber.tell({
    ...{ kind: 'subscribe', ...shared, topics: ['bench'], timed: [], records, quietMs: QUIET_MS },
    connections: scenario.subscribers,
  });
  await subscribed;
  subscriber.onProgress = (done) => publisher.tell({ kind: 'progress', done });
  const before = server.usage();
  const received = subscriber.next('received');
  const published = publisher.next('published');
  const windowRecords = Math.max(64, Math.floor(WINDOW_BYTES / bytes));
  publisher.tell({ kind: 'publish', ...shared, topic: 'bench', payload, bytes, records, windowRecords });
  const [got, sent] = await Promise.all([received, published]);
  const after = server.usage();
  const expected = records * scenario.subscribers;
  if (got.records !== expected)
    throw new Error(`${system}: ${expected - got.records} of ${expected} records are missing`);
  return {
    deliveredPerSecond: got.records / got.seconds,
    megabytesPerSecond: (got.records * bytes) / got.seconds / 1e6,
    brokerCores: (after.cpuSeconds - before.cpuSeconds) / got.seconds,
    subscriberCores: got.cpuSeconds / got.seconds,
    publisherCores: sent.cpuSeconds / sent.seconds,
    brokerRssMiB: after.rssBytes / 1024 / 1024,
  };
}

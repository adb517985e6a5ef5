import { Worker } from '../support/processes.ts';
import type { BenchServer as Server } from '../support/servers.ts';
import { BenchServer } from '../support/servers.ts';
import { LogWorker, fillTopic } from '../support/sluice-logs.ts';
import type { Latency } from '../support/statistics.ts';
import { latencyOf } from '../support/statistics.ts';

/** Many subscriptions at different offsets of a topic on disk, beside one that reads its end. */
export interface Laggards {
  readonly totalBytes: number;
  readonly subscriptions: number;
  /** What the laggards read together in the second measurement; in the third it is all they can. */
  readonly bytesPerSecond: number;
  /** Of each measurement. */
  readonly seconds: number;
}

/** Of the subscription at the end, and what the broker does meanwhile. */
export interface TailSample extends Latency {
  readonly laggardsMBPerSecond: number;
  readonly brokerCores: number;
  readonly brokerRssMiB: number;
}

export interface LaggardsSample {
  readonly alone: TailSample;
  readonly slowLaggards: TailSample;
  readonly fastLaggards: TailSample;
}

const TOPIC = 'bench';
const FILL_BYTES = 1024;
/** Small batches: the laggards are at very many places and read a little of each. */
const BATCH_BYTES = 16 * 1024;
const CONNECTIONS = 20;
const TAIL_BYTES = 128;
const TAIL_RATE = 500;
const WARM_UP = 100;
const QUIET_MS = 10_000;

/** Runs it once; the broker is started anew after filling, so that it has nothing of the topic in memory. */
export async function runLaggards(scenario: Laggards): Promise<LaggardsSample> {
  await using server = await BenchServer.start('sluice');
  const records = Math.ceil(scenario.totalBytes / FILL_BYTES);
  await fillTopic(
    server,
    TOPIC,
    { storage: 'disk', flush: 'always', retentionBytes: 0 },
    { partitions: 1, records, bytes: FILL_BYTES, batchBytes: BATCH_BYTES },
  );
  await server.process.stop();
  await server.process.restart();
  const { seconds, subscriptions, bytesPerSecond } = scenario;
  const alone = { ...(await measureTail(server, seconds)), laggardsMBPerSecond: 0 };
  const beside = async (rate: number | undefined): Promise<TailSample> => {
    await using laggards = new LogWorker();
    const lagging = laggards.next('lagging');
    laggards.tell({
      ...{ kind: 'lag', server: server.address, topic: TOPIC, records, subscriptions },
      ...{ connections: CONNECTIONS, bytesPerSecond: rate },
    });
    await lagging;
    const tail = await measureTail(server, seconds);
    const lagged = laggards.next('lagged');
    laggards.tell({ kind: 'stop' });
    const read = await lagged;
    return { ...tail, laggardsMBPerSecond: read.bytes / read.seconds / 1e6 };
  };
  return { alone, slowLaggards: await beside(bytesPerSecond), fastLaggards: await beside(undefined) };
}

/** One-way latency of records at a fixed rate, each on the disk before it is delivered. @throws Error when one is missing */
async function measureTail(
  server: Server,
  seconds: number,
): Promise<Omit<TailSample, 'laggardsMBPerSecond'>> {
  await using subscriber = new Worker();
  await using publisher = new Worker();
  const shared = { server: server.address, options: {}, topics: [TOPIC] };
  const records = Math.ceil(TAIL_RATE * seconds) + WARM_UP;
  const subscribed = subscriber.next('subscribed');
  subscriber.tell({
    ...{ kind: 'subscribe', ...shared, timed: [TOPIC], connections: 1, records, quietMs: QUIET_MS },
  });
  await subscribed;
  const before = server.usage();
  const startMs = performance.now();
  const received = subscriber.next('received');
  publisher.tell({ kind: 'pace', ...shared, bytes: TAIL_BYTES, rate: TAIL_RATE, records });
  const { ages } = await received;
  const after = server.usage();
  const times = ages[TOPIC]!;
  if (times.length !== records) throw new Error(`${records - times.length} records of the tail are missing`);
  return {
    ...latencyOf(times.slice(WARM_UP)),
    brokerCores: ((after.cpuSeconds - before.cpuSeconds) * 1e3) / (performance.now() - startMs),
    brokerRssMiB: after.rssBytes / 1024 / 1024,
  };
}

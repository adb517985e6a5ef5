import type { DurableSystem } from '../adapters/durable/adapter.ts';
import type { DurableServerOptions } from '../support/durable-servers.ts';
import { DurableServer } from '../support/durable-servers.ts';
import type { DurableOrder, DurableReport } from '../support/durable-worker.ts';
import { WorkerProcess } from '../support/processes.ts';

/** One publisher, one topic, one partition: records that count when the server has acknowledged them. */
export interface DurablePublish extends DurableServerOptions {
  readonly bytes: number;
  /** Records that are published and not acknowledged, of each run in turn. */
  readonly inFlight: readonly number[];
  readonly seconds: number;
  /** Records that are read back afterwards, at most what was published. 0: none. */
  readonly consume: number;
}

export interface DurablePublishSample {
  readonly inFlight: number;
  readonly acknowledgedPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly brokerCores: number;
  readonly publisherCores: number;
  readonly brokerRssMiB: number;
}

export interface DurableSample {
  readonly published: readonly DurablePublishSample[];
  /** Of a reader that acknowledges; undefined: not measured. */
  readonly consumedPerSecond: number | undefined;
}

const WORKER = new URL('../support/durable-worker.ts', import.meta.url);
const NAME = 'bench';
const WARM_UP_MS = 1_000;

/** Runs it once against a fresh server; all numbers of `inFlight` go to the same topic, one after the other. */
export async function runDurable(system: DurableSystem, scenario: DurablePublish): Promise<DurableSample> {
  await using server = await DurableServer.start(system, scenario);
  await using publisher = new WorkerProcess<DurableOrder, DurableReport>(WORKER);
  const target = { server: server.address, name: NAME };
  publisher.tell({ kind: 'create', ...target, storage: 'disk' });
  await publisher.next('created');
  const published: DurablePublishSample[] = [];
  let stored = 0;
  for (const inFlight of scenario.inFlight) {
    const { sample, allRecords } = await publish(server, publisher, scenario, inFlight);
    published.push(sample);
    stored = allRecords;
  }
  if (scenario.consume === 0) return { published, consumedPerSecond: undefined };
  await using consumer = new WorkerProcess<DurableOrder, DurableReport>(WORKER);
  consumer.tell({ kind: 'consume', ...target, records: Math.min(stored, scenario.consume) });
  const { records, seconds } = await consumer.next('consumed');
  return { published, consumedPerSecond: records / seconds };
}

async function publish(
  server: DurableServer,
  publisher: WorkerProcess<DurableOrder, DurableReport>,
  { bytes, seconds }: DurablePublish,
  inFlight: number,
): Promise<{ readonly sample: DurablePublishSample; readonly allRecords: number }> {
  const measuring = publisher.next('measuring');
  const done = publisher.next('published');
  publisher.tell({
    ...{ kind: 'publish', server: server.address, name: NAME, bytes, inFlight },
    ...{ warmUpMs: Math.min(WARM_UP_MS, seconds * 1e3), measureMs: seconds * 1e3 },
  });
  await measuring;
  const before = server.usage();
  const result = await done;
  const after = server.usage();
  const { allRecords, latency } = result;
  const sample = {
    inFlight,
    acknowledgedPerSecond: result.records / result.seconds,
    p50Ms: latency.p50Ms,
    p99Ms: latency.p99Ms,
    brokerCores: (after.cpuSeconds - before.cpuSeconds) / result.seconds,
    publisherCores: result.cpuSeconds / result.seconds,
    brokerRssMiB: after.rssBytes / 1024 / 1024,
  };
  return { sample, allRecords };
}

import type { DurableSystem, Storage } from '../adapters/durable/adapter.ts';
import type { DurableServerOptions } from '../support/durable-servers.ts';
import { DurableServer } from '../support/durable-servers.ts';
import type { DurableOrder, DurableReport } from '../support/durable-worker.ts';
import { WorkerProcess } from '../support/processes.ts';

/** One consumer empties a queue that is full already, and acknowledges every record by itself. */
export interface QueueConsumption extends DurableServerOptions {
  readonly storage: Storage;
  readonly bytes: number;
  readonly records: number;
  /** Sluice: of the batches that the records come in; undefined: the SDK's. */
  readonly batchBytes?: number | undefined;
}

/** Bytes with which each record is a batch of its own, as jobs that come one by one are. */
export const SINGLE_RECORDS = 200;

export interface QueueSample {
  /** From the first record to the last acknowledgement; with Sluice until that is stored. */
  readonly consumedPerSecond: number;
  readonly brokerCores: number;
  readonly consumerCores: number;
  readonly brokerRssMiB: number;
}

const WORKER = new URL('../support/durable-worker.ts', import.meta.url);
const NAME = 'bench';

/** Runs it once against a fresh server. */
export async function runQueue(system: DurableSystem, scenario: QueueConsumption): Promise<QueueSample> {
  const { storage, bytes, records, batchBytes } = scenario;
  await using server = await DurableServer.start(system, scenario);
  const target = { server: { ...server.address, batchBytes }, name: NAME };
  {
    await using publisher = new WorkerProcess<DurableOrder, DurableReport>(WORKER);
    publisher.tell({ kind: 'create', ...target, storage });
    await publisher.next('created');
    publisher.tell({ kind: 'fill', ...target, bytes, records });
    await publisher.next('filled');
  }
  await using consumer = new WorkerProcess<DurableOrder, DurableReport>(WORKER);
  const consumed = consumer.next('consumed');
  const before = server.usage();
  consumer.tell({ kind: 'consume', ...target, records });
  const { seconds, cpuSeconds } = await consumed;
  const after = server.usage();
  return {
    consumedPerSecond: records / seconds,
    brokerCores: (after.cpuSeconds - before.cpuSeconds) / seconds,
    consumerCores: cpuSeconds / seconds,
    brokerRssMiB: after.rssBytes / 1024 / 1024,
  };
}

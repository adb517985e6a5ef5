import type { Client, TopicSettingsChange } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import type { LogOrder, LogReport } from './log-worker.ts';
import { WorkerProcess } from './processes.ts';
import type { BenchServer } from './servers.ts';

const LOG_WORKER = new URL('log-worker.ts', import.meta.url);

/** What a topic is filled with. */
export interface Filling {
  readonly partitions: number;
  readonly records: number;
  /** Of each value. */
  readonly bytes: number;
  /** Default 0: no keys. */
  readonly keys?: number;
  /** Default: the SDK's. */
  readonly batchBytes?: number;
}

/** A process that fills and reads logs. */
export class LogWorker extends WorkerProcess<LogOrder, LogReport> {
  constructor() {
    super(LOG_WORKER);
  }
}

/** A client of the broker in this process; the caller closes it. */
export function clientOf({ address: { host, port, caFile } }: BenchServer): Promise<Client> {
  return connect(`quic://${host}:${port}`, { ca: caFile });
}

/** Makes a topic without bounds and fills it from a process of its own. */
export async function fillTopic(
  server: BenchServer,
  topic: string,
  settings: TopicSettingsChange,
  filling: Filling,
): Promise<void> {
  {
    await using client = await clientOf(server);
    await client.admin.createTopic({ name: topic, partitions: filling.partitions, settings });
  }
  await using worker = new LogWorker();
  const filled = worker.next('filled');
  worker.tell({ kind: 'fill', server: server.address, topic, keys: 0, ...filling });
  await filled;
}

/** Records that the topic ever took, in all partitions. */
export async function recordsOf(server: BenchServer, topic: string): Promise<number> {
  await using client = await clientOf(server);
  const { partitions } = await client.admin.describeTopic(topic);
  return partitions.reduce((sum, { logEnd }) => sum + logEnd, 0);
}

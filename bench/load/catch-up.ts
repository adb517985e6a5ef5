import { join } from 'node:path';
import { dropPageCache } from '../support/disk.ts';
import { BenchServer } from '../support/servers.ts';
import { LogWorker, fillTopic } from '../support/sluice-logs.ts';

/** One subscriber reads a topic from its beginning while nothing is published. */
export interface CatchUp {
  /** `cold`: a topic on disk of which the operating system holds nothing in memory either. */
  readonly from: 'memory' | 'disk' | 'cold';
  /** Of the topic. */
  readonly totalBytes: number;
}

export interface CatchUpSample {
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly brokerCores: number;
  readonly subscriberCores: number;
  readonly brokerRssMiB: number;
}

const TOPIC = 'bench';
const BYTES = 1024;

/** Runs it once. The broker is started anew between filling and reading a topic on disk, so that it has nothing of it in memory. */
export async function runCatchUp({ from, totalBytes }: CatchUp): Promise<CatchUpSample> {
  await using server = await BenchServer.start('sluice');
  const records = Math.ceil(totalBytes / BYTES);
  const settings =
    from === 'memory'
      ? ({ storage: 'memory', retentionBytes: 2 * totalBytes } as const)
      : ({ storage: 'disk', flush: 'interval', retentionBytes: 0 } as const);
  await fillTopic(server, TOPIC, settings, { partitions: 1, records, bytes: BYTES });
  if (from !== 'memory') {
    await server.process.stop();
    if (from === 'cold') dropPageCache(join(server.process.place.folder, 'data'));
    await server.process.restart();
  }
  await using subscriber = new LogWorker();
  const read = subscriber.next('read');
  const before = server.usage();
  subscriber.tell({ kind: 'read', server: server.address, topic: TOPIC, records });
  const { seconds, cpuSeconds } = await read;
  const after = server.usage();
  return {
    recordsPerSecond: records / seconds,
    megabytesPerSecond: totalBytes / seconds / 1e6,
    brokerCores: (after.cpuSeconds - before.cpuSeconds) / seconds,
    subscriberCores: cpuSeconds / seconds,
    brokerRssMiB: after.rssBytes / 1024 / 1024,
  };
}

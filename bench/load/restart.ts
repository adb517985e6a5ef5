import { join } from 'node:path';
import { dropPageCache } from '../support/disk.ts';
import { BenchServer } from '../support/servers.ts';
import { LogWorker, fillTopic, recordsOf } from '../support/sluice-logs.ts';

/** A broker that is killed while it is published to, and started again. */
export interface Restart {
  /** On disk in all, in records of 1 KiB; 0: no topic and nothing published. */
  readonly totalBytes: number;
  readonly partitions: number;
  /** How often it is killed. */
  readonly kills: number;
  /** Whether the operating system holds nothing of the files in memory, as after a crash of the machine. */
  readonly cold: boolean;
}

export interface RestartSample {
  /** From starting the process until it says that clients may come. */
  readonly readyMs: number;
  readonly readyRssMiB: number;
  /** Some seconds later. */
  readonly settledRssMiB: number;
  /** Before it was killed, after everything had been published. */
  readonly killedRssMiB: number;
  readonly startCpuSeconds: number;
}

const TOPIC = 'bench';
const BYTES = 1024;
/** Time of publishing before each kill. */
const PUBLISH_MS = 1_000;
const SETTLE_MS = 3_000;
const MiB = 1024 * 1024;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Fills a topic once and kills the broker again and again. @throws Error when an acknowledged record is gone */
export async function runRestart({ totalBytes, partitions, kills, cold }: Restart): Promise<RestartSample[]> {
  await using server = await BenchServer.start('sluice');
  const records = Math.ceil(totalBytes / BYTES);
  const settings = { storage: 'disk', flush: 'always', retentionBytes: 0 } as const;
  if (records > 0) await fillTopic(server, TOPIC, settings, { partitions, records, bytes: BYTES });
  const samples: RestartSample[] = [];
  for (let n = 0; n < kills; n += 1) {
    await using publisher = new LogWorker();
    if (records > 0) {
      const endless = { partitions, records: Infinity, bytes: BYTES, keys: 0 };
      publisher.tell({ kind: 'fill', server: server.address, topic: TOPIC, ...endless });
    }
    await pause(PUBLISH_MS);
    const killedRssMiB = server.usage().rssBytes / MiB;
    await server.process.kill();
    await publisher[Symbol.asyncDispose]();
    if (cold) dropPageCache(join(server.process.place.folder, 'data'));
    const readyMs = await server.process.restart();
    const ready = server.usage();
    if (records > 0) await checkRecords(server, records);
    await pause(SETTLE_MS);
    const settledRssMiB = server.usage().rssBytes / MiB;
    const readyRssMiB = ready.rssBytes / MiB;
    samples.push({ readyMs, readyRssMiB, settledRssMiB, killedRssMiB, startCpuSeconds: ready.cpuSeconds });
  }
  return samples;
}

async function checkRecords(server: BenchServer, atLeast: number): Promise<void> {
  const records = await recordsOf(server, TOPIC);
  if (records < atLeast) throw new Error(`${atLeast - records} acknowledged records are gone`);
}

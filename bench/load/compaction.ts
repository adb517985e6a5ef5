import { BenchServer } from '../support/servers.ts';
import { clientOf, fillTopic } from '../support/sluice-logs.ts';

/** A topic of which, from some moment on, only the latest record of each key shall stay. */
export interface Compaction {
  readonly totalBytes: number;
  readonly keys: number;
}

export interface CompactionSample {
  /** Of the topic before, over the time until its last file was replaced. */
  readonly megabytesPerSecond: number;
  readonly recordsPerSecond: number;
  readonly brokerCores: number;
  readonly brokerRssMiB: number;
  /** Share of the bytes that was left; the newest segment is not compacted. */
  readonly left: number;
}

const TOPIC = 'bench';
const BYTES = 1024;
const POLL_MS = 100;
/** No file was replaced for so long: it is over. */
const QUIET_MS = 5_000;
const START_MS = 30_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs it once. @throws Error when nothing is compacted */
export async function runCompaction({ totalBytes, keys }: Compaction): Promise<CompactionSample> {
  await using server = await BenchServer.start('sluice');
  const records = Math.ceil(totalBytes / BYTES);
  await fillTopic(
    server,
    TOPIC,
    { storage: 'disk', flush: 'interval', retentionBytes: 0 },
    { partitions: 1, records, bytes: BYTES, keys },
  );
  await using client = await clientOf(server);
  const retained = async (): Promise<number> =>
    (await client.admin.describeTopic(TOPIC)).partitions[0]!.retainedBytes;
  const first = await retained();
  const before = server.usage();
  await client.admin.alterTopic({ name: TOPIC, settings: { cleanup: 'compact' } });
  const startMs = performance.now();
  let lastMs = startMs;
  let last = first;
  let after = before;
  for (;;) {
    await pause(POLL_MS);
    const now = await retained();
    const idleMs = performance.now() - lastMs;
    if (now !== last) {
      last = now;
      lastMs = performance.now();
      after = server.usage();
    } else if (last === first ? idleMs > START_MS : idleMs > QUIET_MS) break;
  }
  if (last >= first) throw new Error(`nothing was compacted within ${START_MS / 1e3} s`);
  const seconds = (lastMs - startMs) / 1e3;
  return {
    megabytesPerSecond: first / seconds / 1e6,
    recordsPerSecond: records / seconds,
    brokerCores: (after.cpuSeconds - before.cpuSeconds) / seconds,
    brokerRssMiB: after.rssBytes / 1024 / 1024,
    left: last / first,
  };
}

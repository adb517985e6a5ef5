import type { GroupOrder, GroupReport, Smoothness } from '../support/group-worker.ts';
import { WorkerProcess } from '../support/processes.ts';
import { BenchServer } from '../support/servers.ts';
import { LogWorker, clientOf } from '../support/sluice-logs.ts';

/** Many members of one group read while it is published at a fixed rate, and one of them leaves. */
export interface Rebalance {
  readonly members: number;
  readonly partitions: number;
  /** Records per second, in all partitions together. */
  readonly rate: number;
  /** What is watched before the member leaves, and from then on. */
  readonly watchMs: number;
}

/** What {@link runRebalance} measures; see `bench/support/group-worker.ts`. */
export interface RebalanceSample {
  /** From the first member's first request to balance. */
  readonly joinMs: number;
  readonly heldMs: number;
  readonly readMs: number;
  readonly moved: number;
  readonly taken: number;
  readonly before: Smoothness;
  readonly after: Smoothness;
  readonly brokerCores: number;
}

const GROUP_WORKER = new URL('../support/group-worker.ts', import.meta.url);
const TOPIC = 'bench';
const BYTES = 128;
/** Joining and the first commits are over by then. */
const SETTLE_MS = 3_000;

/** Runs it once against a fresh server. */
export async function runRebalance({
  members,
  partitions,
  rate,
  watchMs,
}: Rebalance): Promise<RebalanceSample> {
  await using server = await BenchServer.start('sluice');
  {
    await using client = await clientOf(server);
    await client.admin.createTopic({ name: TOPIC, partitions, settings: { storage: 'memory' } });
  }
  await using group = new WorkerProcess<GroupOrder, GroupReport>(GROUP_WORKER);
  const target = { server: server.address, topic: TOPIC, partitions };
  const joined = group.next('joined');
  group.tell({ kind: 'join', ...target, group: 'bench', members });
  const { ms: joinMs } = await joined;
  await using publisher = new LogWorker();
  const pacing = publisher.next('pacing');
  publisher.tell({ kind: 'pace', ...target, rate, bytes: BYTES });
  await pacing;
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const begin = { cpu: server.usage().cpuSeconds, ms: performance.now() };
  const rebalanced = group.next('rebalanced');
  group.tell({ kind: 'leave', watchMs });
  const sample = await rebalanced;
  const seconds = (performance.now() - begin.ms) / 1e3;
  const brokerCores = (server.usage().cpuSeconds - begin.cpu) / seconds;
  const paced = publisher.next('paced');
  publisher.tell({ kind: 'stop' });
  await paced;
  return { joinMs, ...sample, brokerCores };
}

import { BenchCluster } from '../support/bench-cluster.ts';
import type { ClusterOrder, ClusterReport } from '../support/cluster-worker.ts';
import { WorkerProcess } from '../support/processes.ts';
import { median } from '../support/statistics.ts';

/** Three nodes, three copies of each partition; one node is killed while it is published to all of them at another one. */
export interface Failover {
  readonly partitions: number;
  /** Whether the publisher goes to the leaders itself. */
  readonly direct: boolean;
}

/** Pauses are from the last acknowledgement of a partition before to the first one after. */
export interface FailoverSample {
  /** Until all partitions of the new topic were led, with all copies in sync. */
  readonly createMs: number;
  /** Partitions that the killed node led. */
  readonly moved: number;
  /** Shortest, median and longest pause of those. */
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly lastMs: number;
  /** Longest pause of all others. */
  readonly restMs: number;
}

const WORKER = new URL('../support/cluster-worker.ts', import.meta.url);
const TOPIC = 'bench';
const PAUSE_MS = 250;
const MiB = 1024 * 1024;
/** The lease, what comes after it, and some more. */
const WATCH_MS = 12_000;

/** Runs it once against fresh nodes. */
export async function runFailover({ partitions, direct }: Failover): Promise<FailoverSample> {
  await using cluster = await BenchCluster.start(3);
  const startMs = performance.now();
  const settings = { replicationFactor: 3, minInsync: 2, retentionBytes: MiB };
  const topic = await cluster.createTopic({
    ...{ name: TOPIC, partitions, settings: { ...settings, batchMaxBytes: MiB } },
  });
  const createMs = performance.now() - startMs;
  const victim = topic.partitions[0]!.leaderNodeId;
  const at = cluster.nodes.find(({ nodeId }) => nodeId !== victim)!.nodeId;
  await using publisher = new WorkerProcess<ClusterOrder, ClusterReport>(WORKER);
  const watching = publisher.next('watching');
  publisher.tell({
    ...{ kind: 'watch', server: cluster.addressOf(at), topic: TOPIC, pauseMs: PAUSE_MS, direct },
    partitions: topic.partitions.map(({ partition }) => partition),
  });
  await watching;
  const watched = publisher.next('watched');
  cluster.kill(victim);
  await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  publisher.tell({ kind: 'stop' });
  const { pausesMs } = await watched;
  const wasLed = (n: number): boolean => topic.partitions[n]!.leaderNodeId === victim;
  const moved = pausesMs.filter((_, n) => wasLed(n));
  return {
    createMs,
    moved: moved.length,
    firstMs: Math.min(...moved),
    p50Ms: median(moved),
    lastMs: Math.max(...moved),
    restMs: Math.max(...pausesMs.filter((_, n) => !wasLed(n))),
  };
}

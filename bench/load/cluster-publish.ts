import { BenchCluster } from '../support/bench-cluster.ts';
import type { ClusterOrder, ClusterReport } from '../support/cluster-worker.ts';
import { WorkerProcess } from '../support/processes.ts';

/** One publisher, partitions that one node leads, at that node or at another one, which forwards. */
export interface ClusterPublish {
  /** 1: a node on its own. */
  readonly nodes: number;
  /** Replication factor. */
  readonly copies: number;
  readonly storage: 'memory' | 'disk';
  /** `direct`: connected to another one, from where it goes to the leader itself. */
  readonly at: 'leader' | 'other' | 'direct';
  /** Partitions that are published to. */
  readonly partitions: number;
  readonly bytes: number;
  /** Size at which a batch is sent. */
  readonly batchBytes: number;
  /** Records of each partition that are published and not acknowledged. */
  readonly inFlight: number;
  readonly seconds: number;
}

export interface ClusterPublishSample {
  readonly recordsPerSecond: number;
  /** CPU time of all nodes together, microseconds per record. */
  readonly cpuMicrosPerRecord: number;
  readonly busiestCpuMicrosPerRecord: number;
  readonly publisherCpuMicrosPerRecord: number;
}

const WORKER = new URL('../support/cluster-worker.ts', import.meta.url);
const TOPIC = 'bench';
const MiB = 1024 * 1024;
/** Three nodes on two cores have compiled what is hot after that. */
const WARM_UP_SECONDS = 3;

/** Runs it once against fresh nodes. */
export async function runClusterPublish(scenario: ClusterPublish): Promise<ClusterPublishSample> {
  await using cluster = await BenchCluster.start(scenario.nodes);
  const { copies, storage, bytes, batchBytes, inFlight, seconds } = scenario;
  const topic = await cluster.createTopic({
    name: TOPIC,
    partitions: scenario.partitions * scenario.nodes,
    settings: {
      ...{ storage, replicationFactor: copies, minInsync: Math.min(copies, 2), retentionBytes: 64 * MiB },
    },
  });
  const leader = topic.partitions[0]!.leaderNodeId;
  const led = topic.partitions.filter(({ leaderNodeId }) => leaderNodeId === leader);
  const partitions = led.map(({ partition }) => partition).slice(0, scenario.partitions);
  const at =
    scenario.at === 'leader' ? leader : cluster.nodes.find(({ nodeId }) => nodeId !== leader)!.nodeId;
  await using publisher = new WorkerProcess<ClusterOrder, ClusterReport>(WORKER);
  const measuring = publisher.next('measuring');
  const published = publisher.next('published');
  publisher.tell({
    ...{
      kind: 'publish',
      server: cluster.addressOf(at),
      topic: TOPIC,
      partitions,
      bytes,
      batchBytes,
      inFlight,
    },
    ...{ direct: scenario.at === 'direct' },
    ...{ warmUpMs: Math.min(WARM_UP_SECONDS, seconds) * 1e3, measureMs: seconds * 1e3 },
  });
  await measuring;
  const before = cluster.usage();
  const { records, seconds: took, cpuSeconds } = await published;
  const used = cluster.usage().map((usage, n) => usage.cpuSeconds - before[n]!.cpuSeconds);
  const micros = (cpu: number): number => (cpu * 1e6) / records;
  return {
    recordsPerSecond: records / took,
    cpuMicrosPerRecord: micros(used.reduce((sum, one) => sum + one, 0)),
    busiestCpuMicrosPerRecord: micros(Math.max(...used)),
    publisherCpuMicrosPerRecord: micros(cpuSeconds),
  };
}

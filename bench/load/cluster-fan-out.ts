import { BenchCluster } from '../support/bench-cluster.ts';
import { Worker } from '../support/processes.ts';

/** One publisher at the node that leads the only copy of a partition, N subscribers there or at a node without a copy. */
export interface ClusterFanOut {
  readonly at: 'leader' | 'other';
  readonly subscribers: number;
  readonly bytes: number;
  /** Records delivered to all subscribers together. */
  readonly deliveries: number;
}

export interface ClusterFanOutSample {
  readonly deliveredPerSecond: number;
  /** CPU time of all nodes together, microseconds per record that was delivered. */
  readonly cpuMicrosPerDelivery: number;
}

const TOPIC = 'bench';
const WINDOW_BYTES = 16 * 1024 * 1024;
const QUIET_MS = 10_000;

/** Runs it once against fresh nodes. @throws Error when a record is missing */
export async function runClusterFanOut(scenario: ClusterFanOut): Promise<ClusterFanOutSample> {
  await using cluster = await BenchCluster.start(3);
  const topic = await cluster.createTopic({ name: TOPIC, partitions: 1, settings: { replicationFactor: 1 } });
  const leader = topic.partitions[0]!.leaderNodeId;
  const at =
    scenario.at === 'leader' ? leader : cluster.nodes.find(({ nodeId }) => nodeId !== leader)!.nodeId;
  await using subscriber = new Worker();
  await using publisher = new Worker();
  const { subscribers, bytes } = scenario;
  const records = Math.ceil(scenario.deliveries / subscribers);
  const subscribed = subscriber.next('subscribed');
  subscriber.tell({
    ...{ kind: 'subscribe', server: cluster.addressOf(at), options: {}, topics: [TOPIC], timed: [], records },
    ...{ connections: subscribers, quietMs: QUIET_MS },
  });
  await subscribed;
  subscriber.onProgress = (done) => publisher.tell({ kind: 'progress', done });
  const before = cluster.usage();
  const received = subscriber.next('received');
  const published = publisher.next('published');
  publisher.tell({
    ...{ kind: 'publish', server: cluster.addressOf(leader), options: {}, topic: TOPIC, payload: 'random' },
    ...{ bytes, records, windowRecords: Math.max(64, Math.floor(WINDOW_BYTES / bytes)) },
  });
  const [got] = await Promise.all([received, published]);
  const after = cluster.usage();
  const expected = records * subscribers;
  if (got.records !== expected)
    throw new Error(`${expected - got.records} of ${expected} records are missing`);
  const cpuSeconds = after.reduce((sum, usage, n) => sum + usage.cpuSeconds - before[n]!.cpuSeconds, 0);
  return {
    deliveredPerSecond: got.records / got.seconds,
    cpuMicrosPerDelivery: (cpuSeconds * 1e6) / got.records,
  };
}

import { runClusterFanOut } from './load/cluster-fan-out.ts';
import { runClusterPublish } from './load/cluster-publish.ts';
import type { ClusterPublishSample } from './load/cluster-publish.ts';
import { runFailover } from './load/failover.ts';
import type { Row } from './support/results.ts';
import { row, rowsOf } from './support/results.ts';

/** How the scenarios of clusters are run. */
export interface ClusterBenchOptions {
  readonly runs: number;
  /** A tenth of everything. */
  readonly quick: boolean;
}

const PUBLISH_UNITS: Partial<Record<keyof ClusterPublishSample, string>> = {
  ...{ recordsPerSecond: 'records/s', cpuMicrosPerRecord: 'µs of all nodes' },
  ...{ busiestCpuMicrosPerRecord: 'µs of the busiest node', publisherCpuMicrosPerRecord: 'µs' },
};

/** The scenarios of `npm run bench` that are about clusters, by name. */
export function clusterScenarios(
  options: ClusterBenchOptions,
): Readonly<Record<string, () => Promise<Row[]>>> {
  return {
    'cluster-forward': () => forwarded(options),
    'cluster-replicas': () => replicated(options),
    'cluster-fan-out': () => fanOut(options),
    'cluster-failover': () => failover(options),
  };
}

async function repeat<Sample>(runs: number, run: () => Promise<Sample>): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let n = 0; n < runs; n += 1) samples.push(await run());
  return samples;
}

/** How 1 KiB records come to the node that leads the partition, and to another one, which forwards them or tells where to go. */
const FORWARDED = {
  'cluster publish 1 KiB in batches': { partitions: 1, batchBytes: 256 * 1024, inFlight: 1000 },
  'cluster publish, batches of 1 KiB': { partitions: 8, batchBytes: 1, inFlight: 5 },
} as const;

/** At the leader, at another node, which forwards, and at another node, which tells where to go. */
async function forwarded({ runs, quick }: ClusterBenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, shape] of Object.entries(FORWARDED)) {
    const load = {
      ...{ ...shape, bytes: 1024, seconds: quick ? 1 : 5 },
      ...{ nodes: 3, copies: 1, storage: 'memory' as const },
    };
    const rounds = await repeat(runs, async () => ({
      local: await runClusterPublish({ ...load, at: 'leader' }),
      forwarded: await runClusterPublish({ ...load, at: 'other' }),
      direct: await runClusterPublish({ ...load, at: 'direct' }),
    }));
    for (const kind of ['local', 'forwarded', 'direct'] as const) {
      const samples = rounds.map((round) => round[kind]);
      rows.push(...rowsOf(`${name}, ${kind}`, samples, PUBLISH_UNITS));
    }
    rows.push(...ratiosOf(`${name}, forwarded / local`, rounds));
  }
  return rows;
}

/** Records per second, and CPU time of all nodes per record. */
function ratiosOf(
  name: string,
  rounds: readonly Readonly<Record<'local' | 'forwarded', ClusterPublishSample>>[],
): Row[] {
  const ratio = (of: keyof ClusterPublishSample): number[] =>
    rounds.map(({ local, forwarded: far }) => far[of] / local[of]);
  return [
    row(name, '× records/s', ratio('recordsPerSecond')),
    row(name, '× CPU of all nodes', ratio('cpuMicrosPerRecord')),
  ];
}

/** Records that are published to three copies and to one: as much of either size is in flight. */
const REPLICATED = [
  { bytes: 1024, size: '1 KiB', inFlight: 1000 },
  { bytes: 128, size: '128 B', inFlight: 8000 },
] as const;

/** Three copies that are all waited for, against one on a node on its own. */
async function replicated({ runs, quick }: ClusterBenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const storage of ['memory', 'disk'] as const) {
    for (const { size, ...shape } of REPLICATED) {
      const load = { ...shape, batchBytes: 256 * 1024, seconds: quick ? 1 : 5, partitions: 1, storage };
      const rounds = await repeat(runs, async () => ({
        single: await runClusterPublish({ ...load, nodes: 1, copies: 1, at: 'leader' }),
        three: await runClusterPublish({ ...load, nodes: 3, copies: 3, at: 'leader' }),
      }));
      const name = `cluster publish ${size} to ${storage}`;
      const ratios = rounds.map(({ single, three }) => three.recordsPerSecond / single.recordsPerSecond);
      for (const [kind, label] of [
        ['single', 'a node on its own'],
        ['three', '3 copies, acks all'],
      ] as const) {
        const samples = rounds.map((round) => round[kind]);
        rows.push(...rowsOf(`${name}, ${label}`, samples, PUBLISH_UNITS));
      }
      rows.push(row(`${name}, 3 copies / a node on its own`, '×', ratios));
    }
  }
  return rows;
}

const FANNED_OUT = [
  { subscribers: 10, deliveries: 2_000_000 },
  { subscribers: 100, deliveries: 10_000_000 },
] as const;

/** Subscribers at the node that leads the only copy, and at one that has none. */
async function fanOut({ runs, quick }: ClusterBenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { subscribers, deliveries } of FANNED_OUT) {
    const load = { subscribers, bytes: 1024, deliveries: quick ? deliveries / 25 : deliveries };
    const rounds = await repeat(runs, async () => ({
      owner: await runClusterFanOut({ ...load, at: 'leader' }),
      other: await runClusterFanOut({ ...load, at: 'other' }),
    }));
    const name = `cluster fan-out 1→${subscribers} 1 KiB`;
    const units = { deliveredPerSecond: 'records/s', cpuMicrosPerDelivery: 'µs of all nodes' };
    for (const kind of ['owner', 'other'] as const) {
      const samples = rounds.map((round) => round[kind]);
      rows.push(
        ...rowsOf(`${name} at ${kind === 'owner' ? 'the owner' : 'a node without a copy'}`, samples, units),
      );
    }
    const ratios = rounds.map(({ owner, other }) => other.deliveredPerSecond / owner.deliveredPerSecond);
    rows.push(row(`${name}, without a copy / owner`, '×', ratios));
  }
  return rows;
}

/** The node that leads a third of all partitions is killed. */
async function failover({ runs, quick }: ClusterBenchOptions): Promise<Row[]> {
  const partitions = quick ? 100 : 1000;
  const rows: Row[] = [];
  for (const direct of [false, true]) {
    const samples = await repeat(runs, () => runFailover({ partitions, direct }));
    const way = direct ? 'direct' : 'forwarded';
    const name = `cluster failover of a third of ${partitions} partitions, lease 3 s, ${way}`;
    const units = {
      ...{ createMs: 'ms to create', moved: 'partitions', firstMs: 'ms', p50Ms: 'ms', lastMs: 'ms' },
      restMs: 'ms, those of other leaders',
    };
    rows.push(...rowsOf(name, samples, units));
  }
  return rows;
}

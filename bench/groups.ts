import type { DurableSystem, Storage } from './adapters/durable/adapter.ts';
import type { GroupCatchUpSample } from './load/group-catch-up.ts';
import { runGroupCatchUp } from './load/group-catch-up.ts';
import type { QueueSample } from './load/queue.ts';
import { runQueue, SINGLE_RECORDS } from './load/queue.ts';
import { runRebalance } from './load/rebalance.ts';
import type { Row } from './support/results.ts';
import { row, rowsOf } from './support/results.ts';
import { BenchServer } from './support/servers.ts';
import { fillTopic } from './support/sluice-logs.ts';

/** How the scenarios of groups and queues are run. */
export interface GroupsOptions {
  readonly runs: number;
  /** A tenth of everything. */
  readonly quick: boolean;
}

const TOPIC = 'bench';
const BYTES = 128;
const RECORDS = 3_000_000;
const QUEUED_RECORDS = 100_000;

/** The scenarios of `npm run bench` that are about consumer groups and queues, by name. */
export function groupScenarios(options: GroupsOptions): Readonly<Record<string, () => Promise<Row[]>>> {
  return {
    groups: async () => [...(await catchUp(options)), ...(await rebalance(options))],
    queue: () => queue(options),
  };
}

/** A plain subscription and a group of one member read the same topic in turns. */
async function catchUp({ runs, quick }: GroupsOptions): Promise<Row[]> {
  const records = quick ? RECORDS / 10 : RECORDS;
  const rows: Row[] = [];
  for (const partitions of [1, 12]) {
    await using server = await BenchServer.start('sluice');
    const settings = { storage: 'memory', retentionBytes: 4 * records * BYTES } as const;
    await fillTopic(server, TOPIC, settings, { partitions, records, bytes: BYTES });
    // The first who reads pays for what is compiled for the first time.
    await runGroupCatchUp(server, { topic: TOPIC, records });
    const plain: GroupCatchUpSample[] = [];
    const group: GroupCatchUpSample[] = [];
    for (let n = 0; n < runs; n += 1) {
      plain.push(await runGroupCatchUp(server, { topic: TOPIC, records }));
      group.push(await runGroupCatchUp(server, { topic: TOPIC, records, group: `bench-${n}` }));
    }
    const name = `catch-up 128 B, ${partitions === 1 ? '1 partition' : `${partitions} partitions`}`;
    const units = { recordsPerSecond: 'records/s', brokerCores: 'cores', readerCores: 'cores' };
    const ratios = group.map(({ recordsPerSecond }, n) => recordsPerSecond / plain[n]!.recordsPerSecond);
    rows.push(
      ...rowsOf(`${name}, plain subscription`, plain, units),
      ...rowsOf(`${name}, group of one member`, group, units),
      row(`${name}, group / plain`, '×', ratios),
    );
  }
  return rows;
}

async function rebalance({ runs, quick }: GroupsOptions): Promise<Row[]> {
  const scenario = quick
    ? { members: 10, partitions: 30, rate: 300, watchMs: 2_000 }
    : { members: 100, partitions: 300, rate: 3_000, watchMs: 5_000 };
  const samples = [];
  for (let n = 0; n < runs; n += 1) samples.push(await runRebalance(scenario));
  const name = `${scenario.members} members, ${scenario.partitions} partitions, one leaves:`;
  const smooth = { maxAgeMs: 'ms', maxGapMs: 'ms' };
  return [
    ...rowsOf(name, samples, {
      ...{ joinMs: 'ms', heldMs: 'ms', readMs: 'ms', moved: 'partitions', taken: 'partitions' },
      brokerCores: 'cores',
    }),
    ...rowsOf(
      `${name} partitions that stay, before,`,
      samples.map(({ before }) => before),
      smooth,
    ),
    ...rowsOf(
      `${name} partitions that stay, from then on,`,
      samples.map(({ after }) => after),
      smooth,
    ),
  ];
}

/** One consumer empties a queue and acknowledges each record by itself, from disk and from memory in turns. */
async function queue({ runs, quick }: GroupsOptions): Promise<Row[]> {
  const records = quick ? QUEUED_RECORDS / 10 : QUEUED_RECORDS;
  const kinds: readonly (readonly [DurableSystem, Storage, string, number?])[] = [
    ['sluice-always', 'disk', 'topic on disk'],
    ['sluice-always', 'memory', 'topic in memory'],
    ['sluice-always', 'disk', 'topic on disk, a batch each', SINGLE_RECORDS],
  ];
  const samples = kinds.map(() => [] as QueueSample[]);
  for (let n = 0; n < runs; n += 1) {
    for (const [index, [system, storage, , batchBytes]] of kinds.entries()) {
      samples[index]!.push(await runQueue(system, { tls: true, storage, bytes: BYTES, records, batchBytes }));
    }
  }
  const units = {
    ...{ consumedPerSecond: 'records/s', brokerCores: 'cores', consumerCores: 'cores' },
    brokerRssMiB: 'MiB',
  };
  return kinds.flatMap(([, , title], index) =>
    rowsOf(`queue 128 B, each acknowledged, ${title}`, samples[index]!, units),
  );
}

/** Publishers and subscribers of a cluster in containers while faults happen, and what the history of it says. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../../src/client/index.ts';
import { checkHistory } from '../support/workload/check-history.ts';
import type { Fault as BrokenPromise } from '../support/workload/check-history.ts';
import type { History } from '../support/workload/history.ts';
import { IMPATIENT, Workload } from '../support/workload/workload.ts';
import type { ChaosCluster } from './chaos-cluster.ts';
import type { Fault } from './faults/fault.ts';
import { FAULTS } from './faults.ts';

const PARTITIONS = 6;
const MiB = 1024 * 1024;
/** What each partition has to acknowledge before, between and after faults. */
const RECORDS = 10;

/** What has been found. */
export interface Findings {
  /** Empty: every promise was kept. */
  readonly broken: readonly BrokenPromise[];
  readonly acknowledged: number;
  /** Of each fault, in the order in which they happened: from its end until every partition acknowledged again, milliseconds. */
  readonly recoveries: readonly { readonly name: string; readonly ms: number }[];
}

type Storage = 'disk' | 'memory';

/** From the end of a fault until every partition takes records again; more is a fault of ours. */
export const RECOVERY_MS = 10_000;

let count = 0;

/**
 * Lets faults happen, one after the other: to a topic on disk and, where its copies can survive them, to one in memory.
 *
 * @param random a number in [0, 1) each time
 */
export function runScenario(
  cluster: ChaosCluster,
  faults: readonly Fault[],
  random: () => number,
): Promise<Findings> {
  const needDisk = faults.some(({ needsDisk }) => needsDisk);
  return run(cluster, needDisk ? ['disk'] : ['disk', 'memory'], faults, random);
}

/** Lets faults happen that chance chooses, for so long: to a topic on disk, since any may come. */
export function runAtRandom(cluster: ChaosCluster, ms: number, random: () => number): Promise<Findings> {
  return run(cluster, ['disk'], chosen(ms, random), random);
}

function* chosen(ms: number, random: () => number): Generator<Fault> {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs) yield FAULTS[Math.floor(random() * FAULTS.length)]!;
}

/** On topics of their own, one for each storage. */
async function run(
  cluster: ChaosCluster,
  storages: readonly Storage[],
  faults: Iterable<Fault>,
  random: () => number,
): Promise<Findings> {
  count += 1;
  const topics = storages.map((storage) => ({ name: `chaos-${count}-${storage}`, storage }));
  await using stack = new AsyncDisposableStack();
  const join = async (first: number): Promise<Client> => {
    const client = await cluster.connect(first, { limits: IMPATIENT, attemptTimeoutMs: 1000 });
    return stack.adopt(client, (one) => one.close({ timeoutMs: 1000 }));
  };
  const { admin } = await join(0);
  for (const { name, storage } of topics) {
    const settings = {
      storage,
      retentionBytes: 16 * MiB,
      retentionMs: 0,
      replicationFactor: 3,
      minInsync: 2,
    };
    await admin.createTopic({ name, partitions: PARTITIONS, settings });
  }
  const load = { connect: join, keys: 8, depth: 2, pauseMs: 40, publishers: 3, subscribers: 2 };
  const workloads = await Promise.all(topics.map(({ name }) => Workload.start({ ...load, topic: name })));
  const more = async (): Promise<void> => {
    await Promise.all(workloads.map((workload) => workload.more(RECORDS)));
  };
  await more();
  const ends: { readonly name: string; readonly atMs: number }[] = [];
  for (const fault of faults) {
    await fault.happen({ cluster, topic: topics[0]!.name, random });
    ends.push({ name: fault.name, atMs: performance.now() });
    await more();
    await cluster.untilWhole();
  }
  const histories = await stop(cluster, workloads, stack);
  for (const { name } of topics) await admin.deleteTopic(name);
  return {
    broken: histories.flatMap((history) => checkHistory(history)),
    acknowledged: histories.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0),
    recoveries: ends.map(({ name, atMs }) => ({ name, ms: recoveryMs(histories, atMs) })),
  };
}

/** Reads the topics once more from each node by itself. */
async function stop(
  cluster: ChaosCluster,
  workloads: readonly Workload[],
  stack: AsyncDisposableStack,
): Promise<History[]> {
  await pause(200);
  const last: Record<string, Client> = {};
  for (const [n, { nodeId }] of cluster.nodes.entries()) {
    last[`afterwards at ${nodeId}`] = stack.adopt(await cluster.connect(n), (one) =>
      one.close({ timeoutMs: 1000 }),
    );
  }
  return Promise.all(workloads.map((workload) => workload.stop(last)));
}

/** The first acknowledgement of the partition that took longest. */
function recoveryMs(histories: readonly History[], fromMs: number): number {
  const firsts = histories.flatMap((history) => {
    const firstMs = new Map<number, number>();
    for (const { partition, atMs } of history.acknowledged) {
      if (atMs >= fromMs && !firstMs.has(partition)) firstMs.set(partition, atMs);
    }
    return Array.from({ length: history.partitions }, (_, n) => firstMs.get(n) ?? Infinity);
  });
  return Math.max(...firsts) - fromMs;
}

import type { CatchUp } from './load/catch-up.ts';
import { runCatchUp } from './load/catch-up.ts';
import { runCompaction } from './load/compaction.ts';
import type { DurablePublishSample } from './load/durable.ts';
import { runDurable } from './load/durable.ts';
import { runFanOut } from './load/fan-out.ts';
import { runLaggards } from './load/laggards.ts';
import type { TailSample } from './load/laggards.ts';
import { runRestart } from './load/restart.ts';
import { syncedAppendsPerSecond } from './support/disk.ts';
import type { Row } from './support/results.ts';
import { row, rowsOf } from './support/results.ts';

/** How the scenarios of topics on disk are run. */
export interface DiskOptions {
  readonly runs: number;
  /** A tenth of everything. */
  readonly quick: boolean;
  /** Also with 10 GiB, which takes minutes and so much room. */
  readonly big: boolean;
}

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const SIZES = [
  [128, '128 B'],
  [1024, '1 KiB'],
] as const;
const IN_FLIGHT = [1, 1_000] as const;

/** The scenarios of `npm run bench` that are about topics on disk, by name. */
export function diskScenarios(options: DiskOptions): Readonly<Record<string, () => Promise<Row[]>>> {
  return {
    durable: () => durable(options),
    'catch-up': () => catchUp(options),
    restart: () => restart(options),
    compaction: () => compaction(options),
    laggards: () => laggards(options),
  };
}

const count = (value: number): string => value.toLocaleString('en');

async function repeat<Sample>(runs: number, run: () => Promise<Sample>): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let n = 0; n < runs; n += 1) samples.push(await run());
  return samples;
}

/** Acknowledged publishing, and how often the disk alone can do what one record by one has to. */
async function durable({ runs, quick }: DiskOptions): Promise<Row[]> {
  const seconds = quick ? 1 : 5;
  const units: Partial<Record<keyof DurablePublishSample, string>> = {
    ...{ acknowledgedPerSecond: 'records/s', p50Ms: 'ms', p99Ms: 'ms' },
    ...{ brokerCores: 'cores', publisherCores: 'cores', brokerRssMiB: 'MiB' },
  };
  const rows: Row[] = [];
  for (const [bytes, label] of SIZES) {
    const disk: number[] = [];
    for (const flush of ['always', 'interval'] as const) {
      const samples = await repeat(runs, () => {
        if (flush === 'always') disk.push(syncedAppendsPerSecond(bytes, seconds / 2));
        return runDurable(`sluice-${flush}`, { tls: true, bytes, seconds, inFlight: IN_FLIGHT, consume: 0 });
      });
      for (const [index, inFlight] of IN_FLIGHT.entries()) {
        const name = `durable ${label}, flush ${flush}, ${count(inFlight)} in flight`;
        const published = samples.map((sample) => sample.published[index]!);
        rows.push(...rowsOf(name, published, units));
      }
    }
    rows.push(row(`durable ${label}: the disk alone, synced appends`, '/s', disk));
  }
  return rows;
}

/** Reading from the beginning, beside the fan-out of records in memory, in turns. */
async function catchUp({ runs, quick }: DiskOptions): Promise<Row[]> {
  const totalBytes = quick ? 100 * MiB : GiB;
  const kinds: readonly CatchUp['from'][] = ['memory', 'disk', 'cold'];
  const rounds = await repeat(runs, async () => ({
    fanOut: await runFanOut('sluice', {
      ...{ subscribers: 1, bytes: 1024, payload: 'random', options: {} },
      deliveries: totalBytes / 1024,
    }),
    memory: await runCatchUp({ from: 'memory', totalBytes }),
    disk: await runCatchUp({ from: 'disk', totalBytes }),
    cold: await runCatchUp({ from: 'cold', totalBytes }),
  }));
  const fanOut = rounds.map((round) => round.fanOut);
  const rows = rowsOf('fan-out 1→1 1 KiB', fanOut, {
    ...{ deliveredPerSecond: 'records/s', brokerCores: 'cores', brokerRssMiB: 'MiB' },
  });
  for (const kind of kinds) {
    const units = {
      ...{ recordsPerSecond: 'records/s', megabytesPerSecond: 'MB/s', brokerCores: 'cores' },
      ...{ subscriberCores: 'cores', brokerRssMiB: 'MiB' },
    };
    const name = `catch-up 1 KiB from ${kind === 'cold' ? 'disk, nothing cached' : kind}`;
    const samples = rounds.map((round) => round[kind]);
    const ratios = samples.map(({ recordsPerSecond }, n) => recordsPerSecond / fanOut[n]!.deliveredPerSecond);
    rows.push(...rowsOf(name, samples, units), row(`${name} / fan-out`, '×', ratios));
  }
  return rows;
}

/** kill -9 while it is published to, by size and number of partitions. */
async function restart({ runs, quick, big }: DiskOptions): Promise<Row[]> {
  const units = {
    ...{ readyMs: 'ms', startCpuSeconds: 's', readyRssMiB: 'MiB', settledRssMiB: 'MiB' },
    killedRssMiB: 'MiB',
  };
  const rows: Row[] = [];
  const empty = await runRestart({ totalBytes: 0, partitions: 1, kills: runs, cold: false });
  rows.push(...rowsOf('restart, no data', empty, units));
  const sizes = [quick ? 100 * MiB : GiB, ...(big ? [10 * GiB] : [])];
  for (const totalBytes of sizes) {
    for (const partitions of [1, quick ? 100 : 1_000]) {
      for (const cold of [false, true]) {
        const samples = await runRestart({ totalBytes, partitions, kills: runs, cold });
        const size = totalBytes < GiB ? `${totalBytes / MiB} MiB` : `${totalBytes / GiB} GiB`;
        const name = `restart ${size}, ${partitions === 1 ? '1 partition' : `${count(partitions)} partitions`}${cold ? ', nothing cached' : ''}`;
        rows.push(...rowsOf(name, samples, units));
      }
    }
  }
  return rows;
}

async function compaction({ runs, quick, big }: DiskOptions): Promise<Row[]> {
  const units = {
    ...{ megabytesPerSecond: 'MB/s', recordsPerSecond: 'records/s', brokerCores: 'cores' },
    ...{ brokerRssMiB: 'MiB', left: 'of the bytes' },
  };
  const rows: Row[] = [];
  for (const [totalBytes, keys] of [
    [quick ? 300 * MiB : GiB, 10_000],
    ...(big ? ([[10 * GiB, 1_000_000]] as const) : []),
  ] as const) {
    const samples = await repeat(runs, () => runCompaction({ totalBytes, keys }));
    rows.push(
      ...rowsOf(`compaction ${Math.round(totalBytes / MiB)} MiB, ${count(keys)} keys`, samples, units),
    );
  }
  return rows;
}

async function laggards({ runs, quick }: DiskOptions): Promise<Row[]> {
  const scenario = {
    ...{ totalBytes: quick ? 100 * MiB : GiB, subscriptions: quick ? 100 : 1_000 },
    ...{ bytesPerSecond: quick ? 2e6 : 20e6, seconds: quick ? 2 : 10 },
  };
  const units: Partial<Record<keyof TailSample, string>> = {
    ...{ p50Ms: 'ms', p99Ms: 'ms', maxMs: 'ms', laggardsMBPerSecond: 'MB/s' },
    ...{ brokerCores: 'cores', brokerRssMiB: 'MiB' },
  };
  const samples = await repeat(runs, () => runLaggards(scenario));
  const kinds = [
    ['alone', 'alone'],
    ['slowLaggards', `beside ${count(scenario.subscriptions)} at ${scenario.bytesPerSecond / 1e6} MB/s`],
    ['fastLaggards', `beside ${count(scenario.subscriptions)} at full speed`],
  ] as const;
  return kinds.flatMap(([kind, title]) =>
    rowsOf(
      `tail of a topic on disk, ${title}`,
      samples.map((sample) => sample[kind]),
      units,
    ),
  );
}

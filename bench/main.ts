/**
 * How fast one node is, by itself: `npm run bench [-- --only fan-out,durable --runs 3 --quick --big]`.
 *
 * Each run has a fresh broker in a process of its own, and publisher and subscribers in theirs. Results go to bench/results.
 */
import { parseArgs } from 'node:util';
import { clusterScenarios } from './cluster.ts';
import { diskScenarios } from './disk.ts';
import { groupScenarios } from './groups.ts';
import type { FanOut } from './load/fan-out.ts';
import { runFanOut } from './load/fan-out.ts';
import { httpPublish } from './load/http-publish.ts';
import { runIdle } from './load/idle.ts';
import { runIsolation } from './load/isolation.ts';
import { runLaggard } from './load/laggard.ts';
import { runLatency } from './load/latency.ts';
import type { Row } from './support/results.ts';
import { printRow, rowsOf, writeResults } from './support/results.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    runs: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
    /** Topics on disk: also with 10 GiB. */
    big: { type: 'boolean', default: false },
  },
});
const RUNS = values.quick ? 1 : Number(values.runs);
const SCALE = values.quick ? 0.1 : 1;
const MiB = 1024 * 1024;

async function repeat<Sample>(run: () => Promise<Sample>): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let n = 0; n < RUNS; n += 1) samples.push(await run());
  return samples;
}

const FAN_OUT_UNITS = {
  ...{ deliveredPerSecond: 'records/s', megabytesPerSecond: 'MB/s', brokerCores: 'cores' },
  ...{ subscriberCores: 'cores', publisherCores: 'cores', brokerRssMiB: 'MiB' },
};
const LATENCY_UNITS = { p50Ms: 'ms', p99Ms: 'ms', maxMs: 'ms' };

async function fanOut(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [bytes, label, deliveries] of [
    [128, '128 B', 3_000_000],
    [1024, '1 KiB', 800_000],
    [16_384, '16 KiB', 60_000],
  ] as const) {
    for (const subscribers of [1, 10, 100]) {
      const scenario: FanOut = {
        subscribers,
        bytes,
        payload: 'random',
        options: {},
        deliveries: deliveries * SCALE,
      };
      const samples = await repeat(() => runFanOut('sluice', scenario));
      rows.push(...rowsOf(`fan-out 1→${subscribers} ${label}`, samples, FAN_OUT_UNITS));
    }
  }
  const zstd: FanOut = {
    ...{ subscribers: 10, bytes: 1024, payload: 'json', options: { compression: 'zstd' } },
    deliveries: 2_000_000 * SCALE,
  };
  rows.push(
    ...rowsOf('fan-out 1→10 JSON 1 KiB zstd', await repeat(() => runFanOut('sluice', zstd)), FAN_OUT_UNITS),
  );
  return rows;
}

async function latency(): Promise<Row[]> {
  const run = { bytes: 128, rate: 200, seconds: values.quick ? 2 : 10, options: {} };
  return rowsOf('latency 200/s 128 B', await repeat(() => runLatency('sluice', run)), LATENCY_UNITS);
}

async function isolation(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const subscriptions of [2, 100]) {
    for (const stall of [false, true]) {
      const scenario = {
        subscriptions,
        stall,
        rate: 2_000,
        bytes: 1024,
        stallMs: values.quick ? 1_000 : 5_000,
      };
      const samples = await repeat(() => runIsolation('sluice', scenario));
      const name = `isolation ${subscriptions} subscriptions, ${stall ? `${subscriptions - 1} stalled` : 'none stalled'}`;
      rows.push(
        ...rowsOf(
          name,
          samples.map(({ healthy }) => healthy),
          LATENCY_UNITS,
        ),
      );
      rows.push(...rowsOf(name, samples, { missing: 'records' }));
    }
  }
  return rows;
}

async function laggard(): Promise<Row[]> {
  const samples = await repeat(() => runLaggard(1024 * MiB * SCALE));
  return rowsOf('laggard 1 GiB behind', samples, { grownMiB: 'MiB', rssMiB: 'MiB' });
}

async function idle(): Promise<Row[]> {
  const samples = await repeat(() => runIdle(1000 * SCALE, 10, values.quick ? 3 : 15));
  return rowsOf('idle 1,000 connections × 10', samples, { perConnectionKiB: 'KiB', brokerCores: 'cores' });
}

const SCENARIOS: Readonly<Record<string, () => Promise<Row[]>>> = {
  ...{ 'fan-out': fanOut, latency, isolation, laggard, idle },
  ...diskScenarios({ runs: RUNS, quick: values.quick, big: values.big }),
  ...clusterScenarios({ runs: RUNS, quick: values.quick }),
  ...groupScenarios({ runs: RUNS, quick: values.quick }),
  http: () => httpPublish({ runs: RUNS, quick: values.quick }),
};
const wanted = values.only?.split(',') ?? Object.keys(SCENARIOS);
const rows: Row[] = [];
for (const name of wanted) {
  const scenario = SCENARIOS[name];
  if (scenario === undefined)
    throw new Error(`no scenario ${name}; there are ${Object.keys(SCENARIOS).join(', ')}`);
  const found = await scenario();
  found.forEach(printRow);
  rows.push(...found);
}
console.log(writeResults(values.quick ? 'quick' : 'bench', { rows }));

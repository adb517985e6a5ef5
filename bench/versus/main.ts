/**
 * Sluice beside NATS, Redis and Mosquitto in one run: `npm run bench:versus [-- --only fan-out,latency --runs 3 --quick]`.
 *
 * All with TLS, each with its own TypeScript client. Repetitions are interleaved (A B C D A B C D …), so that a drift of the
 * machine meets all alike; the ratio of each pair of neighbours is what counts. Results go to bench/results.
 */
import { parseArgs } from 'node:util';
import { requireTools } from '../../test-integration/support/system-tools.ts';
import type { ClientOptions, SystemName } from '../adapters/adapter.ts';
import { SYSTEMS } from '../adapters/adapter.ts';
import { runFanOut } from '../load/fan-out.ts';
import { runIsolation } from '../load/isolation.ts';
import { runLatency } from '../load/latency.ts';
import type { Row } from '../support/results.ts';
import { row, writeResults } from '../support/results.ts';
import { median, short } from '../support/statistics.ts';
import { runLoss } from './loss.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    runs: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
  },
});
const RUNS = values.quick ? 1 : Number(values.runs);
const SCALE = values.quick ? 0.1 : 1;

/** One quantity, measured on several systems. */
interface Comparison {
  readonly name: string;
  readonly unit: string;
  /** Whether more is better. */
  readonly more: boolean;
  readonly systems: readonly SystemName[];
  run(system: SystemName): Promise<number>;
}

const fanOut = (
  name: string,
  subscribers: number,
  bytes: number,
  deliveries: number,
  json: boolean,
): Comparison => ({
  name: `fan-out ${name}`,
  unit: 'records/s',
  more: true,
  systems: SYSTEMS,
  run: async (system) => {
    const options: ClientOptions = json ? { compression: 'zstd' } : {};
    const payload = json ? 'json' : 'random';
    const scale = (system === 'mosquitto' ? 0.2 : 1) * SCALE;
    const scenario = { subscribers, bytes, payload, options, deliveries: deliveries * scale } as const;
    return (await runFanOut(system, scenario)).deliveredPerSecond;
  },
});

const latency = (quantile: 'p50Ms' | 'p99Ms'): Comparison => ({
  name: `latency 200/s 128 B ${quantile.slice(0, 3)}`,
  unit: 'ms',
  more: false,
  systems: SYSTEMS,
  run: async (system) =>
    (await runLatency(system, { bytes: 128, rate: 200, seconds: values.quick ? 2 : 8, options: {} }))[
      quantile
    ],
});

const isolation: Comparison = {
  name: 'isolation: 2 subscriptions on one connection, one stalled 5 s, p99 of the other',
  unit: 'ms',
  more: false,
  systems: ['sluice', 'nats', 'mosquitto'],
  run: async (system) => {
    const stallMs = values.quick ? 1_000 : 5_000;
    const scenario = { subscriptions: 2, stall: true, rate: 2_000, bytes: 1024, stallMs };
    return (await runIsolation(system, scenario)).healthy.p99Ms;
  },
};

const COMPARISONS: Readonly<Record<string, readonly Comparison[]>> = {
  'fan-out': [
    fanOut('1→1, 128 B', 1, 128, 2_500_000, false),
    fanOut('1→10, 128 B', 10, 128, 5_000_000, false),
    fanOut('1→1, 1 KiB', 1, 1024, 600_000, false),
    fanOut('1→10, 1 KiB', 10, 1024, 1_500_000, false),
    fanOut('1→1, JSON 1 KiB, Sluice with zstd', 1, 1024, 600_000, true),
    fanOut('1→10, JSON 1 KiB, Sluice with zstd', 10, 1024, 2_000_000, true),
  ],
  latency: [latency('p50Ms'), latency('p99Ms')],
  isolation: [isolation],
};

/** Median, range, and how many times better Sluice is, for each system. */
async function compare(comparison: Comparison): Promise<{ rows: Row[]; line: string }> {
  const samples = new Map<SystemName, number[]>(comparison.systems.map((system) => [system, []]));
  for (let n = 0; n < RUNS; n += 1) {
    for (const system of comparison.systems) samples.get(system)!.push(await comparison.run(system));
  }
  const rows = comparison.systems.map((system) =>
    row(`${comparison.name} ${system}`, comparison.unit, samples.get(system)!),
  );
  const ours = samples.get('sluice')!;
  const cells = SYSTEMS.map((system) => {
    const theirs = samples.get(system);
    if (theirs === undefined) return '–';
    const ratio = median(theirs.map((value, n) => (comparison.more ? ours[n]! / value : value / ours[n]!)));
    const range = `${short(Math.min(...theirs))}–${short(Math.max(...theirs))}`;
    return `${short(median(theirs))} (${range})${system === 'sluice' ? '' : ` **${short(ratio)}×**`}`;
  });
  return { rows, line: `| ${comparison.name}, ${comparison.unit} | ${cells.join(' | ')} |` };
}

requireTools(['nats-server', 'redis-server', 'mosquitto']);
const wanted = values.only?.split(',') ?? [...Object.keys(COMPARISONS), 'loss'];
const rows: Row[] = [];
const lines = [`| | ${SYSTEMS.join(' | ')} |`, `| --- |${' --- |'.repeat(SYSTEMS.length)}`];
console.log(lines.join('\n'));
for (const group of wanted) {
  for (const comparison of COMPARISONS[group] ?? []) {
    const { rows: found, line } = await compare(comparison);
    rows.push(...found);
    lines.push(line);
    console.log(line);
  }
}
const loss = wanted.includes('loss') ? await runLoss(RUNS, values.quick) : undefined;
const table = [
  ...lines,
  '',
  '(N×: how many times better Sluice is; median of the ratios of neighbouring runs)',
  '',
];
console.log(
  writeResults(values.quick ? 'quick-versus' : 'versus', {
    rows,
    loss,
    table: [...table, ...(loss?.table ?? [])],
  }),
);

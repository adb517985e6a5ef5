/**
 * Sluice beside NATS, Redis, Mosquitto and RabbitMQ in one run: `npm run bench:versus [-- --only fan-out,durable --runs 3 --quick]`.
 *
 * All with TLS, each with its own TypeScript client. Repetitions are interleaved (A B C D A B C D …), so that a drift of the
 * machine meets all alike; the ratio of each pair of neighbours is what counts. Results go to bench/results.
 */
import { parseArgs } from 'node:util';
import { requireTools } from '../../test-integration/support/system-tools.ts';
import type { ClientOptions, SystemName } from '../adapters/adapter.ts';
import { SYSTEMS } from '../adapters/adapter.ts';
import type { DurableSystem } from '../adapters/durable/adapter.ts';
import { DURABLE_SYSTEMS } from '../adapters/durable/adapter.ts';
import { runFanOut } from '../load/fan-out.ts';
import { runIsolation } from '../load/isolation.ts';
import { runLatency } from '../load/latency.ts';
import type { Row } from '../support/results.ts';
import { row, writeResults } from '../support/results.ts';
import { median, short } from '../support/statistics.ts';
import { runDurableVersus } from './durable.ts';
import { planLoss } from './loss-plan.ts';
import { runLoss } from './loss.ts';
import { runQueueVersus } from './queue.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    /** Default 3; with loss 1, which takes a quarter of an hour. */
    runs: { type: 'string' },
    quick: { type: 'boolean', default: false },
    /** Loss: only so many percent, milliseconds of round trip, systems, and scenarios. */
    loss: { type: 'string' },
    rtt: { type: 'string' },
    contenders: { type: 'string' },
    scenarios: { type: 'string' },
    /** Durable and queue: without TLS where that can be, which is everywhere but with Sluice. */
    plaintext: { type: 'boolean', default: false },
    /** Durable: only these. */
    systems: { type: 'string', default: DURABLE_SYSTEMS.join(',') },
  },
});
const RUNS = values.quick ? 1 : Number(values.runs ?? 3);
const SCALE = values.quick ? 0.1 : 1;

/** One scenario, measured on several systems. */
interface Comparison {
  readonly name: string;
  /** What a run measures, in the order of its answer. */
  readonly quantities: readonly string[];
  readonly unit: string;
  /** Whether more is better. */
  readonly more: boolean;
  readonly systems: readonly SystemName[];
  run(system: SystemName): Promise<readonly number[]>;
}

const fanOut = (
  name: string,
  subscribers: number,
  bytes: number,
  deliveries: number,
  json: boolean,
): Comparison => ({
  name: `fan-out ${name}`,
  quantities: [''],
  unit: 'records/s',
  more: true,
  systems: SYSTEMS,
  run: async (system) => {
    const options: ClientOptions = json ? { compression: 'zstd' } : {};
    const payload = json ? 'json' : 'random';
    const scale = (system === 'mosquitto' ? 0.2 : 1) * SCALE;
    const scenario = { subscribers, bytes, payload, options, deliveries: deliveries * scale } as const;
    return [(await runFanOut(system, scenario)).deliveredPerSecond];
  },
});

const latency: Comparison = {
  name: 'latency 200/s 128 B',
  quantities: ['p50', 'p99'],
  unit: 'ms',
  more: false,
  systems: SYSTEMS,
  run: async (system) => {
    const seconds = values.quick ? 2 : 8;
    const { p50Ms, p99Ms } = await runLatency(system, { bytes: 128, rate: 200, seconds, options: {} });
    return [p50Ms, p99Ms];
  },
};

const isolation: Comparison = {
  name: 'isolation: 2 subscriptions on one connection, one stalled 5 s: the other',
  quantities: ['p50', 'p99'],
  unit: 'ms',
  more: false,
  systems: ['sluice', 'nats', 'mosquitto'],
  run: async (system) => {
    const stallMs = values.quick ? 1_000 : 5_000;
    const scenario = { subscriptions: 2, stall: true, rate: 2_000, bytes: 1024, stallMs };
    const { healthy } = await runIsolation(system, scenario);
    return [healthy.p50Ms, healthy.p99Ms];
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
  latency: [latency],
  isolation: [isolation],
};

/** Runs all systems in turn, and makes the rows and the table's lines of each quantity. */
async function compare(comparison: Comparison): Promise<{ rows: Row[]; lines: string[] }> {
  const answers = new Map<SystemName, (readonly number[])[]>(
    comparison.systems.map((system) => [system, []]),
  );
  for (let n = 0; n < RUNS; n += 1) {
    for (const system of comparison.systems) answers.get(system)!.push(await comparison.run(system));
  }
  const rows: Row[] = [];
  const lines = comparison.quantities.map((quantity, index) => {
    const name = `${comparison.name} ${quantity}`.trim();
    const samples = new Map([...answers].map(([system, runs]) => [system, runs.map((run) => run[index]!)]));
    for (const [system, numbers] of samples) rows.push(row(`${name} ${system}`, comparison.unit, numbers));
    return `| ${name}, ${comparison.unit} | ${cellsOf(samples, comparison.more).join(' | ')} |`;
  });
  return { rows, lines };
}

/** Median, range, and how many times better Sluice is, for each system. */
function cellsOf(samples: ReadonlyMap<SystemName, readonly number[]>, more: boolean): string[] {
  const ours = samples.get('sluice')!;
  return SYSTEMS.map((system) => {
    const theirs = samples.get(system);
    if (theirs === undefined) return '–';
    const ratio = median(theirs.map((value, n) => (more ? ours[n]! / value : value / ours[n]!)));
    const range = `${short(Math.min(...theirs))}–${short(Math.max(...theirs))}`;
    return `${short(median(theirs))} (${range})${system === 'sluice' ? '' : ` **${short(ratio)}×**`}`;
  });
}

const wanted = values.only?.split(',') ?? [...Object.keys(COMPARISONS), 'loss', 'durable', 'queue'];
const groups = wanted.filter((group) => group in COMPARISONS);
const rows: Row[] = [];
const lines: string[] = [];
if (groups.length > 0) {
  requireTools(['nats-server', 'redis-server', 'mosquitto']);
  lines.push(`| | ${SYSTEMS.join(' | ')} |`, `| --- |${' --- |'.repeat(SYSTEMS.length)}`);
  console.log(lines.join('\n'));
}
for (const group of groups) {
  for (const comparison of COMPARISONS[group]!) {
    const { rows: found, lines: added } = await compare(comparison);
    rows.push(...found);
    lines.push(...added);
    console.log(added.join('\n'));
  }
}
const loss = wanted.includes('loss')
  ? await runLoss(planLoss(values, Number(values.runs ?? 1), values.quick))
  : undefined;
const durable = wanted.includes('durable')
  ? await runDurableVersus({
      ...{ runs: RUNS, seconds: values.quick ? 1 : 5, tls: !values.plaintext },
      systems: values.systems.split(',') as DurableSystem[],
    })
  : undefined;
const queue = wanted.includes('queue')
  ? await runQueueVersus({ runs: RUNS, records: values.quick ? 10_000 : 100_000, tls: !values.plaintext })
  : undefined;
const table = [
  ...lines,
  '',
  '(N×: how many times better Sluice is; median of the ratios of neighbouring runs)',
  '',
  ...(loss?.table ?? []),
  '',
  ...(durable?.table ?? []),
  '',
  ...(queue?.table ?? []),
];
console.log(table.join('\n'));
if (groups.length > 0 || durable !== undefined || queue !== undefined)
  console.log(writeResults(values.quick ? 'quick-versus' : 'versus', { rows, durable, queue, table }));

import type { DurableSystem } from '../adapters/durable/adapter.ts';
import { DURABLE_SYSTEMS } from '../adapters/durable/adapter.ts';
import type { DurableSample } from '../load/durable.ts';
import { runDurable } from '../load/durable.ts';
import { median, short } from '../support/statistics.ts';
import { requireDurableServers } from './durable-servers.ts';

/** How {@link runDurableVersus} is run. */
export interface DurableVersus {
  readonly runs: number;
  /** Of each measurement. */
  readonly seconds: number;
  /** Whether the others use TLS, as Sluice always does. */
  readonly tls: boolean;
  readonly systems: readonly DurableSystem[];
}

/** What {@link runDurableVersus} found. */
export interface DurableResults {
  readonly tls: boolean;
  readonly samples: readonly {
    readonly system: DurableSystem;
    readonly bytes: number;
    readonly runs: readonly DurableSample[];
  }[];
  /** Lines of a Markdown table. */
  readonly table: readonly string[];
}

type Found = DurableResults['samples'][number];

const SIZES = [128, 1024] as const;
const IN_FLIGHT = [1, 1_000] as const;
const CONSUMED_RECORDS = 100_000;
/** The one whose ratios are shown: on the disk before every acknowledgement. */
const OURS: DurableSystem = 'sluice-always';

const TITLES: Readonly<Record<DurableSystem, string>> = {
  'sluice-always': 'Sluice, synced before the acknowledgement',
  'sluice-interval': 'Sluice, synced every second',
  jetstream: 'NATS JetStream, file, acknowledges before it syncs',
  'redis-always': 'Redis streams, appendfsync always',
  'redis-everysec': 'Redis streams, everysec',
  rabbitmq: 'RabbitMQ, durable classic queue, persistent, confirms',
};

/**
 * Acknowledged publishing to disk, one by one and with 1,000 records in flight, and reading back with acknowledgements. Each run
 * has a fresh server on an empty folder; the systems take turns.
 */
export async function runDurableVersus(options: DurableVersus): Promise<DurableResults> {
  requireDurableServers(['nats-server', 'redis-server', 'rabbitmq-server']);
  const systems = DURABLE_SYSTEMS.filter((system) => options.systems.includes(system));
  if (systems.length < options.systems.length) throw new Error(`systems are ${DURABLE_SYSTEMS.join(', ')}`);
  const samples = SIZES.flatMap((bytes) =>
    systems.map((system) => ({ system, bytes, runs: [] as DurableSample[] })),
  );
  for (let n = 0; n < options.runs; n += 1) {
    for (const { system, bytes, runs } of samples) {
      const { tls, seconds } = options;
      runs.push(
        await runDurable(system, { tls, bytes, seconds, inFlight: IN_FLIGHT, consume: CONSUMED_RECORDS }),
      );
    }
  }
  const table = tableOf(samples, systems);
  console.log(table.join('\n'));
  return { tls: options.tls, samples, table };
}

function tableOf(samples: readonly Found[], systems: readonly DurableSystem[]): string[] {
  const columns = SIZES.flatMap((bytes) =>
    [
      ...IN_FLIGHT.map((count) => (count === 1 ? 'one by one' : `${count.toLocaleString('en')} in flight`)),
      'read',
    ].map((what) => `${bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`} ${what}`),
  );
  const of = (system: DurableSystem, bytes: number): Found | undefined =>
    samples.find((one) => one.system === system && one.bytes === bytes);
  const rows = systems.map((system) => {
    const cells = SIZES.flatMap((bytes) => cellsOf(of(system, bytes)!, of(OURS, bytes)));
    return `| ${TITLES[system]} | ${cells.join(' | ')} |`;
  });
  return [
    `| acknowledged records/s | ${columns.join(' | ')} |`,
    `| --- |${' --- |'.repeat(columns.length)}`,
    ...rows,
    '',
    `(N×: how many times faster ${TITLES[OURS]}, is; median of the ratios of neighbouring runs. Read: an acknowledgement`,
    'each, Redis one for what each answer held)',
  ];
}

/** Publishing one by one, publishing in flight, reading: median, range, ratio. */
function cellsOf(theirs: Found, ours: Found | undefined): string[] {
  const measured: ((found: Found) => number[])[] = [
    ...IN_FLIGHT.map((_, index) => (found: Found) => ratesOf(found, index)),
    readRatesOf,
  ];
  return measured.map((of) => {
    const rates = of(theirs);
    if (ours === undefined || ours === theirs) return cell(rates);
    const oursToo = of(ours);
    return `${cell(rates)} **${short(median(rates.map((rate, n) => oursToo[n]! / rate)))}×**`;
  });
}

function ratesOf({ runs }: Found, index: number): number[] {
  return runs.map(({ published }) => published[index]!.acknowledgedPerSecond);
}

function readRatesOf({ runs }: Found): number[] {
  return runs.map(({ consumedPerSecond }) => consumedPerSecond!);
}

function cell(rates: readonly number[]): string {
  return `${short(median(rates))} (${short(Math.min(...rates))}–${short(Math.max(...rates))})`;
}

import type { DurableSystem, Storage } from '../adapters/durable/adapter.ts';
import type { QueueSample } from '../load/queue.ts';
import { runQueue, SINGLE_RECORDS } from '../load/queue.ts';
import { median, short } from '../support/statistics.ts';
import { requireDurableServers } from './durable-servers.ts';

/** How {@link runQueueVersus} is run. */
export interface QueueVersus {
  readonly runs: number;
  readonly records: number;
  /** Whether the others use TLS, as Sluice always does. */
  readonly tls: boolean;
}

/** What {@link runQueueVersus} found. */
export interface QueueResults {
  readonly tls: boolean;
  readonly bytes: number;
  readonly records: number;
  readonly samples: readonly Found[];
  /** Lines of a Markdown table. */
  readonly table: readonly string[];
}

interface Contender {
  readonly system: DurableSystem;
  readonly title: string;
  readonly batchBytes?: number;
}

interface Found extends Contender {
  readonly storage: Storage;
  readonly runs: QueueSample[];
}

const BYTES = 128;
const OURS: Contender = { system: 'sluice-always', title: 'Sluice' };
const CONTENDERS: readonly Contender[] = [
  OURS,
  {
    system: 'sluice-always',
    title: 'Sluice, each record in a batch of its own',
    batchBytes: SINGLE_RECORDS,
  },
  { system: 'jetstream', title: 'NATS JetStream, pull consumer' },
  { system: 'rabbitmq', title: 'RabbitMQ, classic queue' },
];
const STORAGES: readonly Storage[] = ['disk', 'memory'];

/**
 * One consumer, 1,000 records ahead of its acknowledgements, empties a queue that is full already, and acknowledges every record by
 * itself. Each run has a fresh server on an empty folder; the systems take turns.
 */
export async function runQueueVersus({ runs, records, tls }: QueueVersus): Promise<QueueResults> {
  requireDurableServers(['nats-server', 'rabbitmq-server']);
  const samples: Found[] = STORAGES.flatMap((storage) =>
    CONTENDERS.map((contender) => ({ ...contender, storage, runs: [] })),
  );
  for (let n = 0; n < runs; n += 1) {
    for (const { system, storage, batchBytes, runs: found } of samples) {
      found.push(await runQueue(system, { tls, storage, bytes: BYTES, records, batchBytes }));
    }
  }
  const table = tableOf(samples);
  console.log(table.join('\n'));
  return { tls, bytes: BYTES, records, samples, table };
}

function tableOf(samples: readonly Found[]): string[] {
  const of = (contender: Contender, storage: Storage): Found =>
    samples.find((one) => one.title === contender.title && one.storage === storage)!;
  const rows = CONTENDERS.map((contender) => {
    const cells = STORAGES.map((storage) => cellOf(of(contender, storage), of(OURS, storage)));
    return `| ${contender.title} | ${cells.join(' | ')} |`;
  });
  return [
    '| consumed and acknowledged records/s, 128 B | on disk | in memory |',
    '| --- | --- | --- |',
    ...rows,
    '',
    '(N×: how many times faster Sluice is; median of the ratios of neighbouring runs; cores of server / consumer)',
  ];
}

function cellOf(found: Found, ours: Found): string {
  const rates = found.runs.map(({ consumedPerSecond }) => consumedPerSecond);
  const ratios = rates.map((rate, n) => ours.runs[n]!.consumedPerSecond / rate);
  const cores = (['brokerCores', 'consumerCores'] as const)
    .map((who) => short(median(found.runs.map((run) => run[who]))))
    .join(' / ');
  const range = `${short(Math.min(...rates))}–${short(Math.max(...rates))}; ${cores}`;
  return `${short(median(rates))} (${range})${found === ours ? '' : ` **${short(median(ratios))}×**`}`;
}

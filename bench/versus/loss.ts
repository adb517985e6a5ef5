import { requireTools } from '../../test-integration/support/system-tools.ts';
import type { ClientOptions, SystemName } from '../adapters/adapter.ts';
import type { LatencySample } from '../load/latency.ts';
import { runLatency } from '../load/latency.ts';
import { LossyNetwork } from '../support/lossy-network.ts';
import { median, short } from '../support/statistics.ts';

/** A way to deliver, of Sluice or of another system. */
interface Contender {
  readonly label: string;
  readonly system: SystemName;
  readonly options: ClientOptions;
  readonly topics: number;
}

const CONTENDERS: readonly Contender[] = [
  { label: 'Sluice, ordered', system: 'sluice', options: {}, topics: 1 },
  { label: 'Sluice, ordered, 10 topics', system: 'sluice', options: {}, topics: 10 },
  { label: 'Sluice, unordered', system: 'sluice', options: { delivery: 'unordered' }, topics: 1 },
  { label: 'Sluice, datagram', system: 'sluice', options: { delivery: 'datagram' }, topics: 1 },
  { label: 'NATS', system: 'nats', options: {}, topics: 1 },
  { label: 'NATS, 10 topics', system: 'nats', options: {}, topics: 10 },
  { label: 'Redis', system: 'redis', options: {}, topics: 1 },
];

/** What {@link runLoss} found. */
export interface LossResults {
  readonly samples: readonly {
    readonly label: string;
    readonly lossPercent: number;
    readonly runs: readonly LatencySample[];
  }[];
  /** Lines of a Markdown table. */
  readonly table: readonly string[];
}

/**
 * One-way latency at 200 records of 128 B a second across a link that loses packets in both directions. The broker and the
 * publisher are on one side, the subscriber on the other: one lossy crossing, as a remote subscriber sees it.
 */
export async function runLoss(
  runs: number,
  percents: readonly number[],
  seconds: number,
): Promise<LossResults> {
  requireTools(['ip', 'nft', 'nats-server', 'redis-server']);
  const samples: { label: string; lossPercent: number; runs: LatencySample[] }[] = [];
  for (const lossPercent of percents) {
    await using network = await LossyNetwork.create({ lossPercent });
    const found = CONTENDERS.map(({ label }) => ({ label, lossPercent, runs: [] as LatencySample[] }));
    for (let n = 0; n < runs; n += 1) {
      for (const [index, { system, options, topics }] of CONTENDERS.entries()) {
        const { near, far } = network;
        found[index]!.runs.push(
          await runLatency(system, {
            ...{ bytes: 128, rate: 200, seconds, topics, options },
            server: { host: near.address, namespace: near.name },
            publisherNamespace: near.name,
            subscriberNamespace: far.name,
          }),
        );
      }
    }
    samples.push(...found);
  }
  const table = [
    `| one way, p50 / p99 / max ms | ${percents.map((p) => `${p} % loss`).join(' | ')} |`,
    `| --- |${' --- |'.repeat(percents.length)}`,
    ...CONTENDERS.map(
      ({ label }) => `| ${label} | ${percents.map((p) => cell(samples, label, p)).join(' | ')} |`,
    ),
  ];
  console.log(table.join('\n'));
  return { samples, table };
}

function cell(samples: LossResults['samples'], label: string, lossPercent: number): string {
  const { runs } = samples.find((one) => one.label === label && one.lossPercent === lossPercent)!;
  const at = (field: 'p50Ms' | 'p99Ms' | 'maxMs' | 'lost'): number => median(runs.map((run) => run[field]));
  const lost = at('lost') > 0 ? `, ${short(at('lost'))} lost` : '';
  return `${short(at('p50Ms'))} / ${short(at('p99Ms'))} / ${short(at('maxMs'))}${lost}`;
}

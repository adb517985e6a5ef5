import { requireTools } from '../../test-integration/support/system-tools.ts';
import type { ClientOptions, SystemName } from '../adapters/adapter.ts';
import type { LinkSample, LinkScenario } from '../load/lossy-link.ts';
import { LossyLink } from '../load/lossy-link.ts';
import { LossyNetwork } from '../support/lossy-network.ts';
import { short } from '../support/statistics.ts';
import { reportLoss, takesPart } from './loss-report.ts';

/** A way to deliver, of Sluice or of another system. */
export interface Contender {
  /** For `--contenders`. */
  readonly name: string;
  readonly label: string;
  readonly color: string;
  readonly system: SystemName;
  readonly options: ClientOptions;
}

const CONTENDERS: readonly Contender[] = [
  { name: 'sluice', label: 'Sluice, ordered', color: '#0969da', system: 'sluice', options: {} },
  {
    ...{ name: 'sluice-unordered', label: 'Sluice, unordered', color: '#54aeff', system: 'sluice' },
    options: { delivery: 'unordered' },
  },
  {
    ...{ name: 'sluice-datagram', label: 'Sluice, datagram', color: '#1b7c83', system: 'sluice' },
    options: { delivery: 'datagram' },
  },
  { name: 'nats', label: 'NATS', color: '#1a7f37', system: 'nats', options: {} },
  { name: 'redis', label: 'Redis', color: '#cf222e', system: 'redis', options: {} },
  { name: 'mosquitto', label: 'Mosquitto', color: '#9a6700', system: 'mosquitto', options: {} },
];

/** A scenario, and how it is called. */
export interface NamedScenario extends LinkScenario {
  readonly name: string;
  readonly title: string;
}

const SCENARIOS: readonly NamedScenario[] = [
  { name: 'one-topic', title: 'one topic', topics: 1, subscribers: 1, stall: false },
  { name: 'ten-topics', title: 'ten topics on one connection', topics: 10, subscribers: 1, stall: false },
  {
    ...{ name: 'one-stalled', title: 'ten subscribers, one stalled: the other nine' },
    ...{ topics: 1, subscribers: 9, stall: true },
  },
];

/** What is measured. */
export interface LossPlan {
  readonly lossPercents: readonly number[];
  readonly rttsMs: readonly number[];
  readonly contenders: readonly Contender[];
  readonly scenarios: readonly NamedScenario[];
  readonly runs: number;
  readonly seconds: number;
  /** Whether it is everything, whose report the README shows. */
  readonly isWhole: boolean;
}

/** One run. */
export interface LossCell {
  readonly scenario: string;
  readonly contender: string;
  readonly rttMs: number;
  readonly lossPercent: number;
  readonly sample: LinkSample;
}

/** Parts of the whole as they stand on the command line, separated by commas; undefined: all of it. */
export interface LossParts {
  readonly loss?: string | undefined;
  readonly rtt?: string | undefined;
  readonly contenders?: string | undefined;
  readonly scenarios?: string | undefined;
}

/** @param isQuick short runs, to see that it works */
export function planLoss(parts: LossParts, runs: number, isQuick: boolean): LossPlan {
  const { loss, rtt, contenders, scenarios } = parts;
  return {
    lossPercents: numbers(loss ?? '0,1,5,10'),
    rttsMs: numbers(rtt ?? '0,20,100'),
    contenders: chosen(CONTENDERS, contenders),
    scenarios: chosen(SCENARIOS, scenarios),
    runs,
    seconds: isQuick ? 1 : 3,
    isWhole: !isQuick && [loss, rtt, contenders, scenarios].every((part) => part === undefined),
  };
}

/**
 * One-way latency across a link that delays packets and loses some in both directions, and a report of it in bench/results. The broker
 * and the publisher are on one side, the subscribers on the other: one lossy crossing, as a remote subscriber sees it.
 */
export async function runLoss(plan: LossPlan): Promise<{ cells: readonly LossCell[]; table: string[] }> {
  requireTools(['ip', 'nft', 'iptables', 'python3', 'nats-server', 'redis-server', 'mosquitto']);
  const cells: LossCell[] = [];
  for (const rttMs of plan.rttsMs) {
    await using network = await LossyNetwork.create({ lossPercent: 0, roundTripMs: rttMs });
    for (const lossPercent of plan.lossPercents) {
      for (let n = 0; n < plan.runs; n += 1) {
        for (const contender of plan.contenders) {
          for await (const [scenario, sample] of runContender(plan, network, contender, lossPercent)) {
            cells.push({ scenario, contender: contender.name, rttMs, lossPercent, sample });
            const { p50Ms, p99Ms, maxMs, lost } = sample;
            console.log(
              `${rttMs} ms, ${lossPercent} %, ${scenario}, ${contender.label}: ${short(p50Ms)} / ${short(p99Ms)} / ${short(maxMs)} ms, ${lost} missing`,
            );
          }
        }
      }
    }
  }
  return { cells, table: reportLoss(plan, cells) };
}

/** All scenarios of one contender on a server of its own. */
async function* runContender(
  plan: LossPlan,
  network: LossyNetwork,
  contender: Contender,
  lossPercent: number,
): AsyncGenerator<[string, LinkSample]> {
  network.setLoss(0);
  await using link = await LossyLink.start(network, contender.system, contender.options);
  for (const scenario of plan.scenarios.filter((one) => takesPart(contender, one))) {
    yield [scenario.name, await link.run(scenario, lossPercent, plan.seconds)];
  }
}

function numbers(list: string): number[] {
  return list.split(',').map(Number);
}

function chosen<Named extends { readonly name: string }>(
  all: readonly Named[],
  names: string | undefined,
): readonly Named[] {
  if (names === undefined) return all;
  return names.split(',').map((name) => {
    const found = all.find((one) => one.name === name);
    if (found === undefined) throw new Error(`${name} is none of ${all.map((one) => one.name).join(', ')}`);
    return found;
  });
}

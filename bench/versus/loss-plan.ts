import type { ClientOptions, SystemName } from '../adapters/adapter.ts';
import type { LinkSample, LinkScenario } from '../load/lossy-link.ts';

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

/** Only ordered delivery is compared where the question is what subscribers do to each other. */
export function takesPart(contender: Contender, scenario: NamedScenario): boolean {
  return scenario.name === 'one-topic' || (contender.options.delivery ?? 'ordered') === 'ordered';
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

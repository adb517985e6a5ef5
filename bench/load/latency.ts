import type { ClientOptions, SystemName } from '../adapters/adapter.ts';
import { Worker } from '../support/processes.ts';
import type { ServerOptions } from '../support/servers.ts';
import { BenchServer } from '../support/servers.ts';
import type { Latency } from '../support/statistics.ts';
import { latencyOf } from '../support/statistics.ts';

/** A fixed rate, and the time from publishing to reading of every record. */
export interface LatencyRun {
  readonly bytes: number;
  /** Records per second over all topics. */
  readonly rate: number;
  readonly seconds: number;
  /** Subscriptions of the one subscribing connection. Default 1. */
  readonly topics?: number;
  readonly options: ClientOptions;
  readonly server?: ServerOptions;
  /** Namespaces of the two clients; undefined: this one. */
  readonly publisherNamespace?: string;
  readonly subscriberNamespace?: string;
}

export interface LatencySample extends Latency {
  readonly lost: number;
}

const WARM_UP = 50;
const QUIET_MS = 4_000;

/** Runs it once. The first records, which meet cold code, are left out of the quantiles. */
export async function runLatency(system: SystemName, run: LatencyRun): Promise<LatencySample> {
  await using server = await BenchServer.start(system, run.server);
  await using subscriber = new Worker(run.subscriberNamespace);
  await using publisher = new Worker(run.publisherNamespace);
  const topics = Array.from({ length: run.topics ?? 1 }, (_, n) => `bench-${n}`);
  const shared = { server: server.address, options: run.options };
  const perTopic = Math.ceil((run.rate * run.seconds) / topics.length) + WARM_UP;
  const subscribed = subscriber.next('subscribed');
  subscriber.tell({
    ...{ kind: 'subscribe', ...shared, topics, timed: topics, records: perTopic, connections: 1 },
    quietMs: QUIET_MS,
  });
  await subscribed;
  const received = subscriber.next('received');
  const records = perTopic * topics.length;
  publisher.tell({ kind: 'pace', ...shared, topics, bytes: run.bytes, rate: run.rate, records });
  const { ages } = await received;
  const times = topics.flatMap((topic) => ages[topic]!.slice(WARM_UP));
  return { ...latencyOf(times), lost: records - topics.reduce((sum, topic) => sum + ages[topic]!.length, 0) };
}

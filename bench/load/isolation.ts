import type { SystemName } from '../adapters/adapter.ts';
import { Worker } from '../support/processes.ts';
import { BenchServer } from '../support/servers.ts';
import type { Latency } from '../support/statistics.ts';
import { latencyOf } from '../support/statistics.ts';

/** Subscriptions of one connection, of which all but one stop reading for a while. */
export interface Isolation {
  readonly subscriptions: number;
  /** Whether the others stop at all: false is the run to compare with. */
  readonly stall: boolean;
  /** Records per second and topic. */
  readonly rate: number;
  readonly bytes: number;
  readonly stallMs: number;
}

export interface IsolationSample {
  /** Of the subscription that goes on reading, during the whole run. */
  readonly healthy: Latency;
  /** Records of the stalled subscriptions that never came. */
  readonly missing: number;
}

/** Before the stall; left out of the quantiles, since cold code is not what is compared. */
const BEFORE_MS = 2_000;
const AFTER_MS = 1_500;
const QUIET_MS = 12_000;

/** Runs it once. The healthy topic gets `rate` records a second; so do all stalled ones together. */
export async function runIsolation(system: SystemName, scenario: Isolation): Promise<IsolationSample> {
  await using server = await BenchServer.start(system);
  await using subscriber = new Worker();
  await using publisher = new Worker();
  const healthy = 'healthy';
  const others = Array.from({ length: scenario.subscriptions - 1 }, (_, n) => `stalled-${n}`);
  const shared = { server: server.address, options: {} };
  const seconds = (BEFORE_MS + scenario.stallMs + AFTER_MS) / 1e3;
  // One healthy record, then one of the stalled topics in turn: both kinds at `rate`.
  const topics = others.flatMap((topic) => [healthy, topic]);
  const total = Math.ceil((2 * scenario.rate * seconds) / topics.length) * topics.length;
  const subscribed = subscriber.next('subscribed');
  subscriber.tell({
    ...{ kind: 'subscribe', ...shared, connections: 1, topics: [healthy, ...others], timed: [healthy] },
    ...{ records: total / 2 / others.length, quietMs: QUIET_MS },
    ...(scenario.stall && { stalls: { topics: others, afterMs: BEFORE_MS, forMs: scenario.stallMs } }),
  });
  await subscribed;
  const received = subscriber.next('received');
  publisher.tell({
    kind: 'pace',
    ...shared,
    topics,
    bytes: scenario.bytes,
    rate: 2 * scenario.rate,
    records: total,
  });
  const { ages, perTopic } = await received;
  const missing = others.reduce((sum, topic) => sum + total / 2 / others.length - perTopic[topic]!, 0);
  return { healthy: latencyOf(ages[healthy]!.slice((scenario.rate * BEFORE_MS) / 1e3)), missing };
}

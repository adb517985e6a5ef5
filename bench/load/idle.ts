import { Worker } from '../support/processes.ts';
import { BenchServer } from '../support/servers.ts';

export interface IdleSample {
  /** Memory of the broker for each connection with its subscriptions, KiB. */
  readonly perConnectionKiB: number;
  /** Share of a core that the idle connections keep busy. */
  readonly brokerCores: number;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Connections that wait for records that do not come. */
export async function runIdle(
  connections: number,
  subscriptions: number,
  seconds: number,
): Promise<IdleSample> {
  await using server = await BenchServer.start('sluice');
  await using subscriber = new Worker();
  const before = server.usage();
  const subscribed = subscriber.next('subscribed');
  subscriber.tell({
    ...{ kind: 'subscribe', server: server.address, options: {}, connections, records: Infinity },
    ...{ topics: Array.from({ length: subscriptions }, (_, n) => `idle-${n}`), timed: [], quietMs: Infinity },
  });
  await subscribed;
  await pause(2_000);
  const settled = server.usage();
  await pause(seconds * 1e3);
  const after = server.usage();
  return {
    perConnectionKiB: (after.rssBytes - before.rssBytes) / 1024 / connections,
    brokerCores: (after.cpuSeconds - settled.cpuSeconds) / seconds,
  };
}

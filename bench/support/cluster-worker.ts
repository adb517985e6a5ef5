/**
 * A process that publishes to a cluster through one of its nodes: takes orders over IPC, one at a time, and reports.
 *
 *     publish  keeps `inFlight` records of each partition unacknowledged; reports `measuring` once it is warm, then `published`
 *     watch    one record after the other to each partition, from when it reports `watching` until `stop`; reports `watched`
 */
import type { ServerAddress } from '../adapters/adapter.ts';
import type { Client, Producer } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import { payloads } from './payload.ts';

interface Target {
  readonly server: ServerAddress;
  readonly topic: string;
  readonly partitions: readonly number[];
  /** Whether it goes to the leaders of the partitions itself, instead of having everything forwarded. */
  readonly direct: boolean;
}

interface PublishOrder extends Target {
  readonly kind: 'publish';
  /** Of each record. */
  readonly bytes: number;
  /** Size at which a batch is sent; below that of a record: each is a batch of its own. */
  readonly batchBytes: number;
  readonly inFlight: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

interface WatchOrder extends Target {
  readonly kind: 'watch';
  /** Between an answer and the next record of that partition. */
  readonly pauseMs: number;
}

export type ClusterOrder = PublishOrder | WatchOrder | { readonly kind: 'stop' };

export type ClusterReport =
  | { readonly kind: 'measuring' }
  | {
      readonly kind: 'published';
      readonly records: number;
      readonly seconds: number;
      readonly cpuSeconds: number;
    }
  | { readonly kind: 'watching' }
  | {
      readonly kind: 'watched';
      /** By partition, in the order of the order: longest time without an acknowledgement. */
      readonly pausesMs: readonly number[];
    }
  | { readonly kind: 'failed'; readonly message: string };

const report = (message: ClusterReport): void => {
  process.send!(message);
};
const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let stopWatching: (() => void) | undefined;

function dial({ server: { host, port, caFile }, direct }: Target): Promise<Client> {
  return connect(`quic://${host}:${port}`, { ca: caFile, direct });
}

async function publish(order: PublishOrder): Promise<void> {
  const { topic, partitions, bytes, batchBytes, inFlight, warmUpMs, measureMs } = order;
  const client = await dial(order);
  const producer = client.producer({ batchBytes });
  const values = payloads('random', bytes);
  let records = 0;
  let over = false;
  const lane = async (partition: number): Promise<void> => {
    while (!over) {
      await producer.send({ topic, partition, value: values[records & 63]! });
      records += 1;
    }
  };
  const lanes = Promise.all(
    partitions.flatMap((partition) => Array.from({ length: inFlight }, () => lane(partition))),
  );
  await Promise.race([lanes, pause(warmUpMs)]);
  report({ kind: 'measuring' });
  const [startMs, startCpu, before] = [performance.now(), cpuSeconds(), records];
  await Promise.race([lanes, pause(measureMs)]);
  const seconds = (performance.now() - startMs) / 1e3;
  report({ kind: 'published', records: records - before, seconds, cpuSeconds: cpuSeconds() - startCpu });
  over = true;
  await lanes;
  await client.close();
}

async function watch(order: WatchOrder): Promise<void> {
  const { topic, partitions, pauseMs } = order;
  const client = await dial(order);
  const producer = client.producer();
  let over = false;
  stopWatching = (): void => void (over = true);
  const first = partitions.map((partition) => producer.send({ topic, partition, value: 'first' }));
  await Promise.all(first);
  report({ kind: 'watching' });
  const lanes = partitions.map((partition) => longestPause(producer, topic, partition, pauseMs, () => over));
  const pausesMs = await Promise.all(lanes);
  report({ kind: 'watched', pausesMs });
  await client.close();
}

async function longestPause(
  producer: Producer,
  topic: string,
  partition: number,
  pauseMs: number,
  over: () => boolean,
): Promise<number> {
  let longestMs = 0;
  let lastMs = performance.now();
  while (!over()) {
    await pause(pauseMs * (0.5 + Math.random()));
    await producer.send({ topic, partition, value: 'again' });
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  }
  return longestMs;
}

function obey(order: ClusterOrder): Promise<void> {
  if (order.kind === 'publish') return publish(order);
  if (order.kind === 'watch') return watch(order);
  stopWatching?.();
  return Promise.resolve();
}

process.on('message', (order: ClusterOrder) => {
  obey(order).catch((error: unknown) => {
    report({
      kind: 'failed',
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  });
});
process.on('disconnect', () => process.exit(0));

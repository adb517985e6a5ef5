import { createHistogram } from 'node:perf_hooks';
import type { RecordableHistogram } from 'node:perf_hooks';
import type { Client, Producer, ProducerOptions, Subscription } from '../../client/index.ts';
import type { Clock } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { quantity } from '../../kernel/quantity.ts';
import { openClient } from '../connection.ts';
import type { ConnectionFlags } from '../connection.ts';
import type { OutputFlags } from '../declare/declare-options.ts';
import { exitInterrupted } from '../exit-codes.ts';
import { bytes, count, facts } from '../format.ts';
import { Progress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';

/** Options of `sluice bench`. */
export interface BenchFlags extends ConnectionFlags, OutputFlags {
  readonly records: number;
  readonly size: number;
  readonly rate?: number;
  readonly subscribers: number;
  readonly partitions: number;
  readonly compression: NonNullable<ProducerOptions['compression']>;
  readonly acks: NonNullable<ProducerOptions['acks']>;
  readonly topic?: string;
}

/** Without anything arriving for this long, what is missing is taken for lost. */
const SILENCE_MS = 10_000;
const KEYS = 1000;

/** What went through, as it is counted while the load runs. */
class Load {
  sent = 0;
  received = 0;
  /** Microseconds from the call that published a record to its arrival here. */
  readonly latency = createHistogram();
  lastArrivalMs = 0;
}

/** Publishes, subscribes on connections of their own, and prints rates and latencies. All in this one process, one thread. */
export async function bench(flags: BenchFlags, terminal: Terminal): Promise<number | undefined> {
  const { clock } = terminal;
  const topic = flags.topic ?? `bench-${terminal.random.bytes(4).toString('hex')}`;
  await using stack = new AsyncDisposableStack();
  const open = async (name: string): Promise<Client> => {
    const client = await openClient(terminal, flags, name);
    stack.defer(() => client.close());
    return client;
  };
  const publisher = await open('bench-publisher');
  if (flags.topic === undefined) {
    await publisher.admin.createTopic({ name: topic, partitions: flags.partitions });
    stack.defer(() => publisher.admin.deleteTopic(topic));
  }
  const load = new Load();
  const subscriptions: Subscription[] = [];
  for (let index = 0; index < flags.subscribers; index++) {
    subscriptions.push(await (await open(`bench-subscriber-${index}`)).subscribe(topic, { from: 'latest' }));
  }
  const expected = flags.records * flags.subscribers;
  const started = clock.monotonicMs();
  const progress = new Progress(
    terminal.stderr,
    clock,
    () =>
      `${count(load.sent)} of ${count(flags.records)} sent, ${count(load.received)} of ${count(expected)} received`,
  );
  const reading = subscriptions.map((subscription) => receive(subscription, flags.records, load, clock));
  const producer = publisher.producer({ compression: flags.compression, acks: flags.acks });
  await publish(producer, topic, flags, load, terminal);
  const publishedMs = clock.monotonicMs() - started;
  await Promise.race([Promise.all(reading), silence(load, clock, terminal.interrupted)]);
  const receivedMs = load.lastArrivalMs - started;
  progress.stop();
  terminal.stdout.line(report(topic, flags, load, publishedMs, receivedMs));
  if (terminal.interrupted.aborted) return exitInterrupted(terminal.interrupted);
  if (load.received < expected)
    throw new SluiceError('TIMEOUT', `${count(load.received)} of ${quantity(expected, 'record')} arrived`);
  return undefined;
}

async function publish(
  producer: Producer,
  topic: string,
  flags: BenchFlags,
  load: Load,
  terminal: Terminal,
): Promise<void> {
  const { clock, interrupted } = terminal;
  const value = filler(flags.size);
  const started = clock.monotonicMs();
  while (load.sent < flags.records && !interrupted.aborted) {
    const elapsed = (clock.monotonicMs() - started) / 1000;
    const due =
      flags.rate === undefined ? flags.records : Math.min(flags.records, Math.ceil(elapsed * flags.rate));
    while (load.sent < due) {
      value.writeDoubleBE(clock.monotonicMs());
      const taken = producer.offer({ topic, key: `key-${load.sent % KEYS}`, value });
      if (taken) load.sent += 1;
      else await producer.ready();
    }
    if (flags.rate !== undefined) await delay(clock, 1);
  }
  await producer.close();
}

async function receive(subscription: Subscription, wanted: number, load: Load, clock: Clock): Promise<void> {
  let received = 0;
  for await (const batch of subscription.batches()) {
    const now = clock.monotonicMs();
    batch.forEach(({ value }) => {
      load.latency.record(Math.max(1, Math.round((now - value!.readDoubleBE()) * 1000)));
      received += 1;
      load.received += 1;
    });
    load.lastArrivalMs = now;
    if (received >= wanted) break;
  }
}

/** Resolves when nothing has arrived for a while, or somebody interrupts. */
async function silence(load: Load, clock: Clock, interrupted: AbortSignal): Promise<void> {
  let before = -1;
  let since = clock.monotonicMs();
  while (!interrupted.aborted && clock.monotonicMs() - since < SILENCE_MS) {
    if (load.received !== before) since = clock.monotonicMs();
    before = load.received;
    await delay(clock, 100);
  }
}

/** Text like that of records people send; room for the time at the front. */
function filler(size: number): Buffer {
  const text = '{"sensor":"room-17","celsius":21.5,"humidity":0.43,"status":"ok","firmware":"2.4.1"},';
  return Buffer.from(text.repeat(Math.ceil(size / text.length)).slice(0, size));
}

function report(
  topic: string,
  flags: BenchFlags,
  load: Load,
  publishedMs: number,
  receivedMs: number,
): string {
  const perSecond = (records: number, ms: number): number => (ms > 0 ? Math.round((records / ms) * 1000) : 0);
  const published = perSecond(load.sent, publishedMs);
  const delivered = perSecond(load.received, receivedMs);
  const latency = load.received === 0 ? undefined : percentiles(load.latency);
  const about = {
    records: flags.records,
    size: flags.size,
    subscribers: flags.subscribers,
    compression: flags.compression,
    acks: flags.acks,
  };
  if (flags.output === 'json') {
    return JSON.stringify({
      topic,
      ...about,
      rate: flags.rate ?? null,
      sent: load.sent,
      received: load.received,
      publishedPerSecond: published,
      deliveredPerSecond: delivered,
      latencyMs: latency ?? null,
    });
  }
  const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  return facts([
    [
      'load',
      Object.entries(about)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
    ],
    ['published', `${quantity(published, 'record')}/s, ${bytes(published * flags.size)}/s`],
    ['delivered', `${quantity(delivered, 'record')}/s, ${bytes(delivered * flags.size)}/s`],
    ...(latency === undefined
      ? []
      : [
          [
            'latency',
            Object.entries(latency)
              .map(([name, value]) => `${name} ${ms(value)}`)
              .join(', '),
          ] as const,
        ]),
    ...(flags.rate === undefined
      ? [['', 'at full speed latency is mostly waiting in buffers; use --rate to measure it'] as const]
      : []),
  ]);
}

function percentiles(histogram: RecordableHistogram): Record<'p50' | 'p90' | 'p99' | 'p999' | 'max', number> {
  const at = (percentile: number): number => histogram.percentile(percentile) / 1000;
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.max / 1000 };
}

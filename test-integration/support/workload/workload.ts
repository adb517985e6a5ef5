/** Clients that publish and read without pause while a test breaks things, and that remember everything. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Client, Producer, Subscription } from '../../../src/client/index.ts';
import { eventually } from '../eventually.ts';
import type { Acknowledgement, Gap, History, PlacedRecord, Reading } from './history.ts';

/** What a workload consists of. */
export interface WorkloadOptions {
  readonly topic: string;
  /** A client of its own for each publisher and subscriber. @param index counts them */
  readonly connect: (index: number) => Promise<Client>;
  /** Idempotent producers with `acks: all`. Default 3. */
  readonly publishers?: number;
  /** Keys of each publisher, which nobody else uses. Default 16. */
  readonly keys?: number;
  /** Records of one key on their way at once. Default 3. */
  readonly depth?: number;
  /** Between an answer and the next send of a lane, milliseconds. Default 15. */
  readonly pauseMs?: number;
  /** Subscriptions from the first offset on. Default 2. */
  readonly subscribers?: number;
}

/** Silence alone tells a client within seconds that its node is gone. */
export const IMPATIENT = { idleTimeoutMs: 2000, keepAliveMs: 400 };

const READ_MS = 20_000;

/** Publishes numbered records of many keys and reads them, until it is stopped. */
export class Workload {
  readonly #options: WorkloadOptions;
  readonly #partitions: number;
  readonly #startMs = performance.now();
  readonly #sent = new Map<string, number>();
  readonly #acknowledged: Acknowledgement[] = [];
  readonly #perPartition: number[];
  readonly #refusals: string[] = [];
  readonly #readers: Reader[];
  readonly #lanes: Promise<unknown>;
  #stopped = false;

  private constructor(
    options: WorkloadOptions,
    partitions: number,
    producers: readonly Producer[],
    readers: Reader[],
  ) {
    this.#options = options;
    this.#partitions = partitions;
    this.#perPartition = Array.from({ length: partitions }, () => 0);
    this.#readers = readers;
    this.#lanes = Promise.all(producers.map((producer, n) => this.#publish(producer, n)));
  }

  /** Begins with a topic that exists and is empty. */
  static async start(options: WorkloadOptions): Promise<Workload> {
    const { topic, connect, publishers = 3, subscribers = 2 } = options;
    const readers: Reader[] = [];
    for (let n = 0; n < subscribers; n++) {
      const client = await connect(n);
      readers.push(new Reader(`subscriber ${n}`, await client.subscribe(topic, { from: 'earliest' })));
    }
    const producers: Producer[] = [];
    let partitions = 0;
    for (let n = 0; n < publishers; n++) {
      const client = await connect(n);
      partitions = (await client.admin.describeTopic(topic)).partitions.length;
      producers.push(client.producer({ acks: 'all' }));
    }
    return new Workload(options, partitions, producers, readers);
  }

  /** Acknowledged records. */
  get total(): number {
    return this.#acknowledged.length;
  }

  /** Resolves when every partition has acknowledged so many records more. */
  more(records: number, withinMs = 60_000): Promise<void> {
    const wanted = this.#perPartition.map((count) => count + records);
    return eventually(
      `${records} more records in each partition`,
      () => this.#perPartition.every((count, partition) => count >= wanted[partition]!),
      withinMs,
    );
  }

  /**
   * Sends nothing more and waits until everything is answered, and read by all subscribers (20 seconds at most: what is missing then the
   * checker finds).
   *
   * @param last clients that read the topic once more from the beginning, by name; the last one is believed
   */
  async stop(last: Readonly<Record<string, Client>>): Promise<History> {
    this.#stopped = true;
    const endMs = performance.now();
    await this.#lanes;
    for (const [name, client] of Object.entries(last)) {
      const subscription = await client.subscribe(this.#options.topic, { from: 'earliest' });
      this.#readers.push(new Reader(name, subscription));
    }
    await this.#readAll();
    const readings = this.#readers.map((reader) => reader.reading);
    return {
      startMs: this.#startMs,
      endMs,
      partitions: this.#partitions,
      sent: this.#sent,
      acknowledged: this.#acknowledged,
      refusals: this.#refusals,
      readings,
    };
  }

  async #readAll(): Promise<void> {
    const ends = new Map<number, number>();
    for (const { partition, offset } of this.#acknowledged)
      ends.set(partition, Math.max(ends.get(partition) ?? 0, offset + 1));
    const isDone = (): boolean => this.#readers.every((reader) => reader.hasReached(ends));
    // Who does not get there lacks records, which is told with their names by who judges the history.
    await eventually('everything is read', isDone, READ_MS).catch(() => undefined);
    // What comes twice may come late.
    await pause(200);
  }

  #publish(producer: Producer, publisher: number): Promise<unknown> {
    const { keys = 16, depth = 3 } = this.#options;
    const lanes: Promise<void>[] = [];
    for (let n = 0; n < keys; n++) {
      const key = `p${publisher}-${n}`;
      this.#sent.set(key, 0);
      for (let lane = 0; lane < depth; lane++) lanes.push(this.#lane(producer, key));
    }
    return Promise.all(lanes);
  }

  async #lane(producer: Producer, key: string): Promise<void> {
    const { topic, pauseMs = 15 } = this.#options;
    while (!this.#stopped) {
      const number = this.#sent.get(key)!;
      this.#sent.set(key, number + 1);
      try {
        const { partition, offset } = await producer.send({ topic, key, value: String(number) });
        this.#acknowledged.push({ key, number, partition, offset: offset!, atMs: performance.now() });
        this.#perPartition[partition]! += 1;
      } catch (error) {
        this.#refusals.push(`${key} #${number}: ${String(error)}`);
        return;
      }
      await pause(pauseMs);
    }
  }
}

/** Follows one subscription. */
class Reader {
  readonly #name: string;
  readonly #records: PlacedRecord[] = [];
  readonly #gaps: Gap[] = [];
  readonly #interruptions: string[] = [];
  readonly #ends = new Map<number, number>();

  constructor(name: string, subscription: Subscription) {
    this.#name = name;
    subscription.on('gap', ({ partition, from, to }) => this.#gaps.push({ partition, from, to }));
    subscription.on('status', (status) => {
      if (status.kind === 'restarted') this.#interruptions.push(`partition ${status.partition} began anew`);
      if (status.kind === 'ended' && status.error) this.#interruptions.push(String(status.error));
    });
    this.#follow(subscription).catch((error: unknown) => this.#interruptions.push(String(error)));
  }

  get reading(): Reading {
    const records = this.#records.slice();
    return { name: this.#name, records, gaps: this.#gaps, interruptions: this.#interruptions };
  }

  /** Whether it has come to these ends, exclusive, by partition. */
  hasReached(ends: ReadonlyMap<number, number>): boolean {
    return [...ends].every(([partition, end]) => (this.#ends.get(partition) ?? 0) >= end);
  }

  async #follow(subscription: Subscription): Promise<void> {
    for await (const record of subscription) {
      const { partition, offset } = record;
      this.#records.push({ key: record.keyText() ?? '', number: Number(record.text()), partition, offset });
      this.#ends.set(partition, offset + 1);
    }
  }
}

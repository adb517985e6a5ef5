import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../../src/client/index.ts';

const FEED_MS = 100;
/** Records that a partition may be ahead of its readers. */
const MAX_LEAD = 8;

/** Publishes 0, 1, 2, … to each partition, one record at a time and never far ahead of its readers, until it is stopped. */
export class Feeding implements AsyncDisposable {
  /** Of each partition, how many are acknowledged. */
  readonly records: number[];
  readonly #done: Promise<unknown>;
  #stopped = false;

  /** @param readOf how many records of a partition were read */
  constructor(client: Client, topic: string, partitions: number, readOf: (partition: number) => number) {
    this.records = Array.from({ length: partitions }, () => 0);
    const producer = client.producer();
    const lane = async (partition: number): Promise<void> => {
      while (!this.#stopped) {
        if (this.records[partition]! - readOf(partition) < MAX_LEAD) {
          await producer.send({ topic, partition, value: String(this.records[partition]) });
          this.records[partition]! += 1;
        }
        await pause(FEED_MS);
      }
    };
    this.#done = Promise.all(this.records.map((_, partition) => lane(partition)));
    this.#done.catch(() => undefined); // `stop` tells it
  }

  /** @returns how many records each partition has */
  async stop(): Promise<readonly number[]> {
    this.#stopped = true;
    await this.#done;
    return this.records;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#done.catch(() => undefined);
  }
}

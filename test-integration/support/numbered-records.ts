/** Records that are numbered per key, so that every loss, repetition and change of order shows. */
import type { Producer, Subscription } from '../../src/client/index.ts';
import { eventually } from './eventually.ts';

/** What keys there are: `key 0`, `key 1`, … */
export interface Numbering {
  readonly topic: string;
  readonly keys: number;
  /** Records of one key on their way at once. */
  readonly depth: number;
}

/** Publishes 0, 1, 2, … of every key without pause until it is stopped. */
export class NumberedPublishing {
  /** Per key, how many were acknowledged. */
  readonly acknowledged: number[];
  readonly refusals: unknown[] = [];
  readonly #producer: Producer;
  readonly #numbering: Numbering;
  readonly #next: number[];
  readonly #done: Promise<unknown>;
  #stopped = false;

  constructor(producer: Producer, numbering: Numbering) {
    this.#producer = producer;
    this.#numbering = numbering;
    this.#next = Array.from({ length: numbering.keys }, () => 0);
    this.acknowledged = [...this.#next];
    const lanes = this.#next.flatMap((_, key) =>
      Array.from({ length: numbering.depth }, () => this.#lane(key)),
    );
    this.#done = Promise.all(lanes);
  }

  /** All records that were acknowledged. */
  get total(): number {
    return this.acknowledged.reduce((sum, count) => sum + count, 0);
  }

  /** Resolves when so many more are acknowledged. */
  more(records: number): Promise<void> {
    const wanted = this.total + records;
    return eventually(`${records} more records`, () => this.total >= wanted, 60_000);
  }

  /** @returns how many records of each key were sent: all of them are answered by now */
  async stop(): Promise<readonly number[]> {
    this.#stopped = true;
    await this.#done;
    return this.#next;
  }

  async #lane(key: number): Promise<void> {
    const { topic } = this.#numbering;
    while (!this.#stopped) {
      const number = this.#next[key]!++;
      try {
        await this.#producer.send({ topic, key: `key ${key}`, value: String(number) });
        this.acknowledged[key]! += 1;
      } catch (error) {
        this.refusals.push(error);
        return;
      }
    }
  }
}

/** Reads such records. */
export class NumberedReading {
  /** Per key, the numbers in the order in which they came. */
  readonly numbers: number[][];
  readonly gaps: unknown[] = [];

  constructor(subscription: Subscription, keys: number) {
    this.numbers = Array.from({ length: keys }, () => []);
    subscription.on('gap', (gap) => this.gaps.push(gap));
    void this.#follow(subscription);
  }

  get total(): number {
    return this.numbers.reduce((sum, list) => sum + list.length, 0);
  }

  /** Resolves when so many records have come. */
  count(records: number): Promise<void> {
    return eventually(`${records} records read`, () => this.total >= records, 60_000);
  }

  /** First place of each key where the numbers are not 0, 1, 2, …; none when nothing is lost, repeated or out of order. */
  get faults(): string[] {
    return this.numbers.flatMap((numbers, key) => {
      const at = numbers.findIndex((number, n) => number !== n);
      return at < 0 ? [] : [`key ${key}: ${numbers.slice(Math.max(0, at - 2), at + 3).join()} at ${at}`];
    });
  }

  async #follow(subscription: Subscription): Promise<void> {
    for await (const record of subscription) {
      const key = Number(String(record.key).split(' ')[1]);
      this.numbers[key]!.push(Number(record.text()));
    }
  }
}

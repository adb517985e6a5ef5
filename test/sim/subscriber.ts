import type { PartitionReader, ReadResult } from '../../src/partition/reader.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { describeBatch, isSameBatch } from './committed.ts';
import type { Machine } from './machine.ts';
import type { SimCluster, SimServer } from './sim-cluster.ts';
import { Violation } from './violation.ts';
import { placed } from './watched-log.ts';

const CALL_TIMEOUT_MS = 3000;
/** A node answers after this long at the latest. */
const IDLE_MS = 1000;
const READ_BYTES = 600;
const RETRY_MS = 150;

/** A client that reads one partition from any copy, moves on with its next offset, and is slow at times. */
export class SimSubscriber {
  readonly name: string;
  readonly partition: number;
  /** Everything below it has been delivered or told as a gap. */
  nextOffset = 0;
  readonly #cluster: SimCluster;
  readonly #machine: Machine;
  readonly #random: SeededRandom;

  constructor(name: string, partition: number, cluster: SimCluster, machine: Machine, random: SeededRandom) {
    this.name = name;
    this.partition = partition;
    this.#cluster = cluster;
    this.#machine = machine;
    this.#random = random;
  }

  start(): void {
    this.#run().catch((error: unknown) => this.#cluster.fail(error));
  }

  async #run(): Promise<never> {
    for (;;) {
      const server = this.#random.pick(this.#cluster.servers);
      await this.#readFrom(server);
      await this.#pause(RETRY_MS * this.#random.fraction());
    }
  }

  /** Reads from one copy until it fails, or at times moves on. */
  async #readFrom(server: SimServer): Promise<void> {
    const { network } = this.#cluster;
    const ask = <T>(effect: () => T | Promise<T>): Promise<T | undefined> =>
      network.call(this.#machine, server.machine, CALL_TIMEOUT_MS, effect).catch(() => undefined);
    const reader = await ask(() => server.openReader(this.partition, this.nextOffset));
    if (!reader) return;
    for (;;) {
      const result = await ask(() => readWaiting(reader, server.machine));
      if (!result || result.kind === 'ended') break;
      this.#take(result, server.name);
      if (this.#random.chance(0.05)) await this.#pause(1000 * this.#random.fraction());
      if (this.#random.chance(0.1)) break;
    }
    network.send(this.#machine, server.machine, () => reader.close());
  }

  #take(result: ReadResult, from: string): void {
    if (result.kind === 'gap') {
      if (result.from !== this.nextOffset || result.to <= result.from) {
        throw this.#wrong(`${from} tells a gap from ${result.from} to ${result.to}`);
      }
      this.nextOffset = result.to;
    } else if (result.kind === 'batches') {
      for (const bytes of result.batches) this.#takeBatch(bytes, from);
    }
  }

  #takeBatch(bytes: Buffer, from: string): void {
    const batch = placed(bytes);
    const committed = this.#cluster.checker.committed(this.partition);
    const expected = committed.at(committed.indexOf(this.nextOffset));
    if (!expected || !isSameBatch(expected, batch)) {
      const what = expected ? describeBatch(expected.bytes) : 'nothing';
      throw this.#wrong(`${from} delivers ${describeBatch(bytes)}, committed there is ${what}`);
    }
    this.nextOffset = batch.nextOffset;
  }

  #wrong(what: string): Violation {
    return new Violation(
      'a subscriber sees every record once or a gap',
      `${this.name} at ${this.nextOffset}: ${what}`,
    );
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#machine.clock.setTimer(ms, resolve);
    });
  }
}

/** On the node: what there is, or idle after a while. */
async function readWaiting(reader: PartitionReader, machine: Machine): Promise<ReadResult> {
  const first = await reader.read(READ_BYTES);
  if (first.kind !== 'idle') return first;
  await new Promise<void>((resolve) => {
    const timer = machine.clock.setTimer(IDLE_MS, resolve);
    reader.onReadable = () => {
      timer.cancel();
      resolve();
    };
  });
  return reader.read(READ_BYTES);
}

import { describe, expect, it } from 'vitest';
import type { Partition } from '../../src/partition/partition.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { batchBaseOffset, batchNextOffset } from '../../src/wire/record-batch.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { batchOf } from '../support/batch.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { ObserverStage } from './observer-stage.ts';

const KiB = 1024;
const TAIL_BYTES = 16 * KiB;
const READ_BYTES = 8 * KiB;
/** The tail, what is kept of what is older, and a batch that is too large for either. */
const MOST_BYTES = TAIL_BYTES + 2 * READ_BYTES + 2 * 64 * KiB;
const NODES = ['b', 'c', 'd'];
const OBSERVING = ['a', 'p', 'q'];

/** A subscriber that remembers what it was given. */
class Subscriber {
  readonly reader: PartitionReader;
  readonly seen = new Map<number, string>();
  readonly faults: string[] = [];
  isEnded = false;
  #next: number;
  #isReading = false;

  constructor(reader: PartitionReader) {
    this.reader = reader;
    this.#next = reader.nextOffset;
  }

  /** Reads some, without being waited for. */
  async read(maxBytes: number, count: number): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    for (let n = 0; n < count && !this.isEnded; n++) {
      const result = await this.reader.read(maxBytes);
      if (result.kind === 'idle') break;
      if (result.kind === 'ended') this.isEnded = true;
      else if (result.kind === 'batches') result.batches.forEach((batch) => this.#take(batch));
      else if (result.from === this.#next) this.#next = result.to;
      else this.faults.push(`a gap from ${result.from} at ${this.#next}`);
    }
    this.#isReading = false;
  }

  #take(batch: Buffer): void {
    if (batchNextOffset(batch) <= this.#next) this.faults.push(`${batchBaseOffset(batch)} at ${this.#next}`);
    for (const { offset, value } of new RecordBatch(batch).records()) {
      if (offset < this.#next) continue;
      if (offset !== this.#next) this.faults.push(`${offset} after ${this.#next - 1}`);
      this.#next = offset + 1;
      this.seen.set(offset, String(value).slice(0, 12));
    }
  }
}

/** A cluster in which anything happens, as a seed says. */
class Story {
  readonly stage = new ObserverStage({ zone: 'y', tailBytes: TAIL_BYTES, readBytes: READ_BYTES });
  /** Those of one zone, who feed each other. */
  readonly observers = OBSERVING.map((id) => (id === 'a' ? this.stage.observers : this.stage.observe(id)));
  readonly subscribers: Subscriber[] = [];
  /** How often a copy was found that another one feeds. */
  chained = 0;
  readonly #random: SeededRandom;
  readonly #isUnclean: boolean;
  #epoch = 7;
  #written = 0;

  constructor(seed: number, isUnclean: boolean) {
    this.#random = new SeededRandom(seed);
    this.#isUnclean = isUnclean;
    this.stage.start(...NODES);
  }

  async tell(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      await this.#step();
      for (const one of this.observers) {
        expect(this.stage.open(one).log.retainedBytes).toBeLessThan(MOST_BYTES);
      }
      this.chained += this.observers.flatMap((one) =>
        [...one.partitions()].filter(({ isChained }) => isChained),
      ).length;
    }
    for (const id of [...NODES, ...OBSERVING]) this.stage.node(id).isReachable = true;
    for (const id of [...NODES, ...OBSERVING]) this.stage.node(id).delayMs = 0;
    this.#follow();
    await this.stage.pass(6000, 50);
    // An election that has lost something is only noticed when there is something else.
    this.#publish(1);
    this.#follow();
    await this.stage.pass(6000, 50);
    for (const one of this.subscribers) void one.read(KiB * KiB, 10_000);
    await this.stage.pass(6000, 50);
  }

  /** What is wrong, in words. */
  faults(): string[] {
    const { leader } = this.stage;
    const truth = contentOf(leader);
    return this.subscribers.flatMap((one, index) => {
      if (one.isEnded) return this.#isUnclean ? [] : [`subscriber ${index} was ended`];
      const wrong = [...one.seen].filter(([offset, value]) => (truth.get(offset) ?? value) !== value);
      return [
        ...one.faults,
        ...wrong.map(
          ([offset, value]) => `${offset} is ${truth.get(offset)}, subscriber ${index} was given ${value}`,
        ),
        ...(one.reader.nextOffset === leader.highWatermark
          ? []
          : [`subscriber ${index} is at ${one.reader.nextOffset} of ${leader.highWatermark}`]),
      ].slice(0, 3);
    });
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const pass = (): Promise<void> => this.stage.pass(10 * random.below(40));
    const steps: (() => void | Promise<void>)[] = [
      ...[pass, pass],
      () => this.#disturb(),
      () => this.#elect(),
      () => this.#delete(),
      () => this.#subscribe(),
      () => this.#follow(),
      () => this.#publish(random.below(3)),
      () => this.#publish(random.below(8)),
      () => this.subscribers.forEach((one) => void one.read(random.below(10 * KiB), random.below(6))),
    ];
    await steps[random.below(steps.length)]!();
  }

  #disturb(): void {
    const isOfThem = this.#random.below(3) > 0;
    const id = isOfThem ? this.#anyNode() : OBSERVING[this.#random.below(OBSERVING.length)]!;
    const node = this.stage.node(id);
    if (this.#random.below(2) === 0) node.isReachable = !node.isReachable;
    else node.delayMs = this.#random.below(80);
  }

  #anyNode(): string {
    return NODES[this.#random.below(NODES.length)]!;
  }

  #publish(count: number): void {
    for (let n = 0; n < count; n++) {
      const bytes = this.#random.below(10) === 0 ? 20 * KiB : this.#random.below(KiB);
      const records = Array.from({ length: 1 + this.#random.below(3) }, () => ({
        value: `${this.#written++}`.padEnd(bytes + 12),
      }));
      this.stage.leader.append(batchOf(records));
    }
  }

  /** Followers go back to what they share with the leader, and take what it has. */
  #follow(): void {
    const { leader } = this.stage;
    for (const { partition } of this.stage.nodes.values()) {
      if (partition === leader) continue;
      void partition.truncateTo(sharedEnd(partition, leader));
      this.stage.replicateTo(partition);
    }
  }

  #elect(): void {
    const id = this.#anyNode();
    const { partition } = this.stage.node(id);
    if (partition === this.stage.leader || this.#random.below(4) > 0) return;
    // Somebody who has not all that was committed may lead only where that is allowed.
    if (!this.#isUnclean) this.#follow();
    else void partition.truncateTo(partition.logEnd - this.#random.below(10));
    this.#epoch += 2;
    this.stage.lead(id, this.#epoch);
    if (this.#isUnclean) this.#publish(this.#random.below(8));
  }

  #delete(): void {
    if (this.#random.below(4) > 0) return;
    const { leader } = this.stage;
    const span = leader.highWatermark - leader.logStart;
    leader.deleteBefore(leader.logStart + this.#random.below(span + 1));
  }

  async #subscribe(): Promise<void> {
    if (this.subscribers.length >= 12) return;
    const at = (['latest', 'earliest'] as const)[this.#random.below(2)]!;
    const observers = this.observers[this.#random.below(this.observers.length)];
    const opening = Promise.resolve(this.stage.open(observers).openReader({ at })).then(
      (reader) => this.subscribers.push(new Subscriber(reader)),
      () => undefined,
    );
    await Promise.race([opening, this.stage.settle()]);
  }
}

/** Each retained record by its offset. */
function contentOf({ log, logStart, logEnd }: Partition): Map<number, string> {
  const batches = log.read(logStart, logEnd, Infinity) as readonly Buffer[];
  const records = batches.flatMap((batch) => [...new RecordBatch(batch).records()]);
  return new Map(records.map(({ offset, value }) => [offset, String(value).slice(0, 12)]));
}

/** Up to where two logs have the same. */
function sharedEnd(one: Partition, other: Partition): number {
  const here = one.log.read(one.logStart, one.logEnd, Infinity) as readonly Buffer[];
  const there = contentOf(other);
  for (const batch of here) {
    for (const { offset, value } of new RecordBatch(batch).records()) {
      const isSame = offset < other.logStart || there.get(offset) === String(value).slice(0, 12);
      if (!isSame) return batchBaseOffset(batch);
    }
  }
  return one.logEnd;
}

describe('whatever happens to the nodes that keep a partition', () => {
  for (let seed = 1; seed <= 6; seed++) {
    it(`readers of a copy get every record once, in order, or are told what is gone (seed ${seed})`, async () => {
      const story = new Story(seed, false);
      await story.tell(200);
      expect(story.subscribers.length).toBeGreaterThan(3);
      expect(story.chained).toBeGreaterThan(0);
      expect(story.faults()).toEqual([]);
    });

    it(`and after elections that lose records, nobody goes on who has read what is lost (seed ${seed})`, async () => {
      const story = new Story(seed, true);
      await story.tell(200);
      expect(story.faults()).toEqual([]);
    });
  }
});

import type { CopyAnswer, CopyReader, CopyRequest } from '../../src/observers/copy-reader.ts';
import type { ObserverLimits } from '../../src/observers/observers.ts';
import { Observers } from '../../src/observers/observers.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { stampedBatch } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { StageCluster, TOPIC } from './observer-stage.ts';

interface Asked {
  readonly nodeId: string;
  readonly request: CopyRequest;
  readonly answer: (answer: CopyAnswer) => void;
}

/** Batches of one record each, for the offsets [from, end). */
export function batches(from: number, end: number, epoch: number): Buffer[] {
  return Array.from({ length: end - from }, (_, n) => stampedBatch(from + n, 1, epoch));
}

/** Nodes `b`, which leads, and `c`, whose answers the test says, one by one. */
export class ScriptedSource implements CopyReader {
  readonly clock = new FakeClock();
  readonly cluster = new StageCluster();
  readonly observers: Observers;
  /** What the leader says where it is asked for the offset of a time. */
  leaderOffset = 0;
  readonly #asked: Asked[] = [];

  constructor(limits: Partial<ObserverLimits> = {}) {
    for (const id of ['a', 'b', 'c']) this.cluster.join(id);
    this.cluster.put({ leader: 'b', leaderEpoch: 7, isr: ['b', 'c'] });
    this.observers = new Observers({
      ...{ coordinator: this.cluster, reader: this, zone: '', clock: this.clock, limits },
      random: new SeededRandom(1),
      counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
      inflatedMaxBytes: 1024 * 1024,
    });
  }

  /** A copy that has begun at the end of a log of so many records, of which it has the last. */
  async begin(logEnd: number, epoch: number): Promise<Partition> {
    const copy = this.observers.open(TOPIC, 0);
    await this.answer(0, { highWatermark: logEnd, logEnd });
    await this.answer(logEnd - 1, {
      ...{ highWatermark: logEnd, logEnd, batches: batches(logEnd - 1, logEnd, epoch) },
    });
    return copy;
  }

  read(nodeId: string, request: CopyRequest): Promise<CopyAnswer> {
    return new Promise((answer) => this.#asked.push({ nodeId, request, answer }));
  }

  listOffsets(): Promise<readonly number[]> {
    return Promise.resolve([this.leaderOffset]);
  }

  /** Reads that are not answered, as `node: offset`, with the range and the epoch where they have one. */
  get asked(): string[] {
    return this.#asked.map(({ nodeId, request: { offset, upTo, lastEpoch } }) =>
      [`${nodeId}: ${offset}`, upTo && `to ${upTo}`, lastEpoch !== undefined && `after ${lastEpoch}`]
        .filter(Boolean)
        .join(' '),
    );
  }

  /** Answers the oldest read that asks for that offset. @throws TypeError when there is none */
  async answer(offset: number, answer: Partial<CopyAnswer>): Promise<void> {
    const index = this.#asked.findIndex(({ request }) => request.offset === offset);
    const [asked] = index < 0 ? [] : this.#asked.splice(index, 1);
    if (!asked) throw new TypeError(`nobody asks for ${offset}, only for ${this.asked.join(', ')}`);
    asked.answer({ leaderEpoch: 7, logStart: 0, highWatermark: 0, logEnd: 0, batches: [], ...answer });
    await turns();
  }
}

import type { Clock } from '../../kernel/clock.ts';
import type { GroupAnswerInit } from '../api.ts';
import { holesOf } from './batch-inspection.ts';
import { batchToSend } from './leased-batch.ts';
import { momentOf } from './moment.ts';
import type { PartitionRunner } from './partition-runner.ts';
import type { DeliveredRun } from './queue-runs.ts';
import type { WalkedBatch } from './walk.ts';
import { walkOpen } from './walk.ts';

type BrowsedBatch = NonNullable<GroupAnswerInit<'browseQueue'>['batches']>[number];
type Position = NonNullable<GroupAnswerInit<'browseQueue'>['next']>[number];

/** Where to look. */
export interface BrowsedPartition {
  readonly runner: PartitionRunner;
  readonly from: number;
  /** Exclusive; what readers see. */
  readonly end: number;
}

/** Bounds of one answer. */
export interface BrowseLimits {
  readonly records: number;
  /** Of batches; one comes even when it alone is larger. */
  readonly bytes: number;
}

/** Gathers records of some partitions that are not done, one partition after the other, until a bound is reached. */
export class Browse {
  readonly #batches: BrowsedBatch[] = [];
  readonly #next: Position[] = [];
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  #records: number;
  #bytes: number;
  #isAll = true;

  constructor({ records, bytes }: BrowseLimits, clock: Clock, signal: AbortSignal | undefined) {
    this.#records = records;
    this.#bytes = bytes;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Looks into one more partition. @throws what reading throws; CANCELLED */
  async add({ runner, from, end }: BrowsedPartition): Promise<void> {
    const next = Math.max(from, this.#isFull ? from : await this.#gather(runner, from, end));
    if (next < end) this.#isAll = false;
    this.#next.push({ partition: runner.partition, offset: BigInt(next) });
  }

  /** What was found. */
  answer(): { batches: BrowsedBatch[]; next: Position[] } {
    return { batches: this.#batches, next: this.#isAll ? [] : this.#next };
  }

  get #isFull(): boolean {
    return this.#records <= 0 || this.#bytes <= 0;
  }

  /** @returns where to go on */
  async #gather(runner: PartitionRunner, first: number, end: number): Promise<number> {
    const walk = { runner, clock: this.#clock, first, end, offers: false, signal: this.#signal };
    for await (const found of walkOpen(walk)) {
      const runs = openRuns(runner, found, this.#records, this.#clock);
      const last = runs.at(-1);
      if (!last) continue;
      const batch = batchToSend(found.batch, runs);
      if (batch.length > this.#bytes && this.#batches.length > 0) {
        this.#bytes = 0;
        return runs[0]!.first;
      }
      this.#batches.push({ partition: runner.partition, batch, records: runs.map(runToWire) });
      this.#bytes -= batch.length;
      for (const run of runs) this.#records -= run.end - run.first;
      if (this.#isFull) return last.end;
    }
    return end;
  }
}

/** A run as an answer carries it. */
export function runToWire({ first, end, attempts }: DeliveredRun): {
  first: bigint;
  end: bigint;
  attempt: number;
} {
  return { first: BigInt(first), end: BigInt(end), attempt: attempts };
}

/** What of a batch is not done, at most so many records. */
function openRuns(
  { state }: PartitionRunner,
  { batch, first, end }: WalkedBatch,
  maxRecords: number,
  clock: Clock,
): DeliveredRun[] {
  const runs: DeliveredRun[] = [];
  for (const run of state.open(first, maxRecords, momentOf(clock))) {
    if (run.first >= end) break;
    runs.push({ first: run.first, end: Math.min(run.end, end), attempts: run.attempts });
  }
  let at = Math.max(first, state.cursor);
  const holes = at < end ? [...holesOf(batch, at, end), { first: end, end }] : [];
  for (const hole of holes) {
    if (hole.first > at) runs.push({ first: at, end: hole.first, attempts: 0 });
    at = hole.end;
  }
  return cut(runs, maxRecords);
}

function cut(runs: readonly DeliveredRun[], maxRecords: number): DeliveredRun[] {
  const kept: DeliveredRun[] = [];
  let left = maxRecords;
  for (const run of runs) {
    if (left <= 0) break;
    const end = Math.min(run.end, run.first + left);
    kept.push({ ...run, end });
    left -= end - run.first;
  }
  return kept;
}

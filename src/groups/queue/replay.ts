import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { isInternalTopic, isTopicName } from '../../catalog/topic-name.ts';
import { DEAD_LETTER_PREFIX } from '../api.ts';
import type { TopicFacts, Topics } from '../ports.ts';
import { byPartition, isTooLarge } from './dead-letters.ts';
import type { PastRecord } from './find-records.ts';
import { findRecords } from './find-records.ts';
import { tooMuchHeld } from './held-bound.ts';
import { originOf } from './moved-record.ts';
import type { MoveLane, Mover } from './mover.ts';
import { MOVE_MAX_BYTES, MOVE_MAX_RECORDS } from './mover.ts';
import type { PartitionRunner } from './partition-runner.ts';
import type { OffsetRun } from './queue-event.ts';
import type { OpenRun } from './queue-runs.ts';
import { walkOpen } from './walk.ts';

/** What {@link Replay} needs. */
export interface ReplayOptions {
  readonly runner: PartitionRunner;
  readonly mover: Mover;
  readonly topics: Topics;
  readonly clock: Clock;
  /** Topic of the queue. */
  readonly topic: string;
  /** Where to; empty: where each record says it came from. */
  readonly destination: string;
  readonly signal?: AbortSignal | undefined;
}

/** Moves records of one partition of a queue to where they are wanted, in order. */
export class Replay {
  /** Records moved so far. */
  moved = 0;
  /** Records that do not say where they came from, or may not go there; they are as before. */
  homeless = 0;
  readonly #options: ReplayOptions;
  readonly #lanes = new Map<string, MoveLane>();
  /** Taken, and not moved yet. */
  #taken: OpenRun[] = [];
  #takenRecords = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  /**
   * Moves what of `[first, end)` is neither done nor leased. What was moved stays moved when it throws.
   * @throws what reading and publishing throw that cannot be helped by trying again; CANCELLED; OVERLOADED
   */
  async run({ first, end }: OffsetRun): Promise<void> {
    const { runner, clock, signal } = this.#options;
    runner.unpark();
    try {
      for await (const found of walkOpen({ runner, clock, first, end, offers: true, signal })) {
        this.#checkRoom(found);
        for (const run of runner.state.takeRange(found.first, found.end)) {
          this.#taken.push(run);
          this.#takenRecords += run.end - run.first;
        }
        if (this.#takenRecords >= MOVE_MAX_RECORDS) await this.#moveTaken();
      }
      await this.#moveTaken();
    } finally {
      this.#giveBack(this.#taken);
      runner.changed();
    }
  }

  /** Those that stay where others go make runs shorter, and more. */
  #checkRoom({ first, end }: OffsetRun): void {
    const { state, cutMaxBytes } = this.#options.runner;
    if (state.heldBytes < cutMaxBytes) return;
    if (this.homeless > 0 || state.discardGrows(first, end)) tooMuchHeld();
  }

  async #moveTaken(): Promise<void> {
    while (this.#taken.length > 0) {
      const runs = firstRecords(this.#taken, MOVE_MAX_RECORDS);
      const { runner, signal } = this.#options;
      if (signal?.aborted) throw new SluiceError('CANCELLED', 'the asker has gone');
      const found = await findRecords(runner.batches, runs, MOVE_MAX_BYTES);
      for (const { first, end } of found.gone) runner.skip(first, end);
      for (const [name, records] of this.#byDestination(found.records)) await this.#moveTo(name, records);
      // What was not moved is as before, for whoever wants it.
      this.#giveBack(cutAbove(runs, found.upTo));
      this.#taken = cutBelow(this.#taken, found.upTo);
    }
    this.#takenRecords = 0;
  }

  async #moveTo(name: string, records: readonly PastRecord[]): Promise<void> {
    const { topics, runner } = this.#options;
    const to = topics.find(name) ?? (await topics.findOrCreate(name));
    for (const [partition, group] of byPartition(records, to.partitions, runner.partition)) {
      await this.#move(to, partition, group);
    }
  }

  async #move(to: TopicFacts, partition: number, records: readonly PastRecord[]): Promise<void> {
    const { mover } = this.#options;
    const key = `${to.id}/${partition}`;
    const lane = this.#lanes.get(key) ?? (await mover.lane(to.name, partition));
    this.#lanes.set(key, lane);
    const outcome = await mover.move(lane, 'replay', records);
    if (outcome.kind === 'moved') this.moved += records.length;
    if (outcome.kind !== 'refused') return;
    if (!isTooLarge(outcome.error) || records.length === 1) throw outcome.error;
    for (const record of records) await this.#move(to, partition, [record]);
  }

  #byDestination(records: readonly PastRecord[]): Map<string, PastRecord[]> {
    const groups = new Map<string, PastRecord[]>();
    for (const record of records) {
      const name = this.#destinationOf(record);
      const group = name === undefined ? undefined : groups.get(name);
      if (name === undefined) this.homeless++;
      else if (group) group.push(record);
      else groups.set(name, [record]);
    }
    return groups;
  }

  /** What a header says was written by whoever could publish here: it leads to no internal topic, and out of `dlq.<topic>` to that topic only. */
  #destinationOf(record: PastRecord): string | undefined {
    const { destination, topic } = this.#options;
    if (destination !== '') return destination;
    const origin = originOf(record.headers);
    if (origin === undefined || !isTopicName(origin) || isInternalTopic(origin)) return undefined;
    if (topic.startsWith(DEAD_LETTER_PREFIX) && topic !== DEAD_LETTER_PREFIX + origin) return undefined;
    return origin;
  }

  #giveBack(runs: readonly OffsetRun[]): void {
    for (const { first, end } of runs) this.#options.runner.state.giveBack(first, end);
  }
}

/** Of these runs the first `maxRecords` offsets. */
function firstRecords(runs: readonly OpenRun[], maxRecords: number): OpenRun[] {
  const taken: OpenRun[] = [];
  let left = maxRecords;
  for (const run of runs) {
    if (left === 0) break;
    const end = Math.min(run.end, run.first + left);
    taken.push({ ...run, end });
    left -= end - run.first;
  }
  return taken;
}

function cutAbove(runs: readonly OpenRun[], end: number): OpenRun[] {
  return runs.filter((run) => run.first < end).map((run) => ({ ...run, end: Math.min(run.end, end) }));
}

function cutBelow(runs: readonly OpenRun[], first: number): OpenRun[] {
  return runs.filter((run) => run.end > first).map((run) => ({ ...run, first: Math.max(run.first, first) }));
}

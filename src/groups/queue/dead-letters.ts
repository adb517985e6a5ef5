import { Backoff } from '../../kernel/backoff.ts';
import type { Timer } from '../../kernel/clock.ts';
import type { ErrorCode, SluiceError } from '../../kernel/errors.ts';
import { partitionOfKey } from '../../wire/partitioner.ts';
import type { TopicFacts } from '../ports.ts';
import type { PastRecord } from './find-records.ts';
import { findRecords } from './find-records.ts';
import type { MoveLane, Mover, MoverOptions } from './mover.ts';
import { MOVE_MAX_BYTES, MOVE_MAX_RECORDS } from './mover.ts';
import type { OffsetRun } from './queue-event.ts';
import type { DeadRun } from './queue-runs.ts';

const RETRY = { minMs: 100, maxMs: 60_000 } as const;

/** After so long a dead letter is tried again that its topic has refused. */
const REFUSED_RETRY_MS = 60_000;

const TOO_LARGE: ReadonlySet<ErrorCode> = new Set(['BATCH_TOO_LARGE', 'RECORD_TOO_LARGE', 'KEY_TOO_LARGE']);

/** What {@link DeadLetters} needs. */
export interface DeadLettersOptions extends MoverOptions {
  readonly mover: Mover;
  /** Where dead letters of the queue go, now. */
  readonly destination: () => string;
  /** Records have been moved. */
  readonly onMoved: (records: number) => void;
}

/** Moves the dead letters of one partition of a queue to their topic, one batch at a time, as soon as there are any. */
export class DeadLetters {
  readonly #options: DeadLettersOptions;
  readonly #backoff: Backoff;
  readonly #lanes = new Map<number, MoveLane>();
  /** Dead letters that are too large for their topic. They stay taken until they are tried again. */
  readonly #refused = new Set<number>();
  #isRunning = false;
  #pause: Timer | undefined;
  #refusedTimer: Timer | undefined;
  #isClosed = false;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    this.#backoff = new Backoff(RETRY, options.random);
  }

  /** Dead letters that their topic does not take. */
  get refusedCount(): number {
    return this.#refused.size;
  }

  /** There may be dead letters. */
  wake(): void {
    if (this.#isRunning || this.#isClosed || this.#pause) return;
    this.#isRunning = true;
    void this.#run();
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#pause?.cancel();
    this.#refusedTimer?.cancel();
  }

  async #run(): Promise<void> {
    const { state } = this.#options.runner;
    while (this.#isRunning && !this.#isClosed) {
      const dead = state.takeDead(MOVE_MAX_RECORDS).flatMap((run) => this.#withoutRefused(run));
      // Whoever dies from now on wakes it again.
      if (dead.length === 0) {
        this.#isRunning = false;
        return;
      }
      try {
        await this.#moveSome(dead);
        this.#backoff.reset();
      } catch (error) {
        this.#options.onTrouble('dead-letters', error);
        this.#lanes.clear();
        this.#isRunning = false;
        this.#waitAWhile();
      } finally {
        this.#giveBack(dead);
      }
    }
  }

  async #moveSome(dead: readonly DeadRun[]): Promise<void> {
    const { runner, destination, topics, topic } = this.#options;
    const found = await findRecords(runner.batches, dead, MOVE_MAX_BYTES);
    for (const { first, end } of found.gone) runner.skip(first, end);
    if (found.records.length === 0) return;
    const name = destination();
    const to = topics.find(name) ?? (await topics.ensureLike(name, topic));
    for (const [partition, records] of byPartition(found.records, to.partitions, runner.partition)) {
      await this.#move(to, partition, records);
    }
  }

  async #move(to: TopicFacts, partition: number, records: readonly PastRecord[]): Promise<void> {
    const { mover, onMoved } = this.#options;
    const outcome = await mover.move(await this.#lane(to, partition), 'dead-letter', records);
    switch (outcome.kind) {
      case 'moved':
        onMoved(records.length);
        return;
      case 'not-free':
        return;
      case 'refused':
        if (!isTooLarge(outcome.error)) throw outcome.error;
        if (records.length === 1) this.#refuse(records[0]!.offset);
        else for (const record of records) await this.#move(to, partition, [record]);
    }
  }

  async #lane(to: TopicFacts, partition: number): Promise<MoveLane> {
    const lane = this.#lanes.get(partition) ?? (await this.#options.mover.lane(to.name, partition));
    this.#lanes.set(partition, lane);
    return lane;
  }

  /** Those of a run that are to be tried now; the others stay taken. */
  #withoutRefused(run: DeadRun): DeadRun[] {
    if (this.#refused.size === 0) return [run];
    const wanted: DeadRun[] = [];
    for (let offset = run.first; offset < run.end; offset++) {
      if (!this.#refused.has(offset)) wanted.push({ ...run, first: offset, end: offset + 1 });
    }
    return wanted;
  }

  #refuse(offset: number): void {
    this.#refused.add(offset);
    this.#refusedTimer ??= this.#options.clock.setTimer(REFUSED_RETRY_MS, () => {
      this.#refusedTimer = undefined;
      const refused = [...this.#refused];
      this.#refused.clear();
      for (const one of refused) this.#options.runner.state.giveBack(one, one + 1);
      this.wake();
    });
  }

  #giveBack(runs: readonly OffsetRun[]): void {
    for (const { first, end } of runs) this.#options.runner.state.giveBack(first, end);
  }

  #waitAWhile(): void {
    if (this.#isClosed) return;
    this.#pause = this.#options.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#pause = undefined;
      this.wake();
    });
  }
}

/** Whether a topic will never take a batch of this size. */
export function isTooLarge({ code }: SluiceError): boolean {
  return TOO_LARGE.has(code);
}

/**
 * Records by the partition of a topic that they belong to: that of their key, or one for all without.
 * @param withoutKey partition they come from
 */
export function byPartition(
  records: readonly PastRecord[],
  partitions: number,
  withoutKey: number,
): Map<number, PastRecord[]> {
  const groups = new Map<number, PastRecord[]>();
  for (const record of records) {
    const { key } = record;
    const partition = key === null ? withoutKey % partitions : partitionOfKey(key, partitions);
    const group = groups.get(partition);
    if (group) group.push(record);
    else groups.set(partition, [record]);
  }
  return groups;
}

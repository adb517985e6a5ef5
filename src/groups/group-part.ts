import type { GroupAsker, GroupAnswerInit, GroupCase, GroupQuestion, GroupQuestionInit } from './api.ts';
import type { StateLog, Topics } from './ports.ts';
import type { BatchMemory } from './queue/batch-memory.ts';
import type { PartitionBudget } from './queue/partition-budget.ts';
import type { StateBudget } from './queue/state-budget.ts';
import type { Trouble } from './trouble.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';

/** What a part of a coordinator is built with. */
export interface GroupPartOptions {
  /** The partition of `__groups` whose state this is, in one epoch that this node leads it. */
  readonly log: StateLog;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly random: Random;
  /** What the queues of all coordinators of the node hold. */
  readonly budget: PartitionBudget;
  /** What their states take in memory. */
  readonly stateBudget: StateBudget;
  /** The batches that they have at hand. */
  readonly batchMemory: BatchMemory;
  /** See `termOf`. */
  readonly term: number;
  /** This node, as `coordinator_node_id` of answers. */
  readonly nodeId: string;
  /**
   * A fact could not be stored, or a change went wrong half-way, after which memory may say something else than the log: the coordinator closes all its
   * parts, and whoever leads then loads the state again.
   */
  readonly onFailure: (error: unknown) => void;
  /** Releases leases, at whoever coordinates their queue now, of which nobody could be told. Must not throw. */
  readonly releaseUntold: (release: GroupQuestionInit<'settle'>) => void;
  /** Told each time that work fails which is tried again; must not throw. */
  readonly onTrouble: (trouble: Trouble) => void;
}

/** Counts of a part for metrics: `<what>` to how many there are, or have been since the coordinator began. */
export type GroupPartCounts = Readonly<Record<string, number>>;

/**
 * Consumer groups, or queues, of one partition of `__groups`.
 *
 * Its life: `load` for each fact, `start`, `ask` many times, `close`. Nothing is told to anybody before what it rests on is stored: an answer comes
 * after the `StateLog.append` of what it says has resolved. Memory may run ahead of the log, answers may not.
 */
export interface GroupPart {
  /**
   * While the state is loaded, in the order of the log: the last of each key counts.
   * @param key of this part, split at `/`
   * @param value null: the key is gone
   * @throws CORRUPT_LOG, or what decoding throws: the coordinator does not start
   */
  load(key: readonly string[], value: Buffer | null): void;
  /** All is loaded, from now on questions come. Time-outs of members and leases begin anew, in full, now. */
  start(): void;
  /**
   * A question of this part.
   * @param signal the asker has gone: what waits is given up, and nothing is leased any more
   * @param asker who it is
   * @throws SluiceError what the asker is told; NOT_LEADER once closed
   */
  ask<C extends GroupCase>(
    name: C,
    question: GroupQuestion<C>,
    signal?: AbortSignal,
    asker?: GroupAsker,
  ): Promise<GroupAnswerInit<C>>;
  /** Nobody gets an answer of {@link ask}: what it has given to the asker is taken back, by whoever coordinates it now. */
  undelivered<C extends GroupCase>(name: C, question: GroupQuestion<C>, answer: GroupAnswerInit<C>): void;
  /** The node leads no more: waiting questions are answered NOT_LEADER, timers end, cursors close. Idempotent. */
  close(): void;
  /** Plain numbers, read when metrics are scraped. */
  counts(): GroupPartCounts;
}

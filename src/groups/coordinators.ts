import { Backoff } from '../kernel/backoff.ts';
import type { Timer } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { GroupAsking, GroupAnswerInit, GroupCase, GroupQuestion } from './api.ts';
import type { CoordinatorOptions } from './coordinator.ts';
import { GroupCoordinator } from './coordinator.ts';
import type { Counted } from './counted.ts';
import { CountedParts } from './counted.ts';
import type { LedState } from './led-state.ts';
import { notCoordinator } from './not-coordinator.ts';
import { BatchMemory } from './queue/batch-memory.ts';
import { PartitionBudget } from './queue/partition-budget.ts';
import { StateBudget } from './queue/state-budget.ts';
import { termOf } from './term.ts';
import type { Trouble } from './trouble.ts';
import { WORKS } from './trouble.ts';

/** First and longest wait before a coordinator that has failed is loaded again, milliseconds. */
const AGAIN_MS = { minMs: 100, maxMs: 5000 };

/** Told how coordinators fare; must not throw. */
export interface CoordinatorObserver {
  onLoaded(partition: number, leaderEpoch: number, facts: number, ms: number): void;
  /** It will be loaded again, as long as this node leads. */
  onFailed(partition: number, leaderEpoch: number, error: SluiceError): void;
  /** Work has failed that it tries again by itself. */
  onTrouble(trouble: Trouble): void;
}

/** What coordinators of a node are made of. */
export interface CoordinatorsOptions extends Omit<
  CoordinatorOptions,
  'state' | 'budget' | 'stateBudget' | 'batchMemory' | 'term' | 'onLoaded' | 'onFailed' | 'onTrouble'
> {
  /** Partitions that the queues of all of them may hold before no new queue is made. */
  readonly maxQueuePartitions: number;
  /** What the states of all queues may take in memory before they only shrink, but for a little each; bytes. */
  readonly maxQueueStateBytes: number;
  /** Batches that all queues have at hand: read ahead, or for another delivery. */
  readonly maxQueueBatchBytes: number;
  readonly observer?: Partial<CoordinatorObserver> | undefined;
}

/** What all coordinators of a node count together. */
export interface CoordinatorCounts {
  /** Partitions of `__groups` that this node leads and has loaded. */
  readonly open: number;
  readonly loading: number;
  /** Coordinators that ended because something could not be loaded or stored. */
  readonly failures: number;
  /** How often work failed that is tried again, by what it is. */
  readonly troubles: Readonly<Record<string, number>>;
  readonly groups: Counted;
  readonly queues: Counted;
}

interface Held {
  readonly state: LedState;
  readonly backoff: Backoff;
  /** How often it was begun to be loaded. */
  loads: number;
  /** When it was loaded last; monotonic, milliseconds. */
  loadedMs: number;
  /** Undefined: it has failed, and waits to be loaded again. */
  coordinator: GroupCoordinator | undefined;
  again: Timer | undefined;
}

/** The coordinators of a node: one for each partition of `__groups` that it leads. */
export class Coordinators {
  readonly #options: CoordinatorsOptions;
  readonly #held = new Map<number, Held>();
  readonly #budget: PartitionBudget;
  readonly #stateBudget: StateBudget;
  readonly #batchMemory: BatchMemory;
  readonly #groups = new CountedParts(['groups', 'members', 'offsets', 'unassigned_partitions']);
  readonly #queues = new CountedParts([
    'queues',
    'partitions',
    'heldBytes',
    'waiting',
    'ready',
    'delayed',
    'leased',
    'moving',
    'refusedDeadLetters',
  ]);
  #failures = 0;
  readonly #troubles: Record<string, number> = Object.fromEntries(WORKS.map((work) => [work, 0]));

  constructor(options: CoordinatorsOptions) {
    this.#options = options;
    this.#budget = new PartitionBudget(options.maxQueuePartitions);
    this.#stateBudget = new StateBudget(options.maxQueueStateBytes);
    this.#batchMemory = new BatchMemory(options.maxQueueBatchBytes);
  }

  /** The epoch in which a partition is coordinated here; undefined: it is not. */
  epochOf(partition: number): number | undefined {
    return this.#held.get(partition)?.state.leaderEpoch;
  }

  /** This node leads a partition in a new epoch. What it did in an earlier one ends. */
  lead(state: LedState): void {
    this.end(state.partition);
    const held: Held = {
      ...{ state, coordinator: undefined, again: undefined, loads: 0, loadedMs: Infinity },
      backoff: new Backoff(AGAIN_MS, this.#options.random),
    };
    this.#held.set(state.partition, held);
    this.#start(held);
  }

  /** This node leads a partition no more. */
  end(partition: number): void {
    const held = this.#held.get(partition);
    if (!held) return;
    this.#held.delete(partition);
    held.again?.cancel();
    if (held.coordinator) this.#note(held.coordinator);
    held.coordinator?.close();
  }

  /**
   * Asks the coordinator of a partition; waits while that loads its state.
   * @throws NOT_LEADER when there is none here; what it answers
   */
  ask<C extends GroupCase>(
    partition: number,
    name: C,
    question: GroupQuestion<C>,
    asking: Partial<GroupAsking> = {},
  ): Promise<GroupAnswerInit<C>> {
    const coordinator = this.#held.get(partition)?.coordinator;
    return coordinator ? coordinator.ask(name, question, asking) : Promise.reject(notCoordinator());
  }

  counts(): CoordinatorCounts {
    const all = [...this.#held.values()].flatMap(({ coordinator }) => coordinator ?? []);
    const open = all.filter(({ isOpen }) => isOpen);
    const counts = open.map((coordinator) => coordinator.counts());
    const queues = this.#queues.sum(counts.map((one) => one.queues));
    return {
      ...{ open: open.length, loading: this.#held.size - open.length },
      ...{ failures: this.#failures, troubles: { ...this.#troubles } },
      groups: this.#groups.sum(counts.map(({ groups }) => groups)),
      queues: { ...queues, now: { ...queues.now, batchBytes: this.#batchMemory.bytes } },
    };
  }

  /** Ends all. */
  close(): void {
    for (const partition of [...this.#held.keys()]) this.end(partition);
  }

  #start(held: Held): void {
    const { observer, clock, ...options } = this.#options;
    const { partition, leaderEpoch } = held.state;
    held.coordinator = new GroupCoordinator({
      ...{ ...options, clock, state: held.state, budget: this.#budget, stateBudget: this.#stateBudget },
      batchMemory: this.#batchMemory,
      term: termOf(leaderEpoch, held.loads++),
      onTrouble: (trouble) => {
        this.#troubles[trouble.work]! += 1;
        observer?.onTrouble?.(trouble);
      },
      onLoaded: (facts, ms) => {
        held.loadedMs = clock.monotonicMs();
        observer?.onLoaded?.(partition, leaderEpoch, facts, ms);
      },
      onFailed: (error) => {
        this.#failures += 1;
        if (held.coordinator) this.#note(held.coordinator);
        held.coordinator = undefined;
        // What fails as soon as it is loaded is not loaded without a pause.
        if (clock.monotonicMs() - held.loadedMs >= AGAIN_MS.maxMs) held.backoff.reset();
        held.loadedMs = Infinity;
        observer?.onFailed?.(partition, leaderEpoch, error);
        if (this.#held.get(partition) !== held) return;
        held.again = clock.setTimer(held.backoff.nextMs(), () => this.#start(held));
      },
    });
  }

  /** What it has counted outlives it. */
  #note(coordinator: GroupCoordinator): void {
    const { groups, queues } = coordinator.counts();
    this.#groups.end(groups);
    this.#queues.end(queues);
  }
}

import type { Cluster, PartitionEntry, PartitionState, UpdateResult } from '../coordination/cluster.ts';
import type { Coordinator, Unwatch } from '../coordination/coordinator.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';
import type { ControllerCounters } from './counters.ts';
import { ControllerMemory } from './memory.ts';
import type { PlannedUpdate } from './plan-input.ts';
import { keyOf, keysOf } from './plan-input.ts';
import { Planner } from './plan.ts';
import type { ControllerPolicy } from './policy.ts';

/** The share of its time that a controller spends on planning at most, but for nodes that come or go: 1 in so many. */
const PLANNING_SHARE = 10;
/** Changes of membership that come together are one: leases of a machine's nodes end within moments. */
const MEMBERSHIP_COALESCE_MS = 5;

/** Who is told of what a controller does; must not throw. */
export interface ReignListener {
  /** A state was changed. */
  onChanged(update: PlannedUpdate): void;
  /** A change failed, other than because somebody else was first; it is planned again. */
  onFailed(update: PlannedUpdate, error: SluiceError): void;
  /** Every partition is where it would be placed now. */
  onBalanced(): void;
}

/** What a reign is made of. */
export interface ReignOptions {
  readonly coordinator: Pick<Coordinator, 'topics' | 'watchTopics'> & {
    readonly cluster: Pick<
      Cluster,
      'nodes' | 'watchNodes' | 'partitionStates' | 'watchPartitions' | 'updatePartition'
    >;
  };
  readonly clock: Clock;
  readonly policy: ControllerPolicy;
  readonly term: number;
  readonly counters: ControllerCounters;
  readonly listener: ReignListener;
  /** Whether somebody has asked for replicas to be moved to where they would be placed now. */
  readonly isRebalancing: () => boolean;
}

/**
 * What a node does from its election as controller until it is controller no more.
 *
 *     change, tick ──(a moment)──> plan ──> queue ──> at most `updatesAtOnce` under way ──> updated: its watch brings the next change
 *                                   └─ replaces what of the last plan has not been begun     conflict, failed: planned again
 *
 * Every change holds only at the revision it was planned for and in this term, so however late it arrives it does no harm.
 */
export class Reign {
  readonly #options: ReignOptions;
  readonly #planner = new Planner();
  readonly #memory: ControllerMemory;
  readonly #states = new Map<string, PartitionEntry>();
  readonly #underWay = new Map<string, PartitionState>();
  readonly #restingUntilMs = new Map<string, number>();
  readonly #unwatch: readonly Unwatch[];
  #queue: readonly PlannedUpdate[] = [];
  #nextInQueue = 0;
  #timer: Timer | undefined;
  /** When the timer is due. */
  #dueMs = Infinity;
  /** When a plan is wanted, beside that of the next tick. */
  #wantedMs = Infinity;
  #tickAtMs: number;
  /** Before it only changes of membership are planned for. */
  #mayPlanMs = -Infinity;
  #isOver = false;

  constructor(options: ReignOptions) {
    this.#options = options;
    const { coordinator, clock, policy } = options;
    const { cluster } = coordinator;
    this.#memory = new ControllerMemory(() => clock.monotonicMs(), policy.renameAfterMs);
    this.#tickAtMs = clock.monotonicMs() + policy.tickMs;
    for (const entry of cluster.partitionStates())
      this.#states.set(keyOf(entry.topicId, entry.partition), entry);
    this.#unwatch = [
      cluster.watchNodes(() => this.#wake(MEMBERSHIP_COALESCE_MS)),
      coordinator.watchTopics(() => this.#wake(MEMBERSHIP_COALESCE_MS)),
      cluster.watchPartitions(({ kind, entry }) => this.#see(entry, kind === 'removed')),
    ];
    this.#wake(0);
  }

  /** Begins nothing more. What is under way is fenced by its term. */
  end(): void {
    this.#isOver = true;
    for (const unwatch of this.#unwatch) unwatch();
    this.#timer?.cancel();
    this.#queue = [];
  }

  /** Something that was asked for has changed. */
  wake(): void {
    this.#wake(0);
  }

  #see(entry: PartitionEntry, isRemoved: boolean): void {
    const key = keyOf(entry.topicId, entry.partition);
    if (isRemoved) {
      this.#states.delete(key);
      this.#restingUntilMs.delete(key);
      this.#memory.forget(key);
    } else {
      this.#states.set(key, entry);
      this.#memory.seeChange(key);
    }
    this.#wakeForStates();
  }

  #wakeForStates(): void {
    const waitMs = this.#mayPlanMs - this.#options.clock.monotonicMs();
    this.#wake(Math.max(waitMs, this.#options.policy.coalesceMs));
  }

  #wake(delayMs: number): void {
    if (this.#isOver) return;
    this.#wantedMs = Math.min(this.#wantedMs, this.#options.clock.monotonicMs() + delayMs);
    this.#arm();
  }

  /** Sets the timer for what comes first: the tick, or what was woken for. */
  #arm(): void {
    const { clock } = this.#options;
    const dueMs = Math.min(this.#wantedMs, this.#tickAtMs);
    if (dueMs === this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = clock.setTimer(dueMs - clock.monotonicMs(), () => this.#work());
  }

  #work(): void {
    const { clock, policy, coordinator, counters, isRebalancing } = this.#options;
    const beginMs = clock.monotonicMs();
    const isTick = beginMs >= this.#tickAtMs;
    if (isTick) this.#tickAtMs = beginMs + policy.tickMs;
    if (beginMs >= this.#wantedMs) this.#wantedMs = Infinity;
    this.#dueMs = Infinity;
    this.#endRests(beginMs);
    const nodes = coordinator.cluster.nodes();
    this.#memory.seeNodes(nodes, () => this.#inMemory());
    const rebalancing = isRebalancing();
    const plan = this.#planner.plan({
      topics: coordinator.topics(),
      nodes,
      states: this.#states,
      underWay: this.#underWay,
      isResting: (key) => this.#restingUntilMs.has(key),
      memory: this.#memory,
      policy,
      isRebalancing: rebalancing,
      preferredCount: isTick ? policy.preferredPerTick : 0,
    });
    this.#queue = plan.updates;
    this.#nextInQueue = 0;
    const tookMs = clock.monotonicMs() - beginMs;
    counters.plans++;
    counters.planningMs += tookMs;
    this.#mayPlanMs = clock.monotonicMs() + PLANNING_SHARE * tookMs;
    if (rebalancing && plan.isBalanced) this.#options.listener.onBalanced();
    this.#arm();
    this.#pump();
  }

  /** Lets partitions that have been left alone for long enough be planned for, and wakes for the others. */
  #endRests(nowMs: number): void {
    for (const [key, untilMs] of this.#restingUntilMs) {
      if (untilMs <= nowMs) this.#restingUntilMs.delete(key);
      else this.#wake(untilMs - nowMs);
    }
  }

  *#inMemory(): Generator<[string, PartitionState]> {
    for (const topic of this.#options.coordinator.topics()) {
      if (topic.settings.storage !== 'memory') continue;
      for (const key of keysOf(topic)) {
        const entry = this.#states.get(key);
        if (entry) yield [key, entry.state];
      }
    }
  }

  #pump(): void {
    while (
      this.#nextInQueue < this.#queue.length &&
      this.#underWay.size < this.#options.policy.updatesAtOnce
    ) {
      const update = this.#queue[this.#nextInQueue++]!;
      // Somebody has changed it since; that is planned for soon.
      if ((this.#states.get(update.key)?.revision ?? 0) !== update.expectedRevision) continue;
      this.#underWay.set(update.key, update.state);
      void this.#carryOut(update);
    }
  }

  async #carryOut(update: PlannedUpdate): Promise<void> {
    const { key, topicId, partition, expectedRevision, state } = update;
    const { coordinator, term } = this.#options;
    const before = this.#states.get(key)?.state;
    try {
      const { cluster } = coordinator;
      const result = await cluster.updatePartition(topicId, partition, expectedRevision, state, term);
      if (!this.#isOver) this.#done(update, before, result);
    } catch (error) {
      if (!this.#isOver) this.#failed(update, asSluiceError(error));
    }
    this.#underWay.delete(key);
    this.#pump();
  }

  #done(update: PlannedUpdate, before: PartitionState | undefined, { kind }: UpdateResult): void {
    const { counters, listener } = this.#options;
    if (kind === 'conflict') {
      counters.conflicts++;
      this.#wakeForStates();
      return;
    }
    counters.updates[update.reason]++;
    this.#memory.did(update.key, before, update.state);
    listener.onChanged(update);
  }

  #failed(update: PlannedUpdate, error: SluiceError): void {
    const { clock, policy, counters, listener } = this.#options;
    counters.failures++;
    this.#restingUntilMs.set(update.key, clock.monotonicMs() + policy.retryAfterMs);
    listener.onFailed(update, error);
    this.#wake(policy.retryAfterMs);
  }
}

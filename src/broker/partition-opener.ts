import type { Coordinator, PartitionClaim, TopicDefinition } from '../coordination/coordinator.ts';
import { OFFSET_BLOCK } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import { ByteBudget } from '../log/byte-budget.ts';
import type { LogState } from '../log/log-state.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import { OffsetReserve } from '../partition/offset-reserve.ts';
import { Partition } from '../partition/partition.ts';
import type { ProducerBudget } from '../partition/producer-window.ts';
import { ProducerWindow } from '../partition/producer-window.ts';
import type { PartitionCounters } from '../partition/reader-source.ts';
import type { LogFactory } from './log-factory.ts';
import { Slots } from '../kernel/slots.ts';

/** Idempotent producers that one partition remembers. */
const PRODUCERS_PER_PARTITION = 100_000;
/** Idempotent producers that all partitions of a node remember together; a few hundred bytes each. */
const PRODUCERS_PER_NODE = 1_000_000;
/** What all last-per-key scans of a node may keep in memory together. */
const SCAN_BUDGET_BYTES = 256 * 1024 * 1024;
/** Logs that are opened at once: enough to keep a disk busy, without a thousand files being read at the same time. */
const OPENING_AT_ONCE = 32;
/** What is reserved for a partition on disk: that there is a log. */
const LOG_BEGUN = 1;

/** What opening partitions takes. */
export interface PartitionOpenerOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly logs: LogFactory;
  readonly counters: PartitionCounters;
  /** Bound for what a batch may inflate to where records are looked at. */
  readonly inflatedMaxBytes: number;
}

/** Puts partitions together: claim, log, producer window, reserve of offsets; and takes them apart again. */
export class PartitionOpener {
  readonly clock: Clock;
  readonly logs: LogFactory;
  readonly #options: PartitionOpenerOptions;
  readonly #producers: ProducerBudget = { producers: 0, maxProducers: PRODUCERS_PER_NODE };
  readonly #scanBudget = new ByteBudget(SCAN_BUDGET_BYTES);
  readonly #slots = new Slots(OPENING_AT_ONCE);

  constructor(options: PartitionOpenerOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.logs = options.logs;
  }

  /** @throws TOPIC_NOT_FOUND, NOT_LEADER, STORAGE_FULL, STORAGE_FAILED, UNSUPPORTED */
  async open(topic: TopicDefinition, index: number): Promise<Partition> {
    const { coordinator, clock, counters, inflatedMaxBytes } = this.#options;
    const claim = await coordinator.claimPartition(topic.id, index);
    const producers = new ProducerWindow(clock, PRODUCERS_PER_PARTITION, this.#producers);
    const log = await this.#slots
      .run(() => this.#openLog(topic, index, claim, producers))
      .catch((error: unknown) => {
        producers.clear();
        throw error;
      });
    const partition = new Partition({
      topic: topic.name,
      topicId: topic.id,
      partition: index,
      settings: topic.settings,
      inflatedMaxBytes,
      clock,
      log,
      producers,
      counters,
      scanBudget: this.#scanBudget,
    });
    this.#lead(partition, topic, claim);
    return partition;
  }

  /**
   * Closes a partition: one on disk makes everything safe, one in memory gives back the offsets it has not used, as far as that can be
   * written.
   */
  async release(topic: TopicDefinition, partition: Partition): Promise<void> {
    const { logEnd } = partition;
    await partition.close();
    if (topic.settings.storage !== 'memory') return;
    // When it fails the next start begins at the ceiling, as after a crash.
    await this.#options.coordinator
      .reserveOffsets(topic.id, partition.partition, logEnd)
      .catch(() => undefined);
  }

  async #openLog(
    topic: TopicDefinition,
    partition: number,
    claim: PartitionClaim,
    state: LogState,
  ): Promise<PartitionLog> {
    const { firstOffset } = claim;
    const isKnown = claim.offsetCeiling >= LOG_BEGUN;
    const log = await this.logs.open({ topic, partition, firstOffset, isKnown, state });
    if (topic.settings.storage === 'memory' || isKnown) return log;
    try {
      await this.#options.coordinator.reserveOffsets(topic.id, partition, LOG_BEGUN);
    } catch (error) {
      await log.close();
      throw error;
    }
    return log;
  }

  /** The only replica there is: in sync with itself, and nobody ever takes its place. */
  #lead(partition: Partition, topic: TopicDefinition, claim: PartitionClaim): void {
    const { nodeId, cluster } = this.#options.coordinator;
    const inMemory = topic.settings.storage === 'memory';
    partition.lead({
      epoch: claim.leaderEpoch,
      selfId: nodeId,
      replicas: [nodeId],
      isr: [nodeId],
      revision: 0,
      minInsync: 1,
      maxLagMs: Infinity,
      cluster,
      reserve: inMemory ? this.#reserve(topic.id, partition.partition, claim) : undefined,
      onStepDown: () => undefined,
    });
  }

  #reserve(topicId: string, index: number, claim: PartitionClaim): OffsetReserve {
    const { coordinator, clock } = this.#options;
    return new OffsetReserve({
      clock,
      ceiling: claim.offsetCeiling,
      block: OFFSET_BLOCK,
      reserve: (ceiling) => coordinator.reserveOffsets(topicId, index, ceiling),
    });
  }
}

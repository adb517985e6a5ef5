import type { Clock } from '../kernel/clock.ts';
import { Slots } from '../kernel/slots.ts';
import { ByteBudget } from '../log/byte-budget.ts';
import { Partition } from '../partition/partition.ts';
import type { ProducerBudget } from '../partition/producer-window.ts';
import { ProducerWindow } from '../partition/producer-window.ts';
import type { PartitionCounters } from '../partition/reader-source.ts';
import type { OpenedLog, ReplicaLogRequest, ReplicaLogs } from './replica-logs.ts';

/** Idempotent producers that one partition remembers. */
const PRODUCERS_PER_PARTITION = 100_000;
/** Idempotent producers that all partitions of a node remember together; a few hundred bytes each. */
const PRODUCERS_PER_NODE = 1_000_000;
/** What all last-per-key scans of a node may keep in memory together. */
const SCAN_BUDGET_BYTES = 256 * 1024 * 1024;
/** Logs that are opened at once: enough to keep a disk busy, without a thousand files being read at the same time. */
const OPENING_AT_ONCE = 32;

/** What building partitions takes. */
export interface PartitionBuilderOptions {
  readonly clock: Clock;
  readonly logs: ReplicaLogs;
  readonly counters: PartitionCounters;
  /** Bound for what a batch may inflate to where records are looked at. */
  readonly inflatedMaxBytes: number;
}

/** A partition without a role. */
export interface BuiltPartition extends Omit<OpenedLog, 'log'> {
  readonly partition: Partition;
}

/** Puts partitions together: log, producer window, and what all partitions of a node share. */
export class PartitionBuilder {
  readonly #options: PartitionBuilderOptions;
  readonly #producers: ProducerBudget = { producers: 0, maxProducers: PRODUCERS_PER_NODE };
  readonly #scanBudget = new ByteBudget(SCAN_BUDGET_BYTES);
  readonly #slots = new Slots(OPENING_AT_ONCE);

  constructor(options: PartitionBuilderOptions) {
    this.#options = options;
  }

  /**
   * @param request which log
   * @param onLoss told when the log has lost what it had promised, while it is open
   * @throws STORAGE_FULL, STORAGE_FAILED, UNSUPPORTED
   */
  async build(request: Omit<ReplicaLogRequest, 'state'>, onLoss: () => void): Promise<BuiltPartition> {
    const { topic, partition } = request;
    const { clock, logs, counters, inflatedMaxBytes } = this.#options;
    const producers = new ProducerWindow(clock, PRODUCERS_PER_PARTITION, this.#producers);
    const { log, ...state } = await this.#slots
      .run(() => logs.open({ ...request, state: producers }))
      .catch((error: unknown) => {
        producers.clear();
        throw error;
      });
    const built = new Partition({
      topic: topic.name,
      topicId: topic.id,
      partition,
      settings: topic.settings,
      inflatedMaxBytes,
      clock,
      log,
      producers,
      counters,
      scanBudget: this.#scanBudget,
      onLoss,
    });
    return { ...state, partition: built };
  }
}

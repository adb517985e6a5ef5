import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import type { GroupPartOptions } from '../group-part.ts';
import type { Topics } from '../ports.ts';
import type { BatchMemory } from './batch-memory.ts';
import type { PartitionBudget } from './partition-budget.ts';
import type { RecordBatchEncoder } from '../../wire/record-batch-encoder.ts';
import type { StateBudget } from './state-budget.ts';
import type { StateWriter } from '../state-writer.ts';

/** What the queues of a coordinator have done since it began, for metrics. */
export interface QueueCounters {
  /** Records leased, and told. */
  delivered: number;
  acknowledged: number;
  nacked: number;
  rejected: number;
  extended: number;
  released: number;
  /** Leases that ended without an answer. */
  expired: number;
  /** Settlements that came too late. */
  late: number;
  deadLettered: number;
  /** Records moved on request. */
  moved: number;
  discarded: number;
  /** Records that retention took before they were done. */
  gaps: number;
}

/** What all queues of a coordinator share. */
export interface QueueContext {
  readonly topics: Topics;
  readonly writer: StateWriter;
  /** Of batches that are moved; one for all, since it is large. */
  readonly encoder: RecordBatchEncoder;
  readonly clock: Clock;
  readonly random: Random;
  readonly budget: PartitionBudget;
  readonly stateBudget: StateBudget;
  readonly batchMemory: BatchMemory;
  readonly nodeId: string;
  readonly term: number;
  readonly counters: QueueCounters;
  readonly releaseUntold: GroupPartOptions['releaseUntold'];
  readonly onTrouble: GroupPartOptions['onTrouble'];
}

/** All zero. */
export function queueCounters(): QueueCounters {
  return {
    delivered: 0,
    acknowledged: 0,
    nacked: 0,
    rejected: 0,
    extended: 0,
    released: 0,
    expired: 0,
    late: 0,
    deadLettered: 0,
    moved: 0,
    discarded: 0,
    gaps: 0,
  };
}

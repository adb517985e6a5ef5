import type { Clock } from '../kernel/clock.ts';
import type { PartitionLog } from '../log/partition-log.ts';

/** Decides by its key whether a subscriber wants a record. */
export type KeyPredicate = (key: Buffer | null) => boolean;

/** What partitions count, for all of them together; plain fields that metrics read. */
export interface PartitionCounters {
  recordsIn: number;
  bytesIn: number;
  batchesIn: number;
  /** Batches of idempotent producers that had been stored before. */
  duplicates: number;
  /** Records that readers were told they have lost. */
  gapRecords: number;
}

/** Counters of partitions that have done nothing yet. */
export function newPartitionCounters(): PartitionCounters {
  return { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 };
}

/** Somebody a partition wakes. */
export interface Waiter {
  /** Called once after each `wait`, inside an append. */
  wake(): void;
  /** What was at and above `end` is lost although it could be read. */
  cutOff(end: number): void;
}

/** A partition as its readers see it. */
export interface ReaderSource {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly inflatedMaxBytes: number;
  readonly clock: Clock;
  readonly log: PartitionLog;
  readonly counters: PartitionCounters;
  /** Exclusive. */
  readonly highWatermark: number;
  /** Up to where records were deleted on purpose, as far as this process knows; exclusive. */
  readonly deletedTo: number;
  readonly closed: boolean;
  /** Wakes `waiter` once when the high watermark moves or the partition closes. */
  wait(waiter: Waiter): void;
  forget(waiter: Waiter): void;
}

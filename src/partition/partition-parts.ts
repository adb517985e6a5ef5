import type { Clock } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { ByteBudget } from '../log/byte-budget.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { ProducerWindow } from './producer-window.ts';
import type { PartitionCounters } from './reader-source.ts';

/** What a replica is to a partition; idle: it knows of no leader. */
export type PartitionRole = 'leader' | 'follower' | 'idle';

/** What an append did. */
export interface AppendOutcome {
  /** `duplicate`: this idempotent batch had been stored before; the other fields are those of then. */
  readonly kind: 'appended' | 'duplicate';
  readonly baseOffset: number;
  /** Exclusive end of the batch's offsets. */
  readonly nextOffset: number;
  /** Milliseconds since 1970 where the topic stamps append time, else 0. */
  readonly appendTimeMs: number;
}

/**
 * Takes what becomes of publishes: one of its functions is called for each, once, with what the publish was handed over with. So nothing has to be
 * made for a publish that is answered at once.
 */
export interface PublishTaker<T> {
  /** It is stored, and acknowledged as its producer wants it. @param partition where */
  stored(publish: T, outcome: AppendOutcome, partition: number): void;
  refused(publish: T, error: SluiceError): void;
}

/** What may change while a partition lives. */
export interface PartitionSettings {
  readonly batchMaxBytes: number;
  readonly timestamps: 'create' | 'append';
  /** In-sync replicas that `acks: all` needs; undefined: as the leadership began. */
  readonly minInsync?: number;
}

/** What a partition is made of. */
export interface PartitionParts {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly settings: PartitionSettings;
  /** Bound for what a batch may inflate to where records are looked at. */
  readonly inflatedMaxBytes: number;
  readonly clock: Clock;
  readonly log: PartitionLog;
  readonly producers: ProducerWindow;
  readonly counters: PartitionCounters;
  /** Bounds what all last-per-key scans keep in memory together. */
  readonly scanBudget: ByteBudget;
  /**
   * Told, in whatever role, when the log came back from a fault with an end below what others may have been told of; readers who were beyond are
   * cut off and who led has stepped down by then.
   */
  readonly onLoss?: ((end: number) => void) | undefined;
}

/** Somebody who is told of news and looks at them later. */
export interface PartitionWatcher {
  /**
   * The durable end, the watermark, the log start, the role or the in-sync replicas may be others, or the partition has closed.
   * Called inside of what changed it, so it only takes note; it must not throw.
   */
  partitionChanged(): void;
}

/** What a leader tells with what it has replicated. */
export interface LeaderPosition {
  readonly highWatermark: number;
  readonly logStart: number;
}

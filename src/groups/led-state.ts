import type { PartitionReader } from '../partition/reader.ts';
import type { StateLog } from './ports.ts';

/** One partition of the topic `__groups` while this node leads it in one epoch: what a coordinator is loaded from and writes to. */
export interface LedState {
  readonly partition: number;
  readonly leaderEpoch: number;
  /** A cursor at the oldest fact. It sees what all in-sync replicas have. */
  openReader(): PartitionReader | Promise<PartitionReader>;
  /** Exclusive: all that was stored until now, whoever has it yet. What lies below it has to be read before anything may be said. */
  end(): number;
  /** Whether this node leads it in that epoch now, and still has the lease to do so: else somebody else may, and know better. */
  isLed(): boolean;
  /** @param onRefused told when the log takes nothing more */
  openLog(): ClosableStateLog;
}

/** A state log that its coordinator gives up. */
export interface ClosableStateLog extends StateLog {
  /** What was not written yet never will be, and nothing is taken any more: both are NOT_LEADER. Idempotent. */
  close(): void;
}

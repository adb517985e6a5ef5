import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { LogState } from '../log/log-state.ts';
import type { MemoryBudget } from '../log/memory-budget.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { PartitionLog } from '../log/partition-log.ts';

/** Which log is wanted. */
export interface ReplicaLogRequest {
  readonly topic: TopicDefinition;
  readonly partition: number;
  /** Disk: it has been there before, so that it is not begun when it is missing. */
  readonly isKnown: boolean;
  /** What comes back with the log, and goes back with it. */
  readonly state: LogState;
}

/** A log that was opened. */
export interface OpenedLog {
  readonly log: PartitionLog;
  /** Whether it has all that it ever said to be durable. A log that was begun has; one in memory always is begun. */
  readonly isIntact: boolean;
}

/** Where replicas get their logs. */
export interface ReplicaLogs {
  /** Whether there is one from before; in memory there never is. @throws STORAGE_FAILED */
  has(topic: TopicDefinition, partition: number): boolean | Promise<boolean>;
  /** @throws UNSUPPORTED when there are no logs of that kind; STORAGE_FAILED, also when a known one is missing; STORAGE_FULL */
  open(request: ReplicaLogRequest): OpenedLog | Promise<OpenedLog>;
  /** Removes the log of a partition that this node no longer has; it is closed, or was never opened. @throws STORAGE_FAILED */
  removePartition(topic: TopicDefinition, partition: number): void | Promise<void>;
  /** Removes what is left of a topic that was deleted; its logs are closed. @throws STORAGE_FAILED */
  removeTopic(topic: TopicDefinition): void | Promise<void>;
}

/**
 * Logs in memory.
 * @param budget bound over all of them
 */
export function memoryReplicaLogs(clock: Clock, budget: MemoryBudget): ReplicaLogs {
  return {
    has: () => false,
    open({ topic, state }) {
      const { settings } = topic;
      if (settings.storage !== 'memory') {
        throw new SluiceError(
          'UNSUPPORTED',
          `storage ${settings.storage} is not available on this broker; use memory`,
        );
      }
      const log = new MemoryLog({ clock, firstOffset: 0, limits: settings, state, budget });
      return { log, isIntact: true };
    },
    removePartition() {
      // Nothing is left.
    },
    removeTopic() {
      // Nothing is left.
    },
  };
}

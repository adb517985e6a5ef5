import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { MemoryBudget } from '../log/memory-budget.ts';
import type { LogState } from '../log/log-state.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { PartitionLog } from '../log/partition-log.ts';

/** Which log is wanted. */
export interface LogRequest {
  readonly topic: TopicDefinition;
  readonly partition: number;
  /** Memory: where offsets begin. */
  readonly firstOffset: number;
  /** Disk: the log has been opened before, so it has to be there. */
  readonly isKnown: boolean;
  /** What comes back with the log, and goes back with it. */
  readonly state: LogState;
}

/** Where partitions get their logs. */
export interface LogFactory {
  /** @throws UNSUPPORTED when there are no logs of that kind */
  checkStorage(storage: TopicDefinition['settings']['storage']): void;
  /** @throws UNSUPPORTED, STORAGE_FULL, STORAGE_FAILED */
  open(request: LogRequest): PartitionLog | Promise<PartitionLog>;
  /**
   * Removes what is left of a topic that was deleted; its logs are closed.
   * @throws STORAGE_FAILED; it is tried again at the next start
   */
  remove(topic: TopicDefinition): void | Promise<void>;
}

/**
 * Logs in memory.
 * @param budget bound over all of them
 */
export function memoryLogs(clock: Clock, budget: MemoryBudget): LogFactory {
  return {
    checkStorage(storage) {
      if (storage === 'memory') return;
      throw new SluiceError('UNSUPPORTED', `storage ${storage} is not available on this broker; use memory`);
    },
    open({ topic, firstOffset, state }) {
      this.checkStorage(topic.settings.storage);
      return new MemoryLog({ clock, firstOffset, limits: topic.settings, state, budget });
    },
    remove() {
      // Nothing is left.
    },
  };
}

/** Logs in memory and on disk, as each topic says. */
export function memoryAndDiskLogs(memory: LogFactory, disk: LogFactory): LogFactory {
  const of = ({ settings }: TopicDefinition) => (settings.storage === 'disk' ? disk : memory);
  return {
    checkStorage() {
      // Both are there.
    },
    open: (request) => of(request.topic).open(request),
    remove: (topic) => of(topic).remove(topic),
  };
}

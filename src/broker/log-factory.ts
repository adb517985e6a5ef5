import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { ByteBudget } from '../log/byte-budget.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { PartitionLog } from '../log/partition-log.ts';

/** Where partitions get their logs. */
export interface LogFactory {
  /** @throws UNSUPPORTED when there are no logs of that kind */
  checkStorage(storage: TopicDefinition['settings']['storage']): void;
  /**
   * @param firstOffset where offsets begin when the log is empty
   * @throws UNSUPPORTED, STORAGE_FULL, STORAGE_FAILED
   */
  open(topic: TopicDefinition, partition: number, firstOffset: number): PartitionLog | Promise<PartitionLog>;
}

/**
 * Logs in memory.
 * @param budget bound over all of them
 */
export function memoryLogs(clock: Clock, budget: ByteBudget): LogFactory {
  return {
    checkStorage(storage) {
      if (storage === 'memory') return;
      throw new SluiceError('UNSUPPORTED', `storage ${storage} is not available on this broker; use memory`);
    },
    open(topic, _partition, firstOffset) {
      this.checkStorage(topic.settings.storage);
      return new MemoryLog({ clock, firstOffset, limits: topic.settings, budget });
    },
  };
}

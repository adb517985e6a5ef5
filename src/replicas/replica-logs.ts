import type { TopicDefinition, TopicSettings } from '../coordination/coordinator.ts';
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
  /** What was there before is gone: a log that is begun is not intact. */
  readonly isLost?: boolean;
  /** What comes back with the log, and goes back with it. */
  readonly state: LogState;
}

/** A log that was opened. */
export interface OpenedLog {
  readonly log: PartitionLog;
  /**
   * Whether it has all that it ever said to be durable, or was said to be whole since. A log that was begun has; one in memory always is begun.
   */
  readonly isIntact: boolean;
  /** First offset that may be lost now although there is more behind it; undefined or Infinity: nothing is behind what is lost. */
  lostFrom?(): number | undefined;
  /** Has it be intact at the next start, unless it loses something meanwhile. @throws STORAGE_FAILED, STORAGE_FULL */
  markWhole?(): Promise<void>;
}

/** Where replicas get their logs. */
export interface ReplicaLogs {
  /** The topics that there were when it was looked what is there from before, which was not taken for left behind then; left out where nothing ever is. */
  readonly topics?: readonly TopicDefinition[];
  /** Left out where there are logs of each kind. @throws UNSUPPORTED when there are none of that kind */
  checkStorage?(storage: TopicSettings['storage']): void;
  /** Whether there is one from before; in memory there never is. @throws STORAGE_FAILED */
  has(topic: TopicDefinition, partition: number): boolean | Promise<boolean>;
  /** Partitions of a topic of which something is there from before; left out where nothing ever is. @throws STORAGE_FAILED */
  stored?(topic: TopicDefinition): Promise<readonly number[]>;
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
  const checkStorage = (storage: TopicSettings['storage']): void => {
    if (storage === 'memory') return;
    throw new SluiceError('UNSUPPORTED', `storage ${storage} is not available on this broker; use memory`);
  };
  return {
    checkStorage,
    has: () => false,
    open({ topic, state }) {
      const { settings } = topic;
      checkStorage(settings.storage);
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

/** Logs in memory and on disk, as each topic says. */
export function memoryAndDiskReplicaLogs(memory: ReplicaLogs, disk: ReplicaLogs): ReplicaLogs {
  const of = ({ settings }: TopicDefinition): ReplicaLogs => (settings.storage === 'disk' ? disk : memory);
  return {
    ...(disk.topics && { topics: disk.topics }),
    has: (topic, partition) => of(topic).has(topic, partition),
    stored: async (topic) => (await of(topic).stored?.(topic)) ?? [],
    open: (request) => of(request.topic).open(request),
    removePartition: (topic, partition) => of(topic).removePartition(topic, partition),
    removeTopic: (topic) => of(topic).removeTopic(topic),
  };
}

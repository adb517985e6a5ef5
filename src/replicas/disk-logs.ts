import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { DiskLog } from '../log/disk/disk-log.ts';
import type { DiskLogObserver, DiskLogSettings } from '../log/disk/disk-log.ts';
import type { DiskShared } from '../log/disk/disk-shared.ts';
import type { OpenedLog, ReplicaLogRequest, ReplicaLogs } from './replica-logs.ts';
import { TopicFolders } from './topic-folders.ts';

/** A partition as who watches storage knows it. */
export interface LogPlace {
  readonly topic: string;
  readonly partition: number;
}

/** Told what happens to logs on disk; must not throw. */
export interface DiskObserver {
  onRecovered(place: LogPlace, found: Parameters<DiskLogObserver['onRecovered']>[0]): void;
  /** Stored bytes are not what was written. */
  onCorrupt(
    place: LogPlace,
    damage: { readonly file: string; readonly position: number; readonly reason: string },
  ): void;
  /** The partition takes nothing from now on. */
  onFault(place: LogPlace, error: SluiceError): void;
  /** The partition takes batches again. */
  onHealed(place: LogPlace): void;
  /** The partition was not compacted, and is tried again later; nothing else is affected. */
  onCompactionFailed?(place: LogPlace, error: SluiceError): void;
  /** A folder of a topic that was deleted is still there and is removed now. */
  onLeftover(folder: string): void;
  /** A folder of a topic that nobody knows was put aside, here. */
  onUnknown(folder: string): void;
  /** A folder that had been put aside is where it was again: its topic is known again. */
  onPutBack(folder: string): void;
  /** A folder could not be removed, which is tried again, or moved. */
  onRemoveFailed(error: SluiceError): void;
}

/** What logs on disk take. */
export interface DiskLogsOptions {
  /** Where topics have their folders; made when it is missing. */
  readonly directory: string;
  readonly clock: Clock;
  readonly clusterId: string;
  /** Topics that there are; folders of others are put aside. */
  readonly topics: readonly TopicDefinition[];
  readonly shared: DiskShared;
  readonly observer: DiskObserver;
  /** Bytes at which a segment is full; undefined: by what the topic retains. */
  readonly segmentBytes?: number | undefined;
}

/** Logs on disk: finds their folders, opens them, and removes what is left of topics and partitions that are not here any more. */
export class DiskLogs implements ReplicaLogs, AsyncDisposable {
  readonly #options: DiskLogsOptions;
  readonly #folders: TopicFolders;

  private constructor(options: DiskLogsOptions, folders: TopicFolders) {
    this.#options = options;
    this.#folders = folders;
  }

  /** @throws STORAGE_FAILED when the directory belongs to another cluster or cannot be used, STORAGE_FULL */
  static async open(options: DiskLogsOptions): Promise<DiskLogs> {
    const { directory, clock, clusterId, shared, observer } = options;
    const ids = new Set(options.topics.map(({ id }) => id));
    const folders = await TopicFolders.open({
      ...{ files: shared.files, clock, random: shared.random },
      directory,
      clusterId,
      isTopic: (id) => ids.has(id),
      onLeftover: (folder) => observer.onLeftover(folder),
      onUnknown: (folder) => observer.onUnknown(folder),
      onPutBack: (folder) => observer.onPutBack(folder),
      onRemoveFailed: (error) => observer.onRemoveFailed(error),
    });
    return new DiskLogs(options, folders);
  }

  get topics(): readonly TopicDefinition[] {
    return this.#options.topics;
  }

  has(topic: TopicDefinition, partition: number): Promise<boolean> {
    return this.#folders.hasLog(topic.id, partition);
  }

  async open(request: ReplicaLogRequest): Promise<OpenedLog> {
    const { topic, partition, isKnown } = request;
    const directory = await this.#folders.partition(topic, partition, isKnown);
    const opened = await this.#openIn(directory, request);
    if (isKnown) return opened;
    try {
      await this.#folders.begun(directory);
    } catch (error) {
      await opened.log.close();
      throw error;
    }
    return opened;
  }

  stored(topic: TopicDefinition): Promise<readonly number[]> {
    return this.#folders.partitions(topic.id);
  }

  removePartition(topic: TopicDefinition, partition: number): Promise<void> {
    return this.#folders.removePartition(topic.id, partition);
  }

  removeTopic(topic: TopicDefinition): Promise<void> {
    return this.#folders.remove(topic.id);
  }

  /** Waits for folders that are being removed. Logs are closed by who opened them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folders.close();
  }

  async #openIn(directory: string, request: ReplicaLogRequest): Promise<OpenedLog> {
    const { topic, partition, state, isLost } = request;
    const { clock, shared, observer, segmentBytes } = this.#options;
    const settings: DiskLogSettings = {
      ...topic.settings,
      ...(segmentBytes !== undefined && { segmentBytes }),
    };
    const log = await DiskLog.open({
      directory,
      clock,
      firstOffset: 0,
      isIncomplete: isLost,
      settings,
      state,
      shared,
      observer: observerOf({ topic: topic.name, partition }, observer),
    });
    const isIntact = log.lostFrom === undefined;
    return { log, isIntact, lostFrom: () => log.lostFrom, markWhole: () => log.markWhole() };
  }
}

function observerOf(place: LogPlace, observer: DiskObserver): DiskLogObserver {
  return {
    onRecovered: (found) => observer.onRecovered(place, found),
    onCorrupt: (file, position, reason) => observer.onCorrupt(place, { file, position, reason }),
    onFault: (error) => observer.onFault(place, error),
    onHealed: () => observer.onHealed(place),
    onCompactionFailed: (error) => observer.onCompactionFailed?.(place, error),
  };
}

import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { DiskLog } from '../../src/log/disk/disk-log.ts';
import type { DiskShared } from '../../src/log/disk/disk-shared.ts';
import { createDiskShared } from '../../src/log/disk/disk-shared.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';
import type { PartitionLog } from '../../src/log/partition-log.ts';
import type { OpenedLog, ReplicaLogRequest, ReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { batchNextOffset } from '../../src/wire/record-batch.ts';
import type { FakeDisk } from '../support/fake-disk.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { SimFiles } from './sim-files.ts';
import { WatchedLog } from './watched-log.ts';

/** What logs of one process need. */
export interface SimLogsOptions {
  readonly clock: Clock;
  readonly disk: FakeDisk;
  readonly files: SimFiles;
  readonly random: SeededRandom;
  /** Whether logs can be looked at without waiting; default: they can. */
  readonly isWatched?: boolean;
}

const SEGMENT_BYTES = 2048;
const LIMITS = { tailBytes: 8192, unwrittenBytes: 1024 * 1024, indexCacheBytes: 4096, openFiles: 8 };

/** Logs of one process. */
export class SimLogs implements ReplicaLogs {
  readonly #options: SimLogsOptions;
  readonly #shared: DiskShared;
  readonly #budget = new MemoryBudget(Infinity);

  constructor(options: SimLogsOptions) {
    this.#options = options;
    this.#shared = createDiskShared(options.files, LIMITS, options.random);
  }

  has(topic: TopicDefinition, partition: number): boolean {
    return this.#options.disk.names(directoryOf(topic, partition)).length > 0;
  }

  open(request: ReplicaLogRequest): OpenedLog | Promise<OpenedLog> {
    const { topic } = request;
    return topic.settings.storage === 'memory' ? this.#openMemory(request) : this.#openDisk(request);
  }

  removePartition(topic: TopicDefinition, partition: number): Promise<void> {
    return this.#options.files.removeDirectory(directoryOf(topic, partition));
  }

  removeTopic(topic: TopicDefinition): Promise<void> {
    return this.#options.files.removeDirectory(`/data/${topic.id}`);
  }

  #openMemory({ topic: { settings }, state }: ReplicaLogRequest): OpenedLog {
    const { clock } = this.#options;
    const log = new MemoryLog({ clock, firstOffset: 0, limits: settings, state, budget: this.#budget });
    return { log: new WatchedLog(log), isIntact: true };
  }

  async #openDisk({ topic, partition, isKnown, isLost, state }: ReplicaLogRequest): Promise<OpenedLog> {
    const directory = directoryOf(topic, partition);
    if (isKnown && !this.has(topic, partition)) {
      throw new SluiceError('STORAGE_FAILED', `${directory} is gone`);
    }
    const log = await DiskLog.open({
      directory,
      clock: this.#options.clock,
      firstOffset: 0,
      isIncomplete: isLost,
      settings: { ...topic.settings, segmentBytes: SEGMENT_BYTES },
      state,
      shared: this.#shared,
      observer: {
        onRecovered: () => undefined,
        onCorrupt: () => undefined,
        onFault: () => undefined,
        onHealed: () => undefined,
      },
    });
    const markWhole = (): Promise<void> => log.markWhole();
    const { isWatched = true } = this.#options;
    return {
      log: isWatched ? new WatchedLog(log, await allOf(log)) : log,
      isIntact: log.lostFrom === undefined,
      lostFrom: () => log.lostFrom,
      markWhole,
    };
  }
}

/** Everything a log holds, read as readers do. */
async function allOf(log: PartitionLog): Promise<Buffer[]> {
  const batches: Buffer[] = [];
  for (let offset = log.logStart; offset < log.logEnd;) {
    const found = await log.read(offset, log.logEnd, Infinity);
    batches.push(...found);
    offset = found.length > 0 ? batchNextOffset(found.at(-1)!) : log.logEnd;
  }
  return batches;
}

function directoryOf(topic: TopicDefinition, partition: number): string {
  return `/data/${topic.id}/${partition}`;
}

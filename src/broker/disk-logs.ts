import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { DiskLogsOptions } from '../replicas/disk-logs.ts';
import { DiskLogs as Logs } from '../replicas/disk-logs.ts';
import type { LogFactory, LogRequest } from './log-factory.ts';

export type { DiskObserver } from '../replicas/disk-logs.ts';

/** Logs on disk for a broker that opens its partitions itself. */
export class DiskLogs implements LogFactory, AsyncDisposable {
  readonly #logs: Logs;

  private constructor(logs: Logs) {
    this.#logs = logs;
  }

  /** @throws as those of `replicas/disk-logs` */
  static async open(options: DiskLogsOptions): Promise<DiskLogs> {
    return new DiskLogs(await Logs.open(options));
  }

  checkStorage(): void {
    // Who has this has a disk.
  }

  async open(request: LogRequest): Promise<PartitionLog> {
    const { log } = await this.#logs.open(request);
    return log;
  }

  remove(topic: TopicDefinition): Promise<void> {
    return this.#logs.removeTopic(topic);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#logs[Symbol.asyncDispose]();
  }
}

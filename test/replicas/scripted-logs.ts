import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';
import type { OpenedLog, ReplicaLogRequest, ReplicaLogs } from '../../src/replicas/replica-logs.ts';

/** A log that is still there after it was closed. */
class KeptLog extends MemoryLog {
  override close(): void {
    // As a disk does.
  }
}

/** Logs of a disk that does what a test says, which outlives the process. */
export class ScriptedLogs implements ReplicaLogs {
  /** By `topic/partition`. */
  readonly there = new Map<string, KeptLog>();
  /** Logs that have lost something. */
  readonly damaged = new Set<string>();
  /** Where these have a gap. */
  readonly gaps = new Map<string, number>();
  /** Opening of these waits. */
  readonly gates = new Map<string, Promise<void>>();
  /** Removing a topic, or a partition, fails with it. */
  removeError: SluiceError | undefined;
  /** Opening of any fails with it. */
  error: SluiceError | undefined;
  readonly calls: string[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(topic: TopicDefinition, partition: number): boolean {
    return this.there.has(keyOf(topic, partition));
  }

  stored(topic: TopicDefinition): Promise<readonly number[]> {
    const partitions = [...this.there.keys()].filter((key) => key.startsWith(`${topic.name}/`));
    return Promise.resolve(partitions.map((key) => Number(key.split('/')[1])));
  }

  async open({ topic, partition, isKnown, isLost, state }: ReplicaLogRequest): Promise<OpenedLog> {
    const key = keyOf(topic, partition);
    await this.gates.get(key);
    if (this.error) throw this.error;
    if (isKnown && !this.there.has(key)) throw new SluiceError('STORAGE_FAILED', `${key} is gone`);
    this.calls.push(`${isKnown ? 'open' : 'begin'} ${key}`);
    const budget = new MemoryBudget(Infinity);
    const log =
      this.there.get(key) ??
      new KeptLog({ clock: this.#clock, firstOffset: 0, limits: topic.settings, state, budget });
    this.there.set(key, log);
    if (!isKnown && isLost === true) this.damaged.add(key);
    const markWhole = (): Promise<void> => {
      this.calls.push(`whole ${key}`);
      this.damaged.delete(key);
      this.gaps.delete(key);
      return Promise.resolve();
    };
    return { log, isIntact: !this.damaged.has(key), lostFrom: () => this.gaps.get(key), markWhole };
  }

  removePartition(topic: TopicDefinition, partition: number): void {
    if (this.removeError) throw this.removeError;
    this.calls.push(`remove ${keyOf(topic, partition)}`);
    this.there.delete(keyOf(topic, partition));
  }

  removeTopic(topic: TopicDefinition): void {
    if (this.removeError) throw this.removeError;
    this.calls.push(`remove ${topic.name}`);
  }
}

function keyOf(topic: TopicDefinition, partition: number): string {
  return `${topic.name}/${partition}`;
}

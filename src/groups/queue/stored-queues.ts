import { SluiceError } from '../../kernel/errors.ts';
import type { StateRecord } from '../ports.ts';
import type { QueueJournal } from './queue-journal.ts';
import { QueueJournalLoader } from './queue-journal.ts';
import type { QueueRecord } from './queue-settings.ts';
import { decodeQueueRecord, settingsOf } from './queue-settings.ts';

const PARTITION = /^(0|[1-9][0-9]{0,8})$/;

/** A queue as the log has it. */
export class StoredQueue {
  readonly topic: string;
  readonly group: string;
  /** Undefined: there is no such queue, whatever else is stored of it. */
  record: QueueRecord | undefined;
  readonly #partitions = new Map<number, QueueJournalLoader>();

  constructor(topic: string, group: string) {
    this.topic = topic;
    this.group = group;
  }

  get key(): string {
    return `q/${this.topic}/${this.group}`;
  }

  /** @param rest of the key, behind topic and group @throws CORRUPT_LOG */
  load(rest: readonly string[], value: Buffer | null): void {
    const [partition, ...name] = rest;
    if (partition === undefined) {
      this.record = value ? decodeQueueRecord(value) : undefined;
      return;
    }
    if (!PARTITION.test(partition))
      throw new SluiceError('CORRUPT_LOG', `${this.key}/${partition} is no partition`);
    let loader = this.#partitions.get(Number(partition));
    if (!loader) {
      loader = new QueueJournalLoader(partitionKey(this.key, Number(partition)));
      this.#partitions.set(Number(partition), loader);
    }
    loader.load(name.join('/'), value);
  }

  /** Its partitions of which something is stored. @throws CORRUPT_LOG */
  journals(record: QueueRecord): Map<number, QueueJournal> {
    const journals = new Map<number, QueueJournal>();
    for (const [partition, loader] of this.#partitions) {
      const journal = loader.finish(settingsOf(this.topic, record.given));
      if (journal) journals.set(partition, journal);
    }
    return journals;
  }

  /** Records that make the log forget it. @throws CORRUPT_LOG */
  erase(): StateRecord[] {
    const records: StateRecord[] = [];
    const journals = this.record ? this.journals(this.record).values() : [];
    for (const journal of journals) for (const one of journal.erase()) records.push(one);
    // Last: as long as there is something of it, there is the queue.
    records.push({ key: this.key, value: null });
    return records;
  }
}

/** All queues that are stored, while they are loaded. */
export class StoredQueues {
  readonly #queues = new Map<string, StoredQueue>();

  /** @param key split at `/` @throws CORRUPT_LOG */
  load([kind, topic, group, ...rest]: readonly string[], value: Buffer | null): void {
    if (kind !== 'q' || topic === undefined || group === undefined) {
      throw new SluiceError('CORRUPT_LOG', 'a key of no queue');
    }
    const name = `${topic}/${group}`;
    let queue = this.#queues.get(name);
    if (!queue) {
      queue = new StoredQueue(topic, group);
      this.#queues.set(name, queue);
    }
    queue.load(rest, value);
  }

  /** Those that there are. They are not kept here any longer. */
  take(): StoredQueue[] {
    const queues = [...this.#queues.values()].filter(({ record }) => record !== undefined);
    this.#queues.clear();
    return queues;
  }
}

/** Prefix of what is stored of one partition. @param queueKey `q/<topic>/<group>` */
export function partitionKey(queueKey: string, partition: number): string {
  return `${queueKey}/${partition}`;
}

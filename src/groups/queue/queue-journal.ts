import type { StateRecord } from '../ports.ts';
import type { QueuePartition, RedeliverySettings } from './queue-partition.ts';

/**
 * How the state of one partition of a queue is stored: a snapshot now and then, and what changed since. Keys begin `q/<topic>/<group>/<partition>/`.
 *
 *     const journal = new QueueJournal('q/orders/default/3', new QueuePartition(cursor, settings));
 *     journal.partition.ack(…); …                   // any number of commands
 *     await log.append(journal.changes());          // once a turn; then their askers are answered
 */
export declare class QueueJournal {
  readonly partition: QueuePartition;
  constructor(prefix: string, partition: QueuePartition);
  /** What has to be stored of the commands since the last call; empty: nothing. Stored in the order of the calls. */
  changes(): StateRecord[];
  /** Records that make the log forget this partition; nothing may be stored after them. */
  erase(): StateRecord[];
}

/** Gathers what is stored of one partition and makes it live again. */
export declare class QueueJournalLoader {
  constructor(prefix: string);
  /** In log order. @param name the rest of the key, after `<prefix>/` @throws CORRUPT_LOG */
  load(name: string, value: Buffer | null): void;
  /** @returns undefined: nothing is stored. Call `partition.start(now)` when questions may come. @throws CORRUPT_LOG */
  finish(settings: RedeliverySettings): QueueJournal | undefined;
}

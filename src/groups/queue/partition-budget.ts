import { SluiceError } from '../../kernel/errors.ts';

/** The queues of one topic hold at most this share of what all queues may, so that who may read one topic leaves room for others. */
const TOPIC_SHARE = 0.5;

/**
 * Bounds the partitions that queues hold, those of all coordinators of a node together: each partition of each queue takes about 10 KiB, whatever
 * else it has to remember.
 *
 * Only new queues are refused. What is stored already, and partitions that a topic gets later, are held also beyond the bound: else their records
 * would not be delivered.
 */
export class PartitionBudget {
  readonly #max: number;
  readonly #byTopic = new Map<string, number>();
  #held = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** @param partitions of a queue that is about to be made @throws OVERLOADED when they are too many */
  check(topic: string, partitions: number): void {
    const ofTopic = this.#byTopic.get(topic) ?? 0;
    if (this.#held + partitions > this.#max) throw tooMany(`${this.#held} partitions`, this.#max);
    // The first queue of a topic may be as large as there is room for.
    const share = Math.floor(this.#max * TOPIC_SHARE);
    if (ofTopic > 0 && ofTopic + partitions > share)
      throw tooMany(`${ofTopic} partitions of ${topic}`, share);
  }

  /** A queue holds one more. */
  take(topic: string): void {
    this.#held += 1;
    this.#byTopic.set(topic, (this.#byTopic.get(topic) ?? 0) + 1);
  }

  /** A queue holds one of them no more. */
  give(topic: string): void {
    this.#held -= 1;
    const left = (this.#byTopic.get(topic) ?? 0) - 1;
    if (left > 0) this.#byTopic.set(topic, left);
    else this.#byTopic.delete(topic);
  }
}

function tooMany(held: string, max: number): SluiceError {
  return new SluiceError(
    'OVERLOADED',
    `the queues of this node hold ${held}, of ${max} at most: delete some, or raise groups.maxQueuePartitions`,
  );
}

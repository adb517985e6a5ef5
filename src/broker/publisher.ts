import type { ErrorCode } from '../kernel/errors.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Acks } from '../partition/acknowledgements.ts';
import type { AppendOutcome, Partition } from '../partition/partition.ts';
import type { OpenTopic } from './open-topic.ts';

/** Batches that wait for one topic to be created, bytes; more are refused with OVERLOADED. */
const WAITING_MAX_BYTES = 32 * 1024 * 1024;

/** Answer to a publish. */
export interface PublishOutcome {
  /** `duplicate`: this idempotent batch had been stored before; the offsets are those of then. */
  readonly kind: 'appended' | 'duplicate';
  readonly partition: number;
  readonly baseOffset: number;
  /** Milliseconds since 1970 where the topic stamps append time, else 0. */
  readonly appendTimeMs: number;
}

export type { Acks } from '../partition/acknowledgements.ts';

/** Takes the answer to one publish; called exactly once. */
export type PublishCallback = (outcome: PublishOutcome | SluiceError) => void;

/** A publish without its principal, who has been asked for already. */
export interface Publish {
  readonly partition: number | undefined;
  readonly batch: Buffer;
  readonly acks: Acks;
  readonly done: PublishCallback;
}

interface Waiting {
  bytes: number;
  readonly publishes: Publish[];
}

/**
 * Brings batches to their partitions: at once when the topic is open, in the order in which they came once it is when it has to be
 * created first.
 */
export class Publisher {
  /** Refused publishes by code. */
  readonly refused: Partial<Record<ErrorCode, number>> = {};
  readonly #find: (name: string) => OpenTopic | Promise<OpenTopic>;
  readonly #inflatedMaxBytes: number;
  readonly #waiting = new Map<string, Waiting>();

  /**
   * @param find the topic of a name, created where that is allowed; throws TOPIC_NOT_FOUND and why else it cannot be had
   * @param inflatedMaxBytes bound for a batch whose first key is needed to choose its partition
   */
  constructor(find: (name: string) => OpenTopic | Promise<OpenTopic>, inflatedMaxBytes: number) {
    this.#find = find;
    this.#inflatedMaxBytes = inflatedMaxBytes;
  }

  publish(topic: string, publish: Publish): void {
    const waiting = this.#waiting.get(topic);
    if (waiting) {
      this.#wait(waiting, publish);
      return;
    }
    let found: OpenTopic | Promise<OpenTopic>;
    try {
      found = this.#find(topic);
    } catch (error) {
      this.refuse(error, publish.done);
      return;
    }
    if (found instanceof Promise) this.#waitFor(topic, found, publish);
    else this.#append(found, publish);
  }

  /** Answers with an error and counts it. */
  refuse(error: unknown, done: PublishCallback): void {
    const refusal = asSluiceError(error);
    this.refused[refusal.code] = (this.refused[refusal.code] ?? 0) + 1;
    done(refusal);
  }

  #append(topic: OpenTopic, publish: Publish): void {
    const { batch, acks, done } = publish;
    let partition: Partition | undefined;
    let stored: AppendOutcome;
    try {
      partition =
        publish.partition === undefined
          ? topic.choose(batch, this.#inflatedMaxBytes)
          : topic.partition(publish.partition);
      stored = partition.append(batch, acks);
    } catch (error) {
      if (partition) partition.whenCertain(asSluiceError(error), (certain) => this.refuse(certain, done));
      else this.refuse(error, done);
      return;
    }
    const { kind, baseOffset, nextOffset, appendTimeMs } = stored;
    const outcome: PublishOutcome = { kind, partition: partition.partition, baseOffset, appendTimeMs };
    if (partition.isAcknowledged(nextOffset, acks)) {
      done(outcome);
      return;
    }
    partition.whenAcknowledged(nextOffset, acks, (error) => {
      if (error) this.refuse(error, done);
      else done(outcome);
    });
  }

  #waitFor(topic: string, opening: Promise<OpenTopic>, publish: Publish): void {
    const waiting: Waiting = { bytes: 0, publishes: [] };
    this.#waiting.set(topic, waiting);
    this.#wait(waiting, publish);
    opening.then(
      (open) => this.#settle(topic, waiting, (one) => this.#append(open, one)),
      (error: unknown) => this.#settle(topic, waiting, (one) => this.refuse(error, one.done)),
    );
  }

  #wait(waiting: Waiting, publish: Publish): void {
    if (waiting.bytes + publish.batch.length > WAITING_MAX_BYTES) {
      this.refuse(new SluiceError('OVERLOADED', 'too much waits for the topic to be created'), publish.done);
      return;
    }
    waiting.bytes += publish.batch.length;
    waiting.publishes.push(publish);
  }

  /** What is published from inside a callback queues up behind, so the order stays. */
  #settle(topic: string, waiting: Waiting, settle: (publish: Publish) => void): void {
    for (const publish of waiting.publishes) settle(publish);
    this.#waiting.delete(topic);
  }
}

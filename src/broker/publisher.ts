import type { ErrorCode } from '../kernel/errors.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import { BatchPacker } from '../log/batch-packer.ts';
import { ByteBudget } from '../log/byte-budget.ts';
import type { Acks } from '../partition/acknowledgements.ts';
import type { AppendOutcome, Partition, PublishTaker } from '../partition/partition.ts';
import type { Leaders } from './topics/leaders.ts';
import type { OpenTopic } from './topics/open-topic.ts';
import type { OtherNodes } from './other-nodes.ts';

/** Batches that wait for topics to be created, all together, bytes; more are refused with OVERLOADED. */
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

/** What a publisher needs. */
export interface PublisherOptions {
  /** The topic of a name, created where that is allowed; throws TOPIC_NOT_FOUND and why else it cannot be had. */
  readonly find: (name: string) => OpenTopic | Promise<OpenTopic>;
  readonly leaders: Leaders;
  /** Undefined on a node on its own. */
  readonly others: OtherNodes | undefined;
  /** Bound for a batch whose first key is needed to choose its partition. */
  readonly inflatedMaxBytes: number;
}

/**
 * Brings batches to the leaders of their partitions, here or on another node: at once when the topic is open, in the order in which they came once it
 * is when it has to be created first.
 */
export class Publisher implements PublishTaker<Publish> {
  /** Refused publishes by code. */
  readonly refusals: Partial<Record<ErrorCode, number>> = {};
  readonly #find: PublisherOptions['find'];
  readonly #leaders: Leaders;
  readonly #others: OtherNodes | undefined;
  readonly #inflatedMaxBytes: number;
  readonly #waiting = new Map<string, Publish[]>();
  readonly #waitingBytes = new ByteBudget(WAITING_MAX_BYTES);
  /** A small batch comes as a piece of a slab, which would stay as a whole for as long as it waits. */
  readonly #waitingPacker = new BatchPacker();

  constructor({ find, leaders, others, inflatedMaxBytes }: PublisherOptions) {
    this.#find = find;
    this.#leaders = leaders;
    this.#others = others;
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
    this.refusals[refusal.code] = (this.refusals[refusal.code] ?? 0) + 1;
    done(refusal);
  }

  stored({ done }: Publish, { kind, baseOffset, appendTimeMs }: AppendOutcome, partition: number): void {
    done({ kind, partition, baseOffset, appendTimeMs });
  }

  refused({ done }: Publish, error: SluiceError): void {
    this.refuse(error, done);
  }

  #append(topic: OpenTopic, publish: Publish): void {
    const { batch, acks, done } = publish;
    let copy: Partition | undefined;
    try {
      const partition =
        publish.partition === undefined
          ? topic.choose(batch, this.#inflatedMaxBytes)
          : topic.checkIndex(publish.partition);
      copy = topic.copy(partition);
      if (copy?.role !== 'leader') {
        this.#forward(topic, partition, publish);
        return;
      }
    } catch (error) {
      this.refuse(error, done);
      return;
    }
    copy.publish(batch, acks, this, publish);
  }

  /** Hands a publish to the node that leads its partition. @throws NOT_LEADER when none does; why this one, which should, cannot */
  #forward(topic: OpenTopic, partition: number, { batch, acks, done }: Publish): void {
    const state = this.#leaders.elsewhere(topic, partition);
    if (!state || !this.#others) throw this.#leaders.refusal(topic, partition);
    const { leader, leaderEpoch } = state;
    const publish = { topicId: topic.definition.id, partition, leaderEpoch, acks, batch };
    this.#others.forward(leader, publish, (answer) => {
      if (answer instanceof SluiceError) {
        this.refuse(answer, done);
        return;
      }
      const { kind, baseOffset, appendTimeMs } = answer;
      done({ kind, partition, baseOffset, appendTimeMs });
    });
  }

  #waitFor(topic: string, opening: Promise<OpenTopic>, publish: Publish): void {
    const waiting: Publish[] = [];
    this.#waiting.set(topic, waiting);
    this.#wait(waiting, publish);
    opening.then(
      (open) => this.#settle(topic, waiting, (one) => this.#append(open, one)),
      (error: unknown) => this.#settle(topic, waiting, (one) => this.refuse(error, one.done)),
    );
  }

  #wait(waiting: Publish[], publish: Publish): void {
    const { batch, done } = publish;
    if (this.#waitingBytes.tryTake(batch.length))
      waiting.push({ ...publish, batch: this.#waitingPacker.pack(batch) });
    else this.refuse(new SluiceError('OVERLOADED', 'too much waits for topics to be created'), done);
  }

  /** What is published from inside a callback queues up behind, so the order stays. */
  #settle(topic: string, waiting: readonly Publish[], settle: (publish: Publish) => void): void {
    for (const publish of waiting) {
      this.#waitingBytes.give(publish.batch.length);
      settle(publish);
    }
    this.#waiting.delete(topic);
  }
}

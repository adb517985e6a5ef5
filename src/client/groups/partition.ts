import type { Timer } from '../../kernel/clock.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { ConnectionSupervisor } from '../connection/connection-supervisor.ts';
import type { DeliveryBuffer } from '../subscription/delivery-buffer.ts';
import type { PartitionProgress } from '../subscription/partition-progress.ts';
import type { ClientPorts } from '../ports.ts';
import type { Position, SubscriptionPlan } from '../subscription/subscribe-options.ts';
import { zeroCounters } from '../subscription/subscription-events.ts';
import { SubscriptionFeed } from '../subscription/subscription-feed.ts';
import type { GroupPlan } from './options.ts';

/** What a partition needs of its member. */
export interface PartitionContext {
  readonly supervisor: ConnectionSupervisor;
  readonly ports: ClientPorts;
  readonly plan: GroupPlan;
  /** Shared by all partitions: what comes first is handed out first. */
  readonly buffer: DeliveryBuffer;
  /** The partition cannot be read any more. */
  failed(error: SluiceError): void;
}

const CLOSED = new SluiceError('CLOSED', 'the partition is read no more');
const GONE: ReadonlySet<ErrorCode> = new Set(['TOPIC_NOT_FOUND', 'PARTITION_NOT_FOUND']);
/** A broker may hear later than the coordinator of what is new: it is asked again, milliseconds. */
const UNHEARD_MS = 500;

/** One partition that is assigned to this member: an ordinary subscription to it, which fills the member's buffer. */
export class GroupPartition {
  readonly topic: string;
  readonly partition: number;
  /** What is committed as far as this member knows. */
  committed: number;
  /** It goes to another member: nothing more of it is handed out. */
  revoking = false;
  readonly #context: PartitionContext;
  #start: number;
  #feed: SubscriptionFeed;
  /** Of the feed, which forgets it when its topic is deleted: what waits of it has to be dropped all the same. */
  #known: PartitionProgress | undefined;
  #again: Timer | undefined;
  /** Readings of the log that is read now, from other places than the present one. */
  #readBefore = new WeakSet<object>();

  constructor(context: PartitionContext, { topic, partition, offset }: Position) {
    this.topic = topic;
    this.partition = partition;
    this.committed = offset;
    this.#context = context;
    this.#start = offset;
    this.#feed = this.#open([{ topic, partition, offset }]);
  }

  /** After the last record that was handed out. */
  get position(): Position {
    const offset = this.progress?.consumed ?? this.#start;
    return { topic: this.topic, partition: this.partition, offset };
  }

  /** Undefined until the broker has accepted. */
  get progress(): PartitionProgress | undefined {
    return this.#feed.partitions[0] ?? this.#known;
  }

  /** Whether what came with that reading was handed out since the partition was assigned, and is of the log that is read now. */
  hasHandedOut(origin: object | undefined): boolean {
    return origin !== undefined && (origin === this.#feed.partitions[0] || this.#readBefore.has(origin));
  }

  /** Goes on at `offset`; what waits is thrown away. */
  seek(offset: number): void {
    const { topic, partition } = this;
    const reading = this.#feed.partitions[0];
    if (reading !== undefined) this.#readBefore.add(reading);
    this.close();
    this.#start = offset;
    this.#feed = this.#open([{ topic, partition, offset }]);
  }

  /** The buffer has room again. */
  resumeStreams(): void {
    this.#feed.resumeStreams();
  }

  /** Reads no more; what waits is not handed out. Idempotent. */
  close(): void {
    this.#again?.cancel();
    if (this.progress !== undefined) this.progress.dropped = true;
    this.#feed.close(CLOSED);
  }

  /** @param resume where to begin; empty: at the oldest record */
  #open(resume: readonly Position[]): SubscriptionFeed {
    const { supervisor, ports, buffer, plan } = this.#context;
    this.#known = undefined;
    const subscription: SubscriptionPlan = {
      filter: this.topic,
      partitions: [this.partition],
      from: 'earliest',
      resume,
      delivery: 'ordered',
      onGap: 'skip',
      urgency: plan.urgency,
      bufferBytes: plan.bufferBytes,
      name: plan.group,
    };
    const feed = new SubscriptionFeed(supervisor, ports, subscription, false, buffer, {
      counters: zeroCounters(),
      status: ({ kind }) => {
        if (feed === this.#feed) this.#known = feed.partitions[0] ?? this.#known;
        if (kind === 'restarted') this.#forgetReadings();
      },
      ended: (error) => this.#ended(feed, error),
    });
    feed.open().catch(() => undefined); // it is told by `ended`
    return feed;
  }

  #ended(feed: SubscriptionFeed, error: SluiceError | undefined): void {
    if (feed !== this.#feed || error === undefined) return;
    if (GONE.has(error.code)) {
      // What was read before is gone: the next assignment is without it.
      if (this.progress === undefined) this.#openLater();
      return;
    }
    if (error.code === 'OFFSET_OUT_OF_RANGE') {
      // Its log ends before what was committed: it was made again. It is read from its beginning.
      this.#start = 0;
      this.#forgetReadings();
      this.committed = 0;
      this.#feed = this.#open([]);
      return;
    }
    this.#context.failed(error);
  }

  /** It has another log now. */
  #forgetReadings(): void {
    this.#readBefore = new WeakSet();
  }

  #openLater(): void {
    this.#again = this.#context.ports.clock.setTimer(UNHEARD_MS, () => {
      this.#forgetReadings();
      this.#feed = this.#open([this.position]);
    });
  }
}

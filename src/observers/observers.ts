import type { Cluster, PartitionChange } from '../coordination/cluster.ts';
import type { Coordinator, TopicDefinition, Unwatch } from '../coordination/coordinator.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { SluiceError } from '../kernel/errors.ts';
import { Slots } from '../kernel/slots.ts';
import { ByteBudget } from '../log/byte-budget.ts';
import { MemoryBudget } from '../log/memory-budget.ts';
import type { Partition } from '../partition/partition.ts';
import { ProducerWindow } from '../partition/producer-window.ts';
import type { PartitionCounters } from '../partition/reader-source.ts';
import type { PartitionRef } from '../partition/replication.ts';
import { CopyFeed } from './copy-feed.ts';
import type { CopyReader } from './copy-reader.ts';
import { CopySources } from './copy-sources.ts';
import { ObservedPartition } from './observed-partition.ts';
import { newObserverCounters } from './observer-counters.ts';
import { ObserverLog } from './observer-log.ts';
import { OlderReads } from './older-reads.ts';

const MiB = 1024 * 1024;
/** Reads of older records under way at once. */
const OLDER_AT_ONCE = 32;

/** Bounds of what observers keep, and for how long. */
export interface ObserverLimits {
  /** Bytes of the newest batches of each copy. */
  readonly tailBytes: number;
  /** Bytes that all copies of the node keep together. */
  readonly totalBytes: number;
  /** Bytes of batches in one read from another node. */
  readonly readBytes: number;
  /** Bytes that all copies together ask for above one read each. */
  readonly aheadBytes: number;
  /** What all last-per-key scans may keep in memory together. */
  readonly scanBytes: number;
  /** Copies at most; each has a read under way all the time. */
  readonly maxCopies: number;
  /** How long a copy stays after its last reader, milliseconds. */
  readonly lingerMs: number;
}

/** What holds unless configured otherwise. */
export const DEFAULT_OBSERVER_LIMITS: ObserverLimits = {
  tailBytes: 16 * MiB,
  totalBytes: 256 * MiB,
  readBytes: MiB,
  aheadBytes: 64 * MiB,
  scanBytes: 64 * MiB,
  maxCopies: 4096,
  lingerMs: 5000,
};

/** What the observers of a node need. */
export interface ObserversOptions {
  readonly coordinator: Pick<Coordinator, 'nodeId' | 'watchTopics'> & {
    readonly cluster: Pick<Cluster, 'nodes' | 'watchNodes' | 'partitionState' | 'watchPartitions'>;
  };
  readonly reader: CopyReader;
  /** Where this node is; empty: not said. */
  readonly zone: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: PartitionCounters;
  /** Bound for what a batch may inflate to where records are looked at. */
  readonly inflatedMaxBytes: number;
  readonly limits?: Partial<ObserverLimits> | undefined;
}

interface Observed {
  readonly topicId: string;
  readonly partition: ObservedPartition;
  readonly log: ObserverLog;
  users: number;
  closing: Timer | undefined;
}

/** A copy that may feed those of other nodes. */
export interface Relay {
  readonly partition: Partition;
  /** From this offset on everything is in memory. */
  readonly tailStart: number;
}

/**
 * The partitions of which this node is no replica, and that its subscribers read all the same: one copy of each, however many they are, which
 * is fed from the nearest node that has one and goes away some time after its last user.
 */
export class Observers {
  /** Plain counts for metrics. */
  readonly counters = newObserverCounters();
  readonly #options: ObserversOptions;
  readonly #limits: ObserverLimits;
  readonly #budget: MemoryBudget;
  readonly #ahead: ByteBudget;
  readonly #scanBudget: ByteBudget;
  readonly #olderSlots = new Slots(OLDER_AT_ONCE);
  readonly #copies = new Map<string, Observed>();
  readonly #unwatch: readonly Unwatch[];

  constructor(options: ObserversOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_OBSERVER_LIMITS, ...options.limits };
    this.#budget = new MemoryBudget(this.#limits.totalBytes);
    this.#ahead = new ByteBudget(this.#limits.aheadBytes);
    this.#scanBudget = new ByteBudget(this.#limits.scanBytes);
    const { coordinator } = options;
    const { cluster } = coordinator;
    this.#unwatch = [
      coordinator.watchTopics(({ kind, topic }) => {
        if (kind === 'deleted') this.#closeTopic(topic.id);
      }),
      cluster.watchPartitions((change) => this.#stateChanged(change)),
      cluster.watchNodes(() => this.#membersChanged()),
    ];
  }

  /** Copies that are open. */
  get size(): number {
    return this.#copies.size;
  }

  /** The copies that are open, whoever uses them. */
  *partitions(): Iterable<Pick<ObservedPartition, 'readers' | 'lag' | 'isChained'>> {
    for (const { partition } of this.#copies.values()) yield partition;
  }

  /** A copy to feed those of other nodes from; undefined: there is none that is fed by a replica itself. It uses nothing up and keeps nothing open. */
  relayed(topicId: string, partition: number): Relay | undefined {
    const observed = this.#copies.get(keyOf(topicId, partition));
    if (!observed?.partition.isRelay) return undefined;
    return { partition: observed.partition, tailStart: observed.log.tailStart };
  }

  /** Bytes that all copies keep. */
  get retainedBytes(): number {
    return this.#budget.usedBytes;
  }

  /**
   * A copy for one more user, who calls {@link release} when it is done with it. It is there at once; until it knows
   * where its source begins and ends, only readers at an offset that is the partition's are opened at once, all others with a promise.
   * @throws OVERLOADED when there are too many
   */
  open(topic: TopicDefinition, partition: number): Partition {
    const key = keyOf(topic.id, partition);
    const observed = this.#copies.get(key) ?? this.#add(key, topic, partition);
    observed.users++;
    observed.closing?.cancel();
    observed.closing = undefined;
    return observed.partition;
  }

  /** One user less; after the last the copy goes away in a while, unless somebody opens it again. */
  release({ id }: Pick<TopicDefinition, 'id'>, partition: number): void {
    const key = keyOf(id, partition);
    const observed = this.#copies.get(key);
    if (!observed || observed.users === 0) return;
    observed.users--;
    if (observed.users > 0) return;
    observed.closing = this.#options.clock.setTimer(this.#limits.lingerMs, () => this.#close(key, observed));
  }

  /** Closes all copies, whoever uses them. Idempotent. */
  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
    for (const [key, observed] of this.#copies) this.#close(key, observed);
  }

  #add(key: string, topic: TopicDefinition, partition: number): Observed {
    const { maxCopies } = this.#limits;
    if (this.#copies.size >= maxCopies)
      throw new SluiceError('OVERLOADED', `this node reads ${maxCopies} partitions from others already`);
    this.counters.opened++;
    const observed: Observed = {
      topicId: topic.id,
      ...this.#build(topic, partition),
      users: 0,
      closing: undefined,
    };
    this.#copies.set(key, observed);
    const entry = this.#options.coordinator.cluster.partitionState(topic.id, partition);
    if (entry) observed.partition.stateChanged(entry);
    return observed;
  }

  #build(topic: TopicDefinition, partition: number): Pick<Observed, 'partition' | 'log'> {
    const {
      coordinator,
      reader,
      zone,
      clock,
      random,
      counters: readerCounters,
      inflatedMaxBytes,
    } = this.#options;
    const ref: PartitionRef = { topicId: topic.id, partition };
    const { cluster, nodeId: selfId } = coordinator;
    const { counters } = this;
    const sources = new CopySources({ cluster, selfId, zone, clock, random }, ref);
    const { readBytes } = this.#limits;
    const shared = { ref, reader, readBytes, sources, clock, counters };
    const older = new OlderReads({ ...shared, slots: this.#olderSlots, budget: this.#budget });
    const log = new ObserverLog({ clock, maxBytes: this.#limits.tailBytes, budget: this.#budget, older });
    const copy = new ObservedPartition(
      {
        ...{ topic: topic.name, topicId: topic.id, partition, settings: topic.settings },
        ...{ inflatedMaxBytes, clock, log, counters: readerCounters, scanBudget: this.#scanBudget },
        // It never leads, so nobody asks it what producers have sent.
        producers: new ProducerWindow(clock, 1, { producers: 0, maxProducers: 1 }),
      },
      (observed) => new CopyFeed({ ...shared, partition: observed, log, older, ahead: this.#ahead }),
    );
    return { partition: copy, log };
  }

  #close(key: string, { partition, closing }: Observed): void {
    closing?.cancel();
    this.#copies.delete(key);
    void partition.close();
  }

  #closeTopic(topicId: string): void {
    for (const [key, observed] of this.#copies) if (observed.topicId === topicId) this.#close(key, observed);
  }

  #stateChanged({ entry }: PartitionChange): void {
    const observed = this.#copies.get(keyOf(entry.topicId, entry.partition));
    observed?.partition.stateChanged(entry);
    observed?.partition.sourcesChanged();
  }

  #membersChanged(): void {
    for (const { partition } of this.#copies.values()) partition.sourcesChanged();
  }
}

function keyOf(topicId: string, partition: number): string {
  return `${topicId}/${partition}`;
}

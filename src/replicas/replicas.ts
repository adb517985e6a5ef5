import type { PartitionChange, PartitionEntry } from '../coordination/cluster.ts';
import type { Coordinator, TopicChange, TopicDefinition, Unwatch } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { Partition } from '../partition/partition.ts';
import type { PartitionCounters } from '../partition/reader-source.ts';
import type { ReplicationClient } from '../partition/replication.ts';
import { Fetchers } from './fetchers.ts';
import { PartitionBuilder } from './partition-builder.ts';
import type { ReplicaLogs } from './replica-logs.ts';
import type { ReplicaListener, ReplicaObserver } from './replica-observer.ts';
import type { HeldParts } from './held-partition.ts';
import { HeldPartition, isOthers, removalKey } from './held-partition.ts';
import { Removals } from './removals.ts';

const MAX_LAG_MS = 10_000;

/** What the replicas of a node are made of. */
export interface ReplicasOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly random: Random;
  readonly logs: ReplicaLogs;
  readonly counters: PartitionCounters;
  /** Bound for what a batch may inflate to where records are looked at. */
  readonly inflatedMaxBytes: number;
  /** How other nodes are asked; undefined on a node on its own. */
  readonly client?: ReplicationClient | undefined;
  /** A follower that has not caught up for so long leaves the in-sync replicas, milliseconds. Default 10,000. */
  readonly maxLagMs?: number | undefined;
  /** Bytes in a second that all partitions that are not in sync fetch together; undefined: no bound. */
  readonly catchUpBytesPerSecond?: number | undefined;
  readonly listener: ReplicaListener;
  readonly observer?: Partial<ReplicaObserver> | undefined;
}

interface Topic {
  definition: TopicDefinition;
  readonly replicas: Map<number, HeldPartition>;
}

/**
 * All partitions of which this node is a replica, open and in the roles that the coordinator's states give them.
 *
 * Replicas do not wait for each other: one whose log is slow to open, or whose claim is not answered, holds up no other.
 */
export class Replicas {
  readonly #coordinator: Coordinator;
  readonly #logs: ReplicaLogs;
  readonly #observer: Partial<ReplicaObserver>;
  readonly #fetchers: Fetchers;
  readonly #parts: HeldParts;
  readonly #topics = new Map<string, Topic>();
  readonly #removals: Removals;
  readonly #unwatch: readonly Unwatch[];
  #isClosed = false;

  private constructor(options: ReplicasOptions) {
    const { coordinator, clock, random, logs, counters, inflatedMaxBytes, client, listener } = options;
    const { maxLagMs = MAX_LAG_MS, catchUpBytesPerSecond, observer = {} } = options;
    this.#coordinator = coordinator;
    this.#logs = logs;
    this.#observer = observer;
    this.#removals = new Removals(clock, random);
    this.#fetchers = new Fetchers({ clock, random, client, catchUpBytesPerSecond, observer });
    const builder = new PartitionBuilder({ clock, logs, counters, inflatedMaxBytes });
    const fetchers = this.#fetchers;
    const removals = this.#removals;
    this.#parts = {
      ...{ coordinator, clock, random, logs, builder, fetchers, maxLagMs, listener, observer, removals },
    };
    const { cluster } = coordinator;
    this.#unwatch = [
      coordinator.watchTopics((change) => this.#applyTopic(change)),
      cluster.watchPartitions((change) => this.#applyPartition(change)),
      cluster.onLeaseLost(() => this.#each((replica) => replica.leaseLost())),
      cluster.onLeaseGained(() => this.#each((replica) => replica.leaseGained())),
    ];
  }

  /** Opens what this node is a replica of; resolves when each has been tried once. Those that failed are tried again. */
  static async open(options: ReplicasOptions): Promise<Replicas> {
    const replicas = new Replicas(options);
    const { coordinator } = options;
    for (const topic of coordinator.topics()) replicas.#add(topic);
    replicas.#deleteGone();
    for (const entry of coordinator.cluster.partitionStates()) replicas.#update(entry, false);
    await replicas.#takeStale();
    await replicas.#settleAll();
    return replicas;
  }

  /** A partition that is open here, in whatever role. */
  get(topicId: string, partition: number): Partition | undefined {
    return this.#topics.get(topicId)?.replicas.get(partition)?.partition;
  }

  /** The partitions of a topic that are open here, in order. */
  ofTopic(topicId: string): readonly Partition[] {
    const open = this.#replicasOf(topicId).flatMap(({ partition }) => partition ?? []);
    return open.sort((a, b) => a.partition - b.partition);
  }

  /** Why a partition is not what it should be here; undefined when it is, or is not to be here. */
  failure(topicId: string, partition: number): SluiceError | undefined {
    return this.#topics.get(topicId)?.replicas.get(partition)?.failure;
  }

  /** Why partitions of a topic are not what they should be here; empty when they are. */
  failures(topicId: string): readonly SluiceError[] {
    return this.#replicasOf(topicId).flatMap(({ failure }) => failure ?? []);
  }

  /**
   * Resolves when this node has done, for a topic, all that it has been told of.
   * @throws STORAGE_FULL, STORAGE_FAILED, UNAVAILABLE and what else keeps one of its partitions from being what it should be
   */
  async settled(topicId: string): Promise<void> {
    const results = await Promise.allSettled(this.#replicasOf(topicId).map((replica) => replica.settled()));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  }

  /** Tries again at once what has failed. @throws as {@link settled} */
  async retry(topicId: string): Promise<void> {
    for (const replica of this.#replicasOf(topicId)) replica.retry();
    await this.settled(topicId);
  }

  /** Resolves when what a deleted topic leaves behind is marked as deleted, or the observer was told why it is not yet. */
  removed(topicId: string): Promise<void> {
    return this.#removals.settled(topicId);
  }

  /** Closes all; those in memory that this node led leave their log end behind, so that offsets go on there. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const unwatch of this.#unwatch) unwatch();
    const replicas = [...this.#topics.keys()].flatMap((topicId) => this.#replicasOf(topicId));
    await Promise.allSettled(replicas.map((replica) => replica.stop(true)));
    this.#fetchers.close();
    await this.#removals.close();
  }

  #replicasOf(topicId: string): HeldPartition[] {
    return [...(this.#topics.get(topicId)?.replicas.values() ?? [])];
  }

  #each(tell: (replica: HeldPartition) => void): void {
    for (const { replicas } of this.#topics.values()) for (const replica of replicas.values()) tell(replica);
  }

  async #settleAll(): Promise<void> {
    await Promise.allSettled([...this.#topics.keys()].map((topicId) => this.settled(topicId)));
  }

  #add(definition: TopicDefinition): Topic {
    const topic: Topic = { definition, replicas: new Map() };
    this.#topics.set(definition.id, topic);
    // As the coordination has been set back: what it has now is not tried to be taken away.
    void this.#removals.drop(definition.id);
    return topic;
  }

  /** Topics that were deleted after it was looked what is there of them, when nobody watched yet. */
  #deleteGone(): void {
    for (const definition of this.#logs.topics ?? []) {
      if (!this.#topics.has(definition.id)) this.#removeTopic(definition, []);
    }
  }

  #applyTopic({ kind, topic: definition }: TopicChange): void {
    const topic = this.#topics.get(definition.id);
    if (kind === 'deleted') {
      if (topic) this.#delete(topic);
      return;
    }
    if (!topic) {
      this.#add(definition);
      this.#takeStates(definition);
      return;
    }
    topic.definition = definition;
    for (const replica of topic.replicas.values()) replica.configure(definition);
  }

  /** States may have been told before their topic was. */
  #takeStates({ id, partitions }: TopicDefinition): void {
    for (let partition = 0; partition < partitions; partition++) {
      const entry = this.#coordinator.cluster.partitionState(id, partition);
      if (entry) this.#update(entry, true);
    }
  }

  #applyPartition({ kind, entry }: PartitionChange): void {
    if (kind === 'updated') {
      this.#update(entry, true);
      return;
    }
    // Removed with its topic, or by mistake: then its data stays.
    this.#topics.get(entry.topicId)?.replicas.get(entry.partition)?.update(undefined);
    void this.#removals.drop(removalKey(entry.topicId, entry.partition));
  }

  #update(entry: PartitionEntry, isNew: boolean): void {
    const topic = this.#topics.get(entry.topicId);
    if (!topic) return;
    let replica = topic.replicas.get(entry.partition);
    const isHere = entry.state.replicas.includes(this.#coordinator.nodeId);
    // One that is here again sees to what it has left itself.
    if (!isHere && !isOthers(entry.state, this.#coordinator.nodeId))
      void this.#removals.drop(removalKey(entry.topicId, entry.partition));
    if (!replica && !isHere) return;
    replica ??= this.#hold(topic, entry.partition, isNew);
    replica.update(entry);
    if (!isHere) void this.#forget(topic, entry.partition, replica);
  }

  #hold(topic: Topic, partition: number, isNew: boolean): HeldPartition {
    const replica = new HeldPartition(this.#parts, topic.definition, partition, isNew);
    topic.replicas.set(partition, replica);
    return replica;
  }

  /** What an earlier start has left of partitions that other nodes have now; they remove it themselves. */
  async #takeStale(): Promise<void> {
    const { cluster, nodeId } = this.#coordinator;
    for (const topic of [...this.#topics.values()]) {
      for (const partition of await this.#stored(topic.definition)) {
        const entry = cluster.partitionState(topic.definition.id, partition);
        if (!entry || entry.state.replicas.includes(nodeId) || topic.replicas.has(partition)) continue;
        const replica = this.#hold(topic, partition, false);
        replica.update(entry);
        void this.#forget(topic, partition, replica);
      }
    }
  }

  async #stored(topic: TopicDefinition): Promise<readonly number[]> {
    try {
      return (await this.#logs.stored?.(topic)) ?? [];
    } catch (error) {
      this.#observer.onRemoveFailed?.(topic, undefined, asSluiceError(error));
      return [];
    }
  }

  async #forget(topic: Topic, partition: number, replica: HeldPartition): Promise<void> {
    await replica.settled().catch(() => undefined);
    if (replica.isGone && topic.replicas.get(partition) === replica) topic.replicas.delete(partition);
  }

  #delete(topic: Topic): void {
    this.#topics.delete(topic.definition.id);
    const { definition, replicas } = topic;
    const stopping = [...replicas.values()].map((replica) => replica.stop(false));
    this.#removeTopic(definition, [...stopping, this.#removals.dropAll(removalKey(definition.id, ''))]);
  }

  /** @param stopping what uses what is to go */
  #removeTopic(topic: TopicDefinition, stopping: readonly Promise<void>[]): void {
    this.#removals.begin(topic.id, {
      after: stopping,
      remove: () => this.#logs.removeTopic(topic),
      onFailed: (error) => this.#observer.onRemoveFailed?.(topic, undefined, error),
    });
  }
}

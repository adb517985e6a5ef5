import type { TopicSettings } from '../coordination/coordinator.ts';
import type { Coordinators } from '../groups/coordinators.ts';
import type { Clock } from '../kernel/clock.ts';
import type { PartitionWatcher } from '../partition/partition-parts.ts';
import type { Partition } from '../partition/partition.ts';
import { createOrFind } from './topics/create-or-find.ts';
import { LedPartitionState } from './group-state.ts';
import type { OpenTopic } from './topics/open-topic.ts';
import type { TopicDirectory, TopicListener } from './topics/topic-directory.ts';

/** Where the state of consumer groups and queues is. */
export const GROUPS_TOPIC = '__groups';

const MiB = 1024 * 1024;
const DAY_MS = 86_400_000;

/** How much of it there is, when it is made. */
export interface GroupStorage {
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly minInsync: number;
  /** Default: disk. In memory a coordinator's state ends with the nodes that have it. */
  readonly storage?: TopicSettings['storage'];
}

/** What the hosts are made of. */
export interface GroupHostsParts {
  readonly directory: TopicDirectory;
  readonly coordinators: Coordinators;
  readonly clock: Clock;
  readonly storage: GroupStorage;
}

/** Who coordinates a partition of `__groups`: this node, another one, or nobody now. */
export type GroupHost = 'here' | { readonly nodeId: string } | undefined;

/** Has this node coordinate what it leads of `__groups`, and knows who coordinates the rest. */
export class GroupHosts implements Partial<TopicListener> {
  readonly #parts: GroupHostsParts;
  /** Copies of this node by partition, with what looks at their role. */
  readonly #watched = new Map<number, Watched>();
  #isClosed = false;
  #making: Promise<OpenTopic> | undefined;

  constructor(parts: GroupHostsParts) {
    this.#parts = parts;
    const topic = this.#topic;
    for (const copy of topic?.copies ?? []) this.onOpened(topic!, copy.partition);
  }

  /** Partitions of `__groups`; 0: there is none yet. */
  get partitions(): number {
    return this.#topic?.count ?? 0;
  }

  /** Makes `__groups` unless it is there. @returns its partitions @throws as `TopicDirectory.create` */
  async ensure(): Promise<number> {
    const topic = this.#topic;
    if (topic?.isReady) return topic.count;
    this.#making ??= this.#make().finally(() => (this.#making = undefined));
    return (await this.#making).count;
  }

  hostOf(partition: number): GroupHost {
    const topic = this.#topic;
    if (!topic) return undefined;
    if (topic.copy(partition)?.role === 'leader') return 'here';
    const nodeId = this.#parts.directory.leaders.elsewhere(topic, partition)?.leader;
    return nodeId === undefined ? undefined : { nodeId };
  }

  /** This node has a copy of a partition now. */
  onOpened(topic: OpenTopic, partition: number): void {
    if (this.#isClosed || topic.name !== GROUPS_TOPIC) return;
    this.onClosed(topic, partition);
    const copy = topic.copy(partition);
    if (copy) this.#watched.set(partition, new Watched(copy, this.#parts));
  }

  /** A copy of this node is being closed. */
  onClosed(topic: OpenTopic, partition: number): void {
    if (topic.name !== GROUPS_TOPIC) return;
    this.#watched.get(partition)?.end();
    this.#watched.delete(partition);
  }

  /** A topic is gone. */
  onDeleted(topic: OpenTopic): void {
    for (const { partition } of topic.copies) this.onClosed(topic, partition);
  }

  /** All that is coordinated here ends, and nothing begins any more. */
  close(): void {
    this.#isClosed = true;
    for (const watched of this.#watched.values()) watched.end();
    this.#watched.clear();
    this.#parts.coordinators.close();
  }

  get #topic(): OpenTopic | undefined {
    return this.#parts.directory.get(GROUPS_TOPIC);
  }

  async #make(): Promise<OpenTopic> {
    const { directory, clock, storage } = this.#parts;
    const found = directory.find(GROUPS_TOPIC);
    if (found) return found;
    const { partitions } = storage;
    return createOrFind(directory, clock, { name: GROUPS_TOPIC, partitions, settings: settingsOf(storage) });
  }
}

/** Follows the role of one copy of this node: one that leads is coordinated here. */
class Watched implements PartitionWatcher {
  readonly #copy: Partition;
  readonly #parts: GroupHostsParts;
  #epoch: number | undefined;
  #isLooking = false;
  #hasEnded = false;

  constructor(copy: Partition, parts: GroupHostsParts) {
    this.#copy = copy;
    this.#parts = parts;
    copy.watch(this);
    this.partitionChanged();
  }

  /** Called with every append, so it mostly does nothing. */
  partitionChanged(): void {
    if (this.#isLooking || this.#ledEpoch() === this.#epoch) return;
    this.#isLooking = true;
    queueMicrotask(() => this.#look());
  }

  end(): void {
    this.#hasEnded = true;
    this.#copy.unwatch(this);
    if (this.#epoch !== undefined) this.#parts.coordinators.end(this.#copy.partition);
    this.#epoch = undefined;
  }

  #look(): void {
    this.#isLooking = false;
    if (this.#hasEnded) return;
    const { coordinators, clock } = this.#parts;
    this.#epoch = this.#ledEpoch();
    if (this.#epoch === undefined) coordinators.end(this.#copy.partition);
    else coordinators.lead(new LedPartitionState(this.#copy, clock));
  }

  #ledEpoch(): number | undefined {
    const { role, leaderEpoch, closed } = this.#copy;
    return role === 'leader' && !closed ? leaderEpoch : undefined;
  }
}

function settingsOf({ storage = 'disk', replicationFactor, minInsync }: GroupStorage): TopicSettings {
  const isOnDisk = storage === 'disk';
  return {
    ...{ storage, replicationFactor, minInsync, timestamps: 'create', uncleanElection: false },
    ...{
      retentionBytes: isOnDisk ? 0 : 64 * MiB,
      retentionMs: 0,
      retentionRecords: 0,
      batchMaxBytes: 16 * MiB,
    },
    ...{
      flush: 'always',
      flushIntervalMs: 1000,
      cleanup: isOnDisk ? 'compact' : 'delete',
      tombstoneMs: DAY_MS,
    },
  };
}

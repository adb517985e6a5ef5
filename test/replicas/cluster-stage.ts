import type { PartitionState } from '../../src/coordination/cluster.ts';
import type { NewTopic, TopicDefinition } from '../../src/coordination/coordinator.ts';
import { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { FetchSessions } from '../../src/partition/fetch-sessions.ts';
import type { Partition } from '../../src/partition/partition.ts';
import type { ReplicationClient, ReplicationServer } from '../../src/partition/replication.ts';
import type { ReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import type { ReplicasOptions } from '../../src/replicas/replicas.ts';
import { Replicas } from '../../src/replicas/replicas.ts';
import { FakeClock } from '../support/fake-clock.ts';
import type { EtcdLink } from '../support/fake-etcd-store.ts';
import { FakeEtcdStore } from '../support/fake-etcd-store.ts';
import { FakeEtcd } from '../support/fake-etcd.ts';
import { passTime, passUntil } from '../support/passing-time.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { topicSettings } from '../support/topic-settings.ts';
import { turns } from '../support/turns.ts';

/** A topic in memory with one partition. */
export function newTopic(name: string, settings: Partial<NewTopic['settings']> = {}): NewTopic {
  return {
    name,
    partitions: 1,
    settings: topicSettings({ retentionBytes: 1e9, replicationFactor: 3, ...settings }),
  };
}

/** Whether a node reaches etcd, and other nodes. */
class StageLink implements EtcdLink {
  isReachable = true;
  #isUp = true;
  readonly #watches = new Set<() => void>();

  get isUp(): boolean {
    return this.#isUp;
  }

  set isUp(isUp: boolean) {
    this.#isUp = isUp;
    if (!isUp) for (const breakOff of this.#watches) breakOff();
  }

  toEtcd(run: () => void): void {
    queueMicrotask(() => this.#isUp && run());
  }

  toNode(run: () => void): void {
    queueMicrotask(() => this.#isUp && run());
  }

  onWatch(breakOff: () => void): () => void {
    this.#watches.add(breakOff);
    return () => void this.#watches.delete(breakOff);
  }
}

/** A node: what it holds, and what it has told. */
export class StageNode {
  readonly id: string;
  readonly coordinator: EtcdCoordinator;
  replicas!: Replicas;
  server!: ReplicationServer;
  /** What it has told, as text. */
  readonly told: string[] = [];
  readonly link: StageLink;

  constructor(id: string, coordinator: EtcdCoordinator, link: StageLink) {
    this.id = id;
    this.coordinator = coordinator;
    this.link = link;
  }

  /** @throws TypeError when it is not open here */
  partition(topic: TopicDefinition, index = 0): Partition {
    const partition = this.replicas.get(topic.id, index);
    if (!partition) throw new TypeError(`${topic.name}/${index} is not open on ${this.id}`);
    return partition;
  }
}

/** Nodes with the production coordination on a fake of etcd, with replicas, and a network of function calls; no controller. */
export class ClusterStage implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly etcd = new FakeEtcd(this.clock);
  readonly nodes = new Map<string, StageNode>();
  #seed = 1;

  /** @param options of its replicas; logs are in memory if not said otherwise */
  async start(
    id: string,
    options: Partial<Pick<ReplicasOptions, 'maxLagMs' | 'logs' | 'listener'>> = {},
  ): Promise<StageNode> {
    const { clock } = this;
    const random = new SeededRandom(this.#seed++);
    const link = new StageLink();
    const opening = EtcdCoordinator.on(
      new FakeEtcdStore({ etcd: this.etcd, link, prefix: '/sluice/c/', clock, random }),
      {
        clusterName: 'c',
        nodeId: id,
        description: {
          ...{ clientUrls: [], peerAddress: id, zone: '', capacity: 1, software: '', draining: false },
        },
        clock,
        random,
      },
    );
    const coordinator = await this.#until(opening);
    const node = new StageNode(id, coordinator, link);
    this.nodes.set(id, node);
    const logs: ReplicaLogs = options.logs ?? memoryReplicaLogs(clock, new MemoryBudget(Infinity));
    const replicas = Replicas.open({
      coordinator,
      clock,
      random,
      logs,
      counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
      inflatedMaxBytes: 1024 * 1024,
      client: this.#client(id),
      maxLagMs: options.maxLagMs,
      listener: options.listener ?? {
        onOpened: (topic, { partition }) => node.told.push(`opened ${topic.name}/${partition}`),
        onClosed: (topic, { partition }) => node.told.push(`closed ${topic.name}/${partition}`),
      },
      observer: {
        onFailed: ({ topic }, { code }) => node.told.push(`failed ${topic.name} ${code}`),
        onRecovered: ({ topic }) => node.told.push(`recovered ${topic.name}`),
        onLost: ({ topic }) => node.told.push(`lost ${topic.name}`),
        onRole: ({ topic }, role, epoch) => node.told.push(`${role} of ${topic.name} in ${epoch}`),
        onTruncated: ({ topic }, from, to) => node.told.push(`truncated ${topic.name} ${from} ${to}`),
        onReset: ({ topic }, from, to) => node.told.push(`reset ${topic.name} ${from} ${to}`),
      },
    });
    node.replicas = await this.#until(replicas);
    node.server = new FetchSessions({
      clock,
      find: (topicId, partition) => node.replicas.get(topicId, partition),
    });
    return node;
  }

  /** Ends a node's process without a word to anybody. */
  async crash(id: string): Promise<void> {
    const node = this.node(id);
    this.nodes.delete(id);
    node.link.isUp = false;
    node.link.isReachable = false;
    for (const other of this.nodes.values()) other.server.forget(id);
    await this.#until(node.replicas.close());
    await this.#until(node.coordinator[Symbol.asyncDispose]());
  }

  node(id: string): StageNode {
    return this.nodes.get(id)!;
  }

  async createTopic(topic: NewTopic): Promise<TopicDefinition> {
    const definition = await this.#any().coordinator.createTopic(topic);
    await this.settle();
    return definition;
  }

  /** The stored state. */
  state(topic: TopicDefinition, partition = 0): PartitionState | undefined {
    return this.#any().coordinator.cluster.partitionState(topic.id, partition)?.state;
  }

  /** Changes the stored state as a controller does; a leader that is named raises the epoch. */
  async assign(topic: TopicDefinition, change: Partial<PartitionState>, partition = 0): Promise<void> {
    const { cluster } = this.#any().coordinator;
    const entry = cluster.partitionState(topic.id, partition);
    const before = entry?.state ?? { replicas: [], leader: null, leaderEpoch: 0, isr: [] };
    const leaderEpoch = before.leaderEpoch + (change.leader === undefined ? 0 : 1);
    const state = { ...before, leaderEpoch, ...change };
    const result = await cluster.updatePartition(topic.id, partition, entry?.revision ?? 0, state);
    if (result.kind === 'conflict') throw new TypeError('somebody else was first');
    await this.settle();
  }

  /** Lets all happen that needs no time. */
  async settle(): Promise<void> {
    await turns(40);
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await passTime(this.clock, ms);
    await this.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.nodes.keys()]) await this.crash(id);
  }

  #any(): StageNode {
    for (const node of this.nodes.values()) if (node.link.isUp) return node;
    throw new TypeError('no node reaches etcd');
  }

  /** Lets time pass until something is done. */
  #until<T>(work: Promise<T>): Promise<T> {
    return passUntil(this.clock, work);
  }

  #client(from: string): ReplicationClient {
    return {
      fetch: async (nodeId, request) => {
        await Promise.resolve();
        const response = await this.#reach(from, nodeId).server.fetch(from, request);
        this.#reach(from, nodeId);
        return response;
      },
    };
  }

  /** @throws UNAVAILABLE when a node cannot reach another */
  #reach(from: string, to: string): StageNode {
    const there = this.nodes.get(to);
    if (there?.link.isReachable && this.nodes.get(from)?.link.isReachable) return there;
    throw new SluiceError('UNAVAILABLE', `${to} cannot be reached`);
  }
}

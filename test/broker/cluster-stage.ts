import { Broker } from '../../src/broker/broker.ts';
import type { PublishOutcome, SubscribeOptions } from '../../src/broker/broker.ts';
import type { BrokerGroupOptions } from '../../src/broker/open-groups.ts';
import type { OtherNodes } from '../../src/broker/other-nodes.ts';
import type { Copies } from '../../src/broker/ports.ts';
import type { PartitionState } from '../../src/coordination/cluster.ts';
import type { NewTopic, TopicDefinition } from '../../src/coordination/coordinator.ts';
import { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { SluiceError, asSluiceError } from '../../src/kernel/errors.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { Observers } from '../../src/observers/observers.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import type { Acks } from '../../src/partition/acknowledgements.ts';
import type { ReplicationClient } from '../../src/partition/replication.ts';
import { LocalServices } from '../../src/peer/local-services.ts';
import type { PeerServices } from '../../src/peer/ports.ts';
import type { ReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { textOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeEtcdStore, INSTANT_LINK } from '../support/fake-etcd-store.ts';
import { FakeEtcd } from '../support/fake-etcd.ts';
import { passTime, passUntil } from '../support/passing-time.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { newTopic } from '../replicas/cluster-stage.ts';
import { ALICE, SUBSCRIBER } from './fixture.ts';

/** Between nodes a message takes longer than the next step within one. */
const TURNS_ON_THE_WAY = 3;

/** A node of a cluster: its broker and what the others reach of it. */
export interface StageNode {
  readonly id: string;
  readonly coordinator: EtcdCoordinator;
  readonly broker: Broker;
  readonly services: PeerServices;
  /** What other nodes asked of it, by method. */
  readonly asked: string[];
  /** Copies of partitions that others keep; undefined where it was started without. */
  readonly observers: Observers | undefined;
}

/** Brokers in one process, with the production coordination on a fake of etcd and a network of function calls; no controller: a test says who leads. */
export class BrokerCluster implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly etcd = new FakeEtcd(this.clock);
  readonly nodes = new Map<string, StageNode>();
  /** Nodes that others do not reach. */
  readonly cutOff = new Set<string>();
  /** Nodes that can open no log. */
  readonly broken = new Set<string>();
  /** Logs are searched for a time only after it, where it is set. */
  searchGate: Promise<void> | undefined;
  /** Answers to fetches come only after it. */
  fetchGate: Promise<void> = Promise.resolve();
  /** Nodes that are asked about offsets only after it. */
  readonly offsetGates = new Map<string, Promise<void>>();
  /** How nodes that are started from now on keep and coordinate groups. */
  groups: BrokerGroupOptions | undefined;
  #seed = 1;
  #forwarding: Promise<void> = Promise.resolve();

  static async open(ids: readonly string[] = ['a', 'b', 'c']): Promise<BrokerCluster> {
    const cluster = new BrokerCluster();
    for (const id of ids) await cluster.start(id);
    return cluster;
  }

  /** @param copies whether it reads what it has no copy of */
  async start(id: string, copies = true): Promise<void> {
    const { clock } = this;
    const random = new SeededRandom(this.#seed++);
    const store = new FakeEtcdStore({
      etcd: this.etcd,
      link: INSTANT_LINK,
      prefix: '/sluice/c/',
      clock,
      random,
    });
    const coordinator = await this.until(
      EtcdCoordinator.on(store, {
        ...{ clusterName: 'c', nodeId: id, clock, random },
        description: {
          ...{ clientUrls: [], peerAddress: id, zone: '', capacity: 1, software: '', draining: false },
        },
      }),
    );
    const others = this.#others();
    const counters = { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 };
    const shared = { coordinator, clock, random, counters, inflatedMaxBytes: 1024 * 1024 };
    const reader = {
      listOffsets: others.listOffsets.bind(others),
      read: async (nodeId: string, request: Parameters<PeerServices['copies']['read']>[1]) =>
        this.#reach(nodeId, 'read').services.copies.read(id, request, new AbortController().signal),
    };
    const observers = copies ? new Observers({ ...shared, reader, zone: '' }) : undefined;
    const broker = await this.until(
      Broker.open({
        ...shared,
        authorizer: { allows: () => true },
        authenticator: { authenticate: () => ALICE, isStillValid: () => true },
        logs: this.#logs(id),
        topics: {
          autoCreate: true,
          partitions: 1,
          settings: newTopic('').settings,
          maxTopics: 100,
          maxPartitions: 200,
        },
        client: this.#client(id),
        others,
        copies: observers satisfies Copies | undefined,
        groups: this.groups,
      }),
    );
    const services = new LocalServices(
      { clock, find: (topicId, index) => broker.copy(topicId, index) },
      broker.groups,
    );
    this.nodes.set(id, { id, coordinator, broker, services, asked: [], observers });
  }

  async stop(id: string): Promise<void> {
    const { broker, observers, coordinator } = this.node(id);
    this.nodes.delete(id);
    for (const { services } of this.nodes.values()) services.replication.forget(id);
    await this.until(broker[Symbol.asyncDispose]());
    observers?.close();
    await this.until(coordinator[Symbol.asyncDispose]());
  }

  node(id: string): StageNode {
    const node = this.nodes.get(id);
    if (!node) throw new TypeError(`${id} does not run`);
    return node;
  }

  /** A topic in memory whose partitions are led by the first of their replicas. @param replicas of each partition */
  async createTopic(name: string, replicas: readonly (readonly string[])[]): Promise<TopicDefinition> {
    const topic: NewTopic = { ...newTopic(name), partitions: replicas.length };
    const definition = await this.node('a').coordinator.createTopic(topic);
    for (const [index, ids] of replicas.entries()) {
      await this.assign(definition, { replicas: ids, leader: ids[0]!, isr: ids }, index);
    }
    return definition;
  }

  /** Changes the stored state as a controller does; another leader that is named raises the epoch. */
  async assign(topic: TopicDefinition, change: Partial<PartitionState>, partition = 0): Promise<void> {
    const { cluster } = this.node('a').coordinator;
    const entry = cluster.partitionState(topic.id, partition);
    const before = entry?.state ?? { replicas: [], leader: null, leaderEpoch: 0, isr: [] };
    const leaderEpoch = before.leaderEpoch + (entry && change.leader !== undefined ? 1 : 0);
    const state = { ...before, leaderEpoch, ...change };
    const result = await cluster.updatePartition(topic.id, partition, entry?.revision ?? 0, state);
    if (result.kind === 'conflict') throw new TypeError('somebody else was first');
    await this.settle();
  }

  /** Publishes at a node and waits; refusals are thrown. */
  async publish(
    id: string,
    topic: string,
    batch: Buffer,
    partition = 0,
    acks: Acks = 1,
  ): Promise<PublishOutcome> {
    const answer = new Promise<PublishOutcome>((resolve, reject) =>
      this.node(id).broker.publish(ALICE, topic, partition, batch, acks, (outcome) =>
        outcome instanceof SluiceError ? reject(outcome) : resolve(outcome),
      ),
    );
    return this.until(answer);
  }

  /** Subscribes at a node and gathers the readers. */
  async subscribe(id: string, filter: string, options: Partial<SubscribeOptions> = {}) {
    const readers: PartitionReader[] = [];
    const subscriber = {
      ...SUBSCRIBER,
      takePartition: (reader: PartitionReader): void => void readers.push(reader),
    };
    const subscription = await this.until(
      this.node(id).broker.subscribe(ALICE, { filter, start: { at: 'latest' }, subscriber, ...options }),
    );
    return { subscription, readers };
  }

  /** Keeps a node from answering about offsets. @returns lets it answer */
  holdOffsets(nodeId: string): () => void {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.offsetGates.set(
      nodeId,
      promise.then(() => undefined),
    );
    return () => {
      this.offsetGates.delete(nodeId);
      resolve(undefined);
    };
  }

  /** Lets all happen that needs no time. */
  async settle(): Promise<void> {
    await turns(60);
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await passTime(this.clock, ms);
    await this.settle();
  }

  /** Lets time pass until something is done. */
  until<T>(work: Promise<T>): Promise<T> {
    return passUntil(this.clock, work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.nodes.keys()]) await this.stop(id);
  }

  #logs(id: string): ReplicaLogs {
    const logs = memoryReplicaLogs(this.clock, new MemoryBudget(Infinity));
    return {
      ...logs,
      open: async (place) => {
        if (this.broken.has(id)) throw new SluiceError('STORAGE_FAILED', 'the disk of this node is broken');
        return this.#slow(await logs.open(place));
      },
    };
  }

  #slow(opened: Awaited<ReturnType<ReplicaLogs['open']>>): typeof opened {
    const { log } = opened;
    const find = log.findTimestamp.bind(log);
    log.findTimestamp = (timestampMs, upTo) =>
      this.searchGate ? this.searchGate.then(() => find(timestampMs, upTo)) : find(timestampMs, upTo);
    return opened;
  }

  #client(from: string): ReplicationClient {
    return {
      fetch: async (nodeId, request) => {
        await this.fetchGate;
        return this.#reach(nodeId, 'fetch').services.replication.fetch(from, request);
      },
    };
  }

  #others(): OtherNodes {
    return {
      forward: (nodeId, publish, done) => {
        this.#forwarding = this.#forwarding
          .then(() => turns(TURNS_ON_THE_WAY))
          .then(() => this.#reach(nodeId, 'forward').services.forwards.forward(publish, done))
          .catch((error: unknown) => done(asSluiceError(error)));
      },
      describePartitions: async (nodeId, refs) => {
        await turns(TURNS_ON_THE_WAY);
        return this.#reach(nodeId, 'describe').services.partitions.describe(refs);
      },
      listOffsets: async (nodeId, refs, at) => {
        await this.offsetGates.get(nodeId);
        return this.#reach(nodeId, 'listOffsets').services.partitions.listOffsets(refs, at);
      },
      deleteRecords: async (nodeId, refs, before) =>
        this.#reach(nodeId, 'deleteRecords').services.partitions.deleteRecords(refs, before),
      coordinate: async (nodeId, partition, request, _waitMs, asking) => {
        await turns(TURNS_ON_THE_WAY);
        return this.#reach(nodeId, 'coordinate').services.groups.coordinate(partition, request, asking);
      },
    };
  }

  /** @throws UNAVAILABLE when it cannot be reached */
  #reach(nodeId: string, method: string): StageNode {
    const node = this.nodes.get(nodeId);
    if (!node || this.cutOff.has(nodeId)) throw new SluiceError('UNAVAILABLE', `${nodeId} cannot be reached`);
    node.asked.push(method);
    return node;
  }
}

/** All that a reader has now, as text; gaps too. */
export async function readNow(reader: PartitionReader): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const result = await reader.read(1e6);
    if (result.kind === 'batches') found.push(...textOf(result.batches));
    else if (result.kind === 'gap') found.push(`gap ${result.from}-${result.to}`);
    else return result.kind === 'ended' ? [...found, `ended ${result.code}`] : found;
  }
}

import type {
  ClusterNode,
  NodeChange,
  PartitionEntry,
  PartitionState,
} from '../../src/coordination/cluster.ts';
import type { TopicChange, TopicDefinition, Unwatch } from '../../src/coordination/coordinator.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { CopyAnswer, CopyReader, CopyRequest } from '../../src/observers/copy-reader.ts';
import type { ObserverLimits } from '../../src/observers/observers.ts';
import { Observers } from '../../src/observers/observers.ts';
import type { Partition } from '../../src/partition/partition.ts';
import type { PartitionReader, Start } from '../../src/partition/reader.ts';
import { farZoneOf } from '../../src/node/members.ts';
import type { CopyReadsParts } from '../../src/peer/copy-reads.ts';
import { CopyReads } from '../../src/peer/copy-reads.ts';
import { batchBaseOffset } from '../../src/wire/record-batch.ts';
import { member } from '../node/fake-cluster.ts';
import { idlePartition, leadershipOf } from '../partition/fixture.ts';
import { newTopic } from '../replicas/cluster-stage.ts';
import type { TestRecord } from '../support/batch.ts';
import { batchOf, textOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';

export const TOPIC: TopicDefinition = { ...newTopic('orders'), id: 't1', createdMs: 0 };

/** What a node knows of its cluster, with one partition in it. */
export class StageCluster {
  readonly nodeId = 'a';
  readonly cluster = this;
  members: ClusterNode[] = [];
  entry: PartitionEntry | undefined;
  readonly #watchers = new Set<() => void>();
  readonly #topicWatchers = new Set<(change: TopicChange) => void>();

  nodes(): readonly ClusterNode[] {
    return this.members;
  }

  partitionState(topicId: string, partition: number): PartitionEntry | undefined {
    return topicId === 't1' && partition === 0 ? this.entry : undefined;
  }

  watchNodes(listener: (change: NodeChange) => void): Unwatch {
    return watched(this.#watchers, () => listener({ kind: 'altered', node: this.members[0]! }));
  }

  watchPartitions(
    listener: (change: { kind: 'updated' | 'removed'; entry: PartitionEntry }) => void,
  ): Unwatch {
    return watched(this.#watchers, () => {
      if (this.entry) listener({ kind: 'updated', entry: this.entry });
    });
  }

  watchTopics(listener: (change: TopicChange) => void): Unwatch {
    return watched(this.#topicWatchers, listener);
  }

  get watchers(): number {
    return this.#watchers.size + this.#topicWatchers.size;
  }

  join(nodeId: string, change: Partial<ClusterNode> = {}): void {
    this.members = [...this.members, member(nodeId, { peerAddress: nodeId, ...change })];
    this.#tell();
  }

  leave(nodeId: string): void {
    this.members = this.members.filter((node) => node.nodeId !== nodeId);
    this.#tell();
  }

  /** Changes the stored state. */
  put(change: Partial<PartitionState>): void {
    const { state, revision } = this.entry ?? {
      state: { replicas: [], leader: null, leaderEpoch: 0, isr: [] },
      revision: 0,
    };
    const replicas = change.replicas ?? change.isr ?? state.replicas;
    this.entry = {
      ...{ topicId: 't1', partition: 0, state: { ...state, replicas, ...change } },
      revision: revision + 1,
    };
    this.#tell();
  }

  deleteTopic(): void {
    for (const listener of [...this.#topicWatchers]) listener({ kind: 'deleted', topic: TOPIC });
  }

  #tell(): void {
    for (const listener of [...this.#watchers]) listener();
  }
}

function watched<T>(watchers: Set<T>, listener: T): Unwatch {
  watchers.add(listener);
  return () => void watchers.delete(listener);
}

/** A node with a copy, and how it is to be reached; of one that only observes the copy is not looked at. */
export class StageNode {
  readonly copies: CopyReads;
  partition: Partition;
  isReachable = true;
  /** Nodes that cannot reach it all the same. */
  readonly unreachableFrom = new Set<string>();
  /** How long an answer is on its way, milliseconds. */
  delayMs = 0;
  /** Reads that it was asked for. */
  readonly asked: CopyRequest[] = [];
  /** Base offsets of the batches that it has sent, in order. */
  readonly sent: number[] = [];
  sentBytes = 0;
  /** Base offsets of the batches that it has sent to each node. */
  readonly sentTo = new Map<string, number[]>();
  /** Reads that are not answered. */
  outstanding = 0;
  mostOutstanding = 0;

  constructor(clock: FakeClock, parts: Partial<CopyReadsParts> = {}) {
    this.partition = idlePartition({ clock });
    this.copies = new CopyReads({ clock, find: () => this.partition, ...parts });
  }

  sends(nodeId: string, offsets: readonly number[]): void {
    this.sent.push(...offsets);
    this.sentTo.set(nodeId, [...(this.sentTo.get(nodeId) ?? []), ...offsets]);
  }
}

/** What differs from the usual stage. */
export interface ObserverStageOptions extends Partial<ObserverLimits> {
  /** Of the nodes that observe; those that keep the partition are in none. */
  readonly zone?: string;
}

/** Node `a` with its observers, perhaps others that observe too, and some that have copies of one partition; the network is function calls. */
export class ObserverStage {
  readonly clock = new FakeClock();
  readonly cluster = new StageCluster();
  readonly nodes = new Map<string, StageNode>();
  readonly observers: Observers;
  /** Nodes that only observe, as others reach them. */
  readonly #observing = new Map<string, StageNode>();
  readonly #zone: string;
  readonly #limits: Partial<ObserverLimits>;
  #leader = '';

  constructor({ zone = '', ...limits }: ObserverStageOptions = {}) {
    this.#zone = zone;
    this.#limits = limits;
    this.observers = this.observe('a');
  }

  /** Adds a node that observes. */
  observe(id: string): Observers {
    const observers = new Observers({
      coordinator: {
        ...{ nodeId: id, cluster: this.cluster },
        watchTopics: (listener) => this.cluster.watchTopics(listener),
      },
      reader: this.readerOf(id),
      ...{ zone: this.#zone, clock: this.clock, random: new SeededRandom(1) },
      counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
      ...{ inflatedMaxBytes: 1024 * 1024, limits: this.#limits },
    });
    const relayed = observers.relayed.bind(observers);
    this.#observing.set(id, new StageNode(this.clock, { find: () => undefined, relayed }));
    this.cluster.join(id, { zone: this.#zone });
    return observers;
  }

  /** Adds nodes that are in sync; the first leads. */
  start(...ids: string[]): void {
    const zones = (nodeId: string): string | undefined => farZoneOf(nodeId, { zone: '' }, this.cluster);
    for (const id of ids) {
      this.nodes.set(id, new StageNode(this.clock, { farZoneOf: zones }));
      this.cluster.join(id);
    }
    this.lead(ids[0]!, 7, ids);
  }

  node(id: string): StageNode {
    return (this.nodes.get(id) ?? this.#observing.get(id))!;
  }

  get leader(): Partition {
    return this.node(this.#leader).partition;
  }

  /** Makes a node leader of a new epoch; the others follow. */
  lead(id: string, epoch: number, isr: string[] = [...this.nodes.keys()]): void {
    this.#leader = id;
    for (const [other, { partition }] of this.nodes) {
      if (other === id) partition.lead(leadershipOf(epoch, { selfId: id, isr: [id] }));
      else partition.follow(epoch);
    }
    this.cluster.put({ leader: id, leaderEpoch: epoch, isr });
  }

  /** Publishes batches of one record each, and replicates them. */
  publish(count: number, record: TestRecord = {}): void {
    for (let n = 0; n < count; n++) this.leader.append(batchOf([record]));
    this.replicate();
  }

  /** Followers take over what they have not. */
  replicate(): void {
    const { leader } = this;
    for (const { partition } of this.nodes.values()) {
      if (partition !== leader) this.replicateTo(partition);
    }
  }

  replicateTo(partition: Partition): void {
    const { highWatermark, logStart, log, logEnd } = this.leader;
    const batches = log.read(Math.max(partition.logEnd, logStart), logEnd, Infinity) as readonly Buffer[];
    const first = batches[0];
    // A log may begin in the middle of a batch.
    const base = first ? batchBaseOffset(first) : Math.max(partition.logEnd, logStart);
    if (partition.logEnd < logStart || base < partition.logEnd) void partition.resetTo(base);
    partition.appendReplicated(batches, { highWatermark, logStart });
  }

  open(observers = this.observers): Partition {
    return observers.open(TOPIC, 0);
  }

  /** Opens a copy and, when it is there, a reader. */
  async subscribe(start: Start = { at: 'latest' }, observers = this.observers): Promise<PartitionReader> {
    const [reader] = await Promise.all([this.open(observers).openReader(start), this.settle()]);
    return reader;
  }

  /** How a node reads from others. */
  readerOf(id: string): CopyReader {
    return {
      read: (nodeId, request) => this.#read(id, nodeId, request),
      listOffsets: (nodeId, _partitions, start) => {
        const { partition } = this.node(nodeId);
        return Promise.resolve([partition.refusal(1) ?? (partition.offsetAt(start) as number)]);
      },
    };
  }

  async #read(self: string, nodeId: string, request: CopyRequest): Promise<CopyAnswer> {
    const node = this.node(nodeId);
    node.asked.push(request);
    this.#checkReachable(self, nodeId);
    node.outstanding++;
    node.mostOutstanding = Math.max(node.mostOutstanding, node.outstanding);
    try {
      await this.#pass(node.delayMs);
      const answer = await node.copies.read(self, request, new AbortController().signal);
      await this.#pass(node.delayMs);
      this.#checkReachable(self, nodeId);
      node.sends(self, answer.batches.map(batchBaseOffset));
      node.sentBytes += answer.batches.reduce((sum, batch) => sum + batch.length, 0);
      return answer;
    } finally {
      node.outstanding--;
    }
  }

  /** Lets all happen that needs no time. */
  async settle(): Promise<void> {
    await turns(30);
  }

  /** Lets time pass. */
  async pass(ms: number, stepMs = 10): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.clock.advance(stepMs);
      await turns(6);
    }
  }

  /** @throws UNAVAILABLE */
  #checkReachable(self: string, nodeId: string): void {
    const { isReachable, unreachableFrom } = this.node(nodeId);
    if (!isReachable || unreachableFrom.has(self))
      throw new SluiceError('UNAVAILABLE', `${nodeId} cannot be reached`);
  }

  #pass(ms: number): Promise<void> {
    if (ms === 0) return Promise.resolve();
    return new Promise((resolve) => void this.clock.setTimer(ms, resolve));
  }
}

/** Records read until the reader is idle or ends: gaps as `gap from-to`, the end as `end code`. */
export async function readAll(reader: PartitionReader, maxBytes = 1e6): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const result = await reader.read(maxBytes);
    if (result.kind === 'batches') seen.push(...textOf(result.batches));
    else if (result.kind === 'gap') seen.push(`gap ${result.from}-${result.to}`);
    else return result.kind === 'idle' ? seen : [...seen, `end ${String(result.code)}`];
  }
}

/** Offsets of what {@link readAll} reads; gaps and ends as it says them. */
export async function offsetsOf(reader: PartitionReader, maxBytes?: number): Promise<string> {
  return (await readAll(reader, maxBytes))
    .map((text) => (/^\d/.test(text) ? text.split(' ')[0]! : text))
    .join(' ');
}

/** `0 1 2` for 0, 3. */
export function span(from: number, end: number): string {
  return Array.from({ length: end - from }, (_, n) => from + n).join(' ');
}

import type {
  Campaign,
  Candidate,
  ClusterNode,
  NodeChange,
  PartitionChange,
  PartitionEntry,
  PartitionState,
  Rebalancing,
  UpdateResult,
} from '../../src/coordination/cluster.ts';
import { contradictionIn } from '../../src/coordination/cluster.ts';
import type {
  TopicChange,
  TopicDefinition,
  TopicSettings,
  Unwatch,
} from '../../src/coordination/coordinator.ts';
import { keyOf } from '../../src/controller/plan-input.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { topicSettings } from '../support/topic-settings.ts';

/** A topic like any other; its id is its name. */
export function topicOf(
  name: string,
  partitions: number,
  settings: Partial<TopicSettings> = {},
): TopicDefinition {
  return {
    name,
    id: name,
    partitions,
    createdMs: 1,
    settings: topicSettings({
      storage: 'disk',
      retentionBytes: 0,
      batchMaxBytes: 4096,
      tombstoneMs: 1,
      replicationFactor: 3,
      minInsync: 2,
      ...settings,
    }),
  };
}

/** A member that other nodes can reach. */
export function nodeOf(nodeId: string, change: Partial<ClusterNode> = {}): ClusterNode {
  return {
    nodeId,
    session: `${nodeId}-1`,
    clientUrls: [],
    peerAddress: `${nodeId}:7451`,
    zone: '',
    capacity: 1,
    software: 'sluice/0',
    draining: false,
    ...change,
  };
}

/** Ids of `count` nodes, in order. */
export function nodeIds(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, at) => `n${String(first + at).padStart(3, '0')}`);
}

type Outcome = 'done' | 'lost';

/** A coordinator with any number of nodes in it, all seen from one of them; changes happen at once, answers come a turn later. */
export class FakeCluster {
  readonly states = new Map<string, PartitionEntry>();
  /** What {@link updatePartition} has changed. */
  readonly changes: { readonly before: PartitionState | undefined; readonly after: PartitionState }[] = [];
  /** Changes that have been asked for. */
  asked = 0;
  /** Those that have not been answered. */
  underWay = 0;
  mostUnderWay = 0;
  /** Decides what becomes of a change. */
  fate: (key: string) => Outcome = () => 'done';
  /** Answers wait until it resolves. */
  hold: Promise<void> = Promise.resolve();
  readonly rebalancing: Rebalancing & { revision: number };
  readonly #nodes = new Map<string, ClusterNode>();
  readonly #topics = new Map<string, TopicDefinition>();
  readonly #nodeWatchers = new Set<(change: NodeChange) => void>();
  readonly #topicWatchers = new Set<(change: TopicChange) => void>();
  readonly #partitionWatchers = new Set<(change: PartitionChange) => void>();
  readonly #rebalanceWatchers = new Set<() => void>();
  #revision = 1;
  #candidate: Candidate | undefined;
  #term: number | undefined;

  constructor() {
    let asked = 0;
    const tell = (): void => {
      for (const watcher of [...this.#rebalanceWatchers]) watcher();
    };
    this.rebalancing = {
      get isRequested() {
        return asked > 0;
      },
      revision: 0,
      request: () => {
        asked = ++this.#revision;
        tell();
        return Promise.resolve();
      },
      finish: (term) => {
        const isRight = term === this.#term && asked > 0;
        if (isRight) asked = 0;
        tell();
        return Promise.resolve(isRight);
      },
      watch: (listener) => {
        this.#rebalanceWatchers.add(listener);
        return () => void this.#rebalanceWatchers.delete(listener);
      },
    };
  }

  /** As a Coordinator has it. */
  get cluster(): this {
    return this;
  }

  get watchers(): number {
    return (
      this.#nodeWatchers.size +
      this.#topicWatchers.size +
      this.#partitionWatchers.size +
      this.#rebalanceWatchers.size
    );
  }

  topics(): readonly TopicDefinition[] {
    return [...this.#topics.values()];
  }

  /** Creates or alters a topic. */
  putTopic(topic: TopicDefinition): void {
    const kind = this.#topics.has(topic.id) ? 'altered' : 'created';
    this.#topics.set(topic.id, topic);
    for (const watcher of [...this.#topicWatchers]) watcher({ kind, topic });
  }

  removeTopic(id: string): void {
    const topic = this.#topics.get(id)!;
    this.#topics.delete(id);
    for (const watcher of [...this.#topicWatchers]) watcher({ kind: 'deleted', topic });
  }

  watchTopics(listener: (change: TopicChange) => void): Unwatch {
    this.#topicWatchers.add(listener);
    return () => void this.#topicWatchers.delete(listener);
  }

  nodes(): readonly ClusterNode[] {
    return [...this.#nodes.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  /** Whether a node is a member. */
  has(nodeId: string): boolean {
    return this.#nodes.has(nodeId);
  }

  /** A node becomes a member, or says something else of itself. */
  put(node: ClusterNode): void {
    const kind = this.#nodes.has(node.nodeId) ? 'altered' : 'joined';
    this.#nodes.set(node.nodeId, node);
    for (const watcher of [...this.#nodeWatchers]) watcher({ kind, node });
  }

  /** A node's lease ends. */
  leave(nodeId: string): void {
    const node = this.#nodes.get(nodeId)!;
    this.#nodes.delete(nodeId);
    for (const watcher of [...this.#nodeWatchers]) watcher({ kind: 'left', node });
  }

  watchNodes(listener: (change: NodeChange) => void): Unwatch {
    this.#nodeWatchers.add(listener);
    return () => void this.#nodeWatchers.delete(listener);
  }

  partitionStates(): readonly PartitionEntry[] {
    return [...this.states.values()];
  }

  watchPartitions(listener: (change: PartitionChange) => void): Unwatch {
    this.#partitionWatchers.add(listener);
    return () => void this.#partitionWatchers.delete(listener);
  }

  state(topicId: string, partition: number): PartitionState {
    return this.states.get(keyOf(topicId, partition))!.state;
  }

  /** Somebody changes a state. */
  write(topicId: string, partition: number, state: PartitionState): PartitionEntry {
    const fault = contradictionIn(state);
    if (fault !== undefined) throw new SluiceError('INVALID_ARGUMENT', fault);
    const entry = { topicId, partition, state, revision: ++this.#revision };
    this.states.set(keyOf(topicId, partition), entry);
    for (const watcher of [...this.#partitionWatchers]) watcher({ kind: 'updated', entry });
    return entry;
  }

  /** A state is gone. */
  remove(key: string): void {
    const entry = this.states.get(key)!;
    this.states.delete(key);
    for (const watcher of [...this.#partitionWatchers]) watcher({ kind: 'removed', entry });
  }

  async updatePartition(
    topicId: string,
    partition: number,
    expectedRevision: number,
    state: PartitionState,
    controllerTerm?: number,
  ): Promise<UpdateResult> {
    this.asked++;
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    try {
      await this.hold;
      const key = keyOf(topicId, partition);
      if (this.fate(key) === 'lost') throw new SluiceError('TIMEOUT', 'no answer');
      const current = this.states.get(key);
      const isFenced = controllerTerm !== undefined && controllerTerm !== this.#term;
      if (isFenced || (current?.revision ?? 0) !== expectedRevision) return { kind: 'conflict', current };
      if (current && state.leaderEpoch < current.state.leaderEpoch) {
        throw new SluiceError('INVALID_ARGUMENT', 'the leader epoch falls');
      }
      this.changes.push({ before: current?.state, after: state });
      return { kind: 'updated', entry: this.write(topicId, partition, state) };
    } finally {
      this.underWay--;
    }
  }

  campaign(candidate: Candidate): Campaign {
    this.#candidate = candidate;
    return {
      term: undefined,
      resign: () => {
        this.#term = undefined;
        this.#candidate = undefined;
        return Promise.resolve();
      },
    };
  }

  /** The candidate wins. */
  elect(): void {
    this.#term = ++this.#revision;
    this.#candidate!.onElected(this.#term);
  }

  /** The candidate is controller no more. @param isTold whether it learns of it */
  depose(isTold = true): void {
    this.#term = undefined;
    if (isTold) this.#candidate!.onLost();
  }
}

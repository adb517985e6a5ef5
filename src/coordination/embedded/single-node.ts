import { SluiceError } from '../../kernel/errors.ts';
import type {
  Campaign,
  Candidate,
  Cluster,
  ClusterNode,
  NodeChange,
  NodeDescription,
  PartitionChange,
  PartitionEntry,
  PartitionState,
  Rebalancing,
  UpdateResult,
} from '../cluster.ts';
import type { Coordinator, TopicDefinition, Unwatch } from '../coordinator.ts';

/** The state of every partition never changes but by a restart, so there is one version of it. */
const REVISION = 1;
const TERM = 1;

/** A cluster of one: always a member, always controller, leader of everything. */
export class SingleNode implements Cluster {
  readonly leaseHeld = true;
  /** There is nowhere to move anything, so it is over at once. */
  readonly rebalancing: Rebalancing = {
    isRequested: false,
    request: () => Promise.resolve(),
    finish: () => Promise.resolve(false),
    watch: () => () => undefined,
  };
  readonly #topics: Pick<Coordinator, 'nodeId' | 'topics' | 'watchTopics'>;
  readonly #state: PartitionState;
  readonly #watchers = new Set<(change: NodeChange) => void>();
  #node: ClusterNode;
  #campaigning = false;

  /**
   * @param topics those whose partitions there are
   * @param epoch leader epoch of all partitions: larger than at the last start
   */
  constructor(topics: Pick<Coordinator, 'nodeId' | 'topics' | 'watchTopics'>, epoch: number) {
    const { nodeId } = topics;
    this.#topics = topics;
    this.#state = { replicas: [nodeId], leader: nodeId, leaderEpoch: epoch, isr: [nodeId] };
    this.#node = {
      nodeId,
      session: String(epoch),
      clientUrls: [],
      peerAddress: null,
      zone: '',
      capacity: 1,
      software: '',
      draining: false,
    };
  }

  get controllerId(): string | undefined {
    return this.#campaigning ? this.#node.nodeId : undefined;
  }

  /** Never happens. */
  onLeaseLost(): Unwatch {
    return () => undefined;
  }

  /** Never happens. */
  onLeaseGained(): Unwatch {
    return () => undefined;
  }

  nodes(): readonly ClusterNode[] {
    return [this.#node];
  }

  watchNodes(listener: (change: NodeChange) => void): Unwatch {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  announce(change: Partial<NodeDescription>): Promise<void> {
    this.#node = { ...this.#node, ...change };
    for (const watcher of this.#watchers) watcher({ kind: 'altered', node: this.#node });
    return Promise.resolve();
  }

  partitionStates(): readonly PartitionEntry[] {
    return this.#topics.topics().flatMap((topic) => this.#entries(topic, 0));
  }

  partitionState(topicId: string, partition: number): PartitionEntry | undefined {
    const topic = this.#topics.topics().find(({ id }) => id === topicId);
    if (topic === undefined || partition >= topic.partitions) return undefined;
    return { topicId, partition, state: this.#state, revision: REVISION };
  }

  readPartition(topicId: string, partition: number): Promise<PartitionEntry | undefined> {
    return Promise.resolve(this.partitionState(topicId, partition));
  }

  watchPartitions(listener: (change: PartitionChange) => void): Unwatch {
    const counts = new Map(this.#topics.topics().map(({ id, partitions }) => [id, partitions]));
    return this.#topics.watchTopics(({ kind, topic }) => {
      const known = counts.get(topic.id) ?? 0;
      const isDeleted = kind === 'deleted';
      if (isDeleted) counts.delete(topic.id);
      else counts.set(topic.id, topic.partitions);
      for (const entry of this.#entries(topic, isDeleted ? 0 : known)) {
        listener({ kind: isDeleted ? 'removed' : 'updated', entry });
      }
    });
  }

  async updatePartition(
    topicId: string,
    partition: number,
    expectedRevision: number,
    state: PartitionState,
  ): Promise<UpdateResult> {
    const entry = this.partitionState(topicId, partition);
    if (entry === undefined) {
      throw new SluiceError(
        'TOPIC_NOT_FOUND',
        `there is no partition ${partition} of a topic with id ${topicId}`,
      );
    }
    if (expectedRevision !== REVISION) return { kind: 'conflict', current: entry };
    if (!isSame(state, this.#state)) {
      throw new SluiceError('UNSUPPORTED', 'a node on its own leads all partitions; a cluster needs etcd');
    }
    return Promise.resolve({ kind: 'updated', entry });
  }

  campaign(candidate: Candidate): Campaign {
    if (this.#campaigning) throw new TypeError('this node stands for controller already');
    this.#campaigning = true;
    let term: number | undefined;
    queueMicrotask(() => {
      if (!this.#campaigning) return;
      term = TERM;
      candidate.onElected(TERM);
    });
    return {
      get term(): number | undefined {
        return term;
      },
      resign: () => {
        this.#campaigning = false;
        term = undefined;
        return Promise.resolve();
      },
    };
  }

  #entries({ id, partitions }: TopicDefinition, from: number): PartitionEntry[] {
    return Array.from({ length: Math.max(0, partitions - from) }, (_, index) => ({
      topicId: id,
      partition: from + index,
      state: this.#state,
      revision: REVISION,
    }));
  }
}

function isSame(a: PartitionState, b: PartitionState): boolean {
  const list = (ids: readonly string[]): string => JSON.stringify(ids);
  return (
    a.leader === b.leader &&
    a.leaderEpoch === b.leaderEpoch &&
    list(a.replicas) === list(b.replicas) &&
    list(a.isr) === list(b.isr)
  );
}

import type {
  ClusterNode,
  NodeChange,
  NodeDescription,
  PartitionChange,
  PartitionEntry,
} from '../../src/coordination/cluster.ts';
import type { Unwatch } from '../../src/coordination/coordinator.ts';

/** A member as others see it. */
export function member(nodeId: string, change: Partial<ClusterNode> = {}): ClusterNode {
  return {
    nodeId,
    session: '1',
    clientUrls: [`quic://${nodeId}:7450`],
    peerAddress: null,
    zone: '',
    capacity: 1,
    software: 'sluice/0',
    draining: false,
    ...change,
  };
}

/** What a node sees of its cluster, as a test says. */
export class FakeCluster {
  leaseHeld = true;
  members: ClusterNode[];
  /** Leader of partition 0, 1 and so on of one topic. */
  leaders: (string | null)[] = [];
  /** Who has a copy of each of them. */
  replicas: string[] = ['a', 'b'];
  readonly announced: Partial<NodeDescription>[] = [];
  readonly #watchers = new Set<(change: PartitionChange) => void>();
  readonly #nodeWatchers = new Set<(change: NodeChange) => void>();

  constructor(members: ClusterNode[]) {
    this.members = members;
  }

  nodes(): readonly ClusterNode[] {
    return this.members;
  }

  announce(change: Partial<NodeDescription>): Promise<void> {
    this.announced.push(change);
    return Promise.resolve();
  }

  partitionStates(): readonly PartitionEntry[] {
    return this.leaders.map((leader, partition) => ({
      topicId: 't',
      partition,
      state: { replicas: this.replicas, leader, leaderEpoch: 1, isr: this.replicas },
      revision: 1,
    }));
  }

  watchPartitions(listener: (change: PartitionChange) => void): Unwatch {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  watchNodes(listener: (change: NodeChange) => void): Unwatch {
    this.#nodeWatchers.add(listener);
    return () => void this.#nodeWatchers.delete(listener);
  }

  get watchers(): number {
    return this.#watchers.size + this.#nodeWatchers.size;
  }

  /** A member says something else of itself. */
  alter(node: ClusterNode): void {
    this.members = this.members.map((one) => (one.nodeId === node.nodeId ? node : one));
    for (const watcher of [...this.#nodeWatchers]) watcher({ kind: 'altered', node });
  }

  /** A member is none any more. */
  leave(nodeId: string): void {
    const node = this.members.find((one) => one.nodeId === nodeId)!;
    this.members = this.members.filter((one) => one !== node);
    for (const watcher of [...this.#nodeWatchers]) watcher({ kind: 'left', node });
  }

  /** A partition has another leader. */
  lead(partition: number, leader: string | null): void {
    this.leaders[partition] = leader;
    const entry = this.partitionStates()[partition]!;
    for (const watcher of [...this.#watchers]) watcher({ kind: 'updated', entry });
  }
}

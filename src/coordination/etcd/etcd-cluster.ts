import type { Random } from '../../kernel/random.ts';
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
import type { Unwatch } from '../unwatch.ts';
import type { ElectionOptions } from './election.ts';
import { Candidacy } from './election.ts';
import type { ViewFeed } from './feed.ts';
import type { Keys } from './keys.ts';
import type { Membership } from './membership.ts';
import type { EtcdPartitions } from './partitions.ts';
import { EtcdRebalancing } from './rebalancing.ts';
import type { EtcdStore } from './store.ts';
import type { TableChange } from './table.ts';
import type { NodeValue } from './values.ts';
import type { View } from './view.ts';

/** What a cluster is made of. */
export interface EtcdClusterOptions {
  readonly store: EtcdStore;
  readonly view: View;
  readonly feed: ViewFeed;
  readonly keys: Keys;
  readonly membership: Membership;
  readonly partitions: EtcdPartitions;
  readonly nodeId: string;
  readonly random: Random;
}

/** The other nodes, as etcd has them. */
export class EtcdCluster implements Cluster {
  readonly rebalancing: Rebalancing;
  readonly #options: EtcdClusterOptions;
  #candidacy: Candidacy | undefined;

  constructor(options: EtcdClusterOptions) {
    this.#options = options;
    this.rebalancing = new EtcdRebalancing(options);
  }

  get leaseHeld(): boolean {
    return this.#options.membership.isHeld;
  }

  get controllerId(): string | undefined {
    return this.#options.view.controller.get('')?.value.nodeId;
  }

  onLeaseLost(listener: (reason: string) => void): Unwatch {
    return this.#options.membership.onLost(listener);
  }

  onLeaseGained(listener: () => void): Unwatch {
    return this.#options.membership.onGained(listener);
  }

  nodes(): readonly ClusterNode[] {
    const nodes = [...this.#options.view.nodes.entries()].map(([id, { value }]) => toNode(id, value));
    return nodes.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  watchNodes(listener: (change: NodeChange) => void): Unwatch {
    return this.#options.view.nodes.watch((change) => {
      for (const one of told(change)) listener(one);
    });
  }

  async announce(change: Partial<NodeDescription>): Promise<void> {
    await this.#options.feed.seen(await this.#options.membership.announce(change));
  }

  partitionStates(): readonly PartitionEntry[] {
    return this.#options.partitions.entries();
  }

  partitionState(topicId: string, partition: number): PartitionEntry | undefined {
    return this.#options.partitions.entry(topicId, partition);
  }

  readPartition(topicId: string, partition: number): Promise<PartitionEntry | undefined> {
    return this.#options.partitions.read(topicId, partition);
  }

  watchPartitions(listener: (change: PartitionChange) => void): Unwatch {
    return this.#options.partitions.watch(listener);
  }

  updatePartition(
    topicId: string,
    partition: number,
    expectedRevision: number,
    state: PartitionState,
    controllerTerm?: number,
  ): Promise<UpdateResult> {
    return this.#options.partitions.update(topicId, partition, expectedRevision, state, controllerTerm);
  }

  campaign(candidate: Candidate): Campaign {
    if (this.#candidacy) throw new TypeError('this node stands for controller already');
    const { store, view, feed, membership, nodeId, keys } = this.#options;
    const key = keys.single('controller');
    const ended = (): void => void (this.#candidacy = undefined);
    const options: ElectionOptions = { store, view, feed, membership, nodeId, key, ended };
    this.#candidacy = new Candidacy(options, candidate);
    return this.#candidacy;
  }

  /** Tells nobody anything any more. */
  close(): void {
    this.#candidacy?.abandon();
  }
}

function toNode(nodeId: string, value: NodeValue): ClusterNode {
  const { session, clientUrls, peerAddress, zone, capacity, software, draining } = value;
  return { nodeId, session, clientUrls, peerAddress, zone, capacity, software, draining };
}

function told(change: TableChange<NodeValue>): readonly NodeChange[] {
  const before = change.previous && toNode(change.id, change.previous.value);
  if (change.kind === 'deleted') return before ? [{ kind: 'left', node: before }] : [];
  const node = toNode(change.id, change.entry.value);
  if (!before) return [{ kind: 'joined', node }];
  if (before.session === node.session) return [{ kind: 'altered', node }];
  return [
    { kind: 'left', node: before },
    { kind: 'joined', node },
  ];
}

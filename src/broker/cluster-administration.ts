import type { ClusterNode, PartitionState } from '../coordination/cluster.ts';
import { isOnlyCopy } from '../coordination/cluster.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { AccessControl } from './access-control.ts';
import type { ClusterControl, Principal } from './ports.ts';

/** A member with what it holds. */
export interface ClusterNodeStatus extends Omit<ClusterNode, 'session'> {
  /** Partitions that it leads. */
  readonly leads: number;
  /** Partitions that it has a copy of, those it leads among them. */
  readonly replicas: number;
  /** Of those, copies that are not in sync. */
  readonly outOfSync: number;
  /** Of those that it leads, partitions that no other node has a copy of, so that it cannot hand them over. */
  readonly onlyCopies: number;
}

/** Partitions of a topic that a node cannot hand over, because no other has a copy. */
export interface OnlyCopies {
  readonly topic: string;
  readonly partitions: number;
}

/** The cluster as one node sees it. */
export interface ClusterStatus {
  readonly clusterId: string;
  /** Who says this. */
  readonly nodeId: string;
  /** Undefined: there is none now. */
  readonly controllerId: string | undefined;
  /** Whether the node that says this is a member at the moment. */
  readonly leaseHeld: boolean;
  readonly nodes: readonly ClusterNodeStatus[];
  /** Whether replicas are being moved to where they would be placed now, or will be. */
  readonly rebalancing: boolean;
  /** Of all topics. */
  readonly partitions: number;
  /** Partitions that nobody leads. */
  readonly leaderless: number;
  /** Partitions with copies that are not in sync. */
  readonly underReplicated: number;
}

/** What a cluster looks like, and what may be asked of it, for principals that administer nodes. */
export class ClusterAdministration {
  readonly #coordinator: Coordinator;
  readonly #access: AccessControl;
  readonly #control: ClusterControl | undefined;

  /** @param control undefined on a node on its own */
  constructor(coordinator: Coordinator, access: AccessControl, control: ClusterControl | undefined) {
    this.#coordinator = coordinator;
    this.#access = access;
    this.#control = control;
  }

  /** @throws FORBIDDEN */
  status(principal: Principal): ClusterStatus {
    this.#access.check(principal, 'admin', undefined);
    const { clusterId, nodeId, cluster } = this.#coordinator;
    const states = cluster.partitionStates().map(({ state }) => state);
    return {
      clusterId,
      nodeId,
      controllerId: cluster.controllerId,
      leaseHeld: cluster.leaseHeld,
      rebalancing: cluster.rebalancing.isRequested,
      nodes: cluster.nodes().map((node) => withShare(node, states)),
      partitions: states.length,
      leaderless: states.filter(({ leader }) => leader === null).length,
      underReplicated: states.filter(({ replicas, isr }) => isr.length < replicas.length).length,
    };
  }

  /**
   * Makes this node hand over what it leads and take nothing more, or, with `draining` false, take its share again. It goes on serving its
   * clients.
   *
   * @param nodeId this node: each is asked itself
   * @returns what it goes on leading all the same
   * @throws FORBIDDEN; UNSUPPORTED on a node on its own; NODE_NOT_FOUND; INVALID_ARGUMENT for another node; UNAVAILABLE without a lease
   */
  async drain(principal: Principal, nodeId: string, draining: boolean): Promise<readonly OnlyCopies[]> {
    const control = this.#requireControl(principal);
    const { cluster, nodeId: self } = this.#coordinator;
    if (nodeId === self) {
      await control.drain(draining);
      return draining ? this.#onlyCopies(self) : [];
    }
    if (cluster.nodes().some((node) => node.nodeId === nodeId)) {
      throw new SluiceError('INVALID_ARGUMENT', `this is ${self}: ask ${nodeId} itself to drain`);
    }
    throw new SluiceError('NODE_NOT_FOUND', `no node ${nodeId} is a member of the cluster`);
  }

  /**
   * Asks for replicas to be moved to where they would be placed now; any node may be asked. It is done in time, when there is a controller.
   *
   * @throws FORBIDDEN; UNSUPPORTED on a node on its own; UNAVAILABLE without a lease
   */
  async rebalance(principal: Principal): Promise<void> {
    return this.#requireControl(principal).rebalance();
  }

  #onlyCopies(nodeId: string): readonly OnlyCopies[] {
    const { cluster } = this.#coordinator;
    const stuck = cluster.partitionStates().filter(({ state }) => isOnlyCopy(state, nodeId));
    return this.#coordinator
      .topics()
      .map(({ id, name }) => ({
        topic: name,
        partitions: stuck.filter(({ topicId }) => topicId === id).length,
      }))
      .filter(({ partitions }) => partitions > 0);
  }

  #requireControl(principal: Principal): ClusterControl {
    this.#access.check(principal, 'admin', undefined);
    if (this.#control) return this.#control;
    throw new SluiceError(
      'UNSUPPORTED',
      'a node on its own has no others to share with; docs/cluster.md says how to run more',
    );
  }
}

function withShare(node: ClusterNode, states: readonly PartitionState[]): ClusterNodeStatus {
  const { nodeId, clientUrls, peerAddress, zone, capacity, software, draining } = node;
  const held = states.filter(({ replicas }) => replicas.includes(nodeId));
  return {
    nodeId,
    clientUrls,
    peerAddress,
    zone,
    capacity,
    software,
    draining,
    leads: held.filter(({ leader }) => leader === nodeId).length,
    replicas: held.length,
    outOfSync: held.filter(({ isr }) => !isr.includes(nodeId)).length,
    onlyCopies: held.filter((state) => isOnlyCopy(state, nodeId)).length,
  };
}

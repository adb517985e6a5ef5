import type {
  ClusterNode as NodeMessage,
  ClusterStatusResponse,
} from '../../gen/sluice/client/v1/administration_pb.ts';

/** A member of a cluster. */
export interface ClusterNode {
  readonly nodeId: string;
  /** Where clients reach it; empty: not yet. */
  readonly clientUrls: readonly string[];
  /** Where other nodes reach it, `host:port`; empty: not yet. */
  readonly peerAddress: string;
  readonly zone: string;
  /** Share of the partitions that it takes, relative to others. */
  readonly capacity: number;
  readonly software: string;
  /** It hands over what it leads. */
  readonly draining: boolean;
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

/** The cluster as the node that was asked sees it. */
export interface ClusterStatus {
  readonly clusterId: string;
  /** Who was asked. */
  readonly nodeId: string;
  /** Undefined: there is none now. */
  readonly controllerId: string | undefined;
  /** Whether the node that was asked is a member at the moment. */
  readonly leaseHeld: boolean;
  /** Members, in order of id. */
  readonly nodes: readonly ClusterNode[];
  /** Whether partitions are being spread over the nodes, or will be. */
  readonly rebalancing: boolean;
  /** Of all topics. */
  readonly partitions: number;
  /** Partitions that nobody leads. */
  readonly leaderless: number;
  /** Partitions with copies that are not in sync. */
  readonly underReplicated: number;
}

/** A cluster as the wire has it. */
export function clusterFromWire(status: ClusterStatusResponse): ClusterStatus {
  const { clusterId, nodeId, controllerId, leaseHeld, nodes, partitions, leaderless } = status;
  const { underReplicated, rebalancing } = status;
  return {
    clusterId,
    nodeId,
    controllerId: controllerId === '' ? undefined : controllerId,
    leaseHeld,
    rebalancing,
    nodes: nodes.map(nodeFromWire),
    partitions,
    leaderless,
    underReplicated,
  };
}

function nodeFromWire(node: NodeMessage): ClusterNode {
  const { nodeId, clientUrls, peerAddress, zone, capacity, software, draining } = node;
  const { leads, replicas, outOfSync, onlyCopies } = node;
  return {
    ...{ nodeId, clientUrls, peerAddress, zone, capacity, software, draining },
    ...{ leads, replicas, outOfSync, onlyCopies },
  };
}

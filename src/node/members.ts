import type { Cluster, ClusterNode, NodeDescription, PartitionEntry } from '../coordination/cluster.ts';
import { isOnlyCopy } from '../coordination/cluster.ts';
import type { NodeUrls } from '../gateway/quic/gateway-context.ts';
import type { Clock } from '../kernel/clock.ts';
import { asSluiceError } from '../kernel/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Nodes that a client is sent to when this one goes: enough to choose from. */
const MAX_ALTERNATIVES = 16;

/** This node as clients are told of it: also before, and while, the cluster does not know it. */
export interface Self {
  readonly nodeId: string;
  readonly zone: string;
  /** Where clients reach it now. */
  urls(): readonly string[];
}

/** The nodes that clients may connect to: this one, then the others that listen and want to stay. */
export function clientNodes(self: Self, cluster: Pick<Cluster, 'nodes'>): readonly NodeUrls[] {
  const { nodeId, zone } = self;
  return [{ nodeId, zone, urls: self.urls() }, ...others(self, cluster).map(toUrls)];
}

/** URLs of other nodes for the clients of a node that goes; those of its own zone first. */
export function alternativesTo(self: Self, cluster: Pick<Cluster, 'nodes'>): readonly string[] {
  const nodes = others(self, cluster);
  const isNear = ({ zone }: ClusterNode): boolean => zone === self.zone;
  const ordered = [...nodes.filter(isNear), ...nodes.filter((node) => !isNear(node))];
  return ordered.slice(0, MAX_ALTERNATIVES).flatMap(({ clientUrls }) => clientUrls);
}

/**
 * Tells the cluster what this node is. A machine that is busy with starting may have lost its lease over it: then that is told with the next
 * one, which comes by itself, and the node need not start all over again.
 *
 * @throws UNAVAILABLE, TIMEOUT when the cluster cannot be told although the lease is held
 */
export async function tellCluster(
  cluster: Pick<Cluster, 'announce' | 'leaseHeld'>,
  description: Partial<NodeDescription>,
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  try {
    await cluster.announce(description);
  } catch (error) {
    if (cluster.leaseHeld || asSluiceError(error).code !== 'UNAVAILABLE') throw error;
    log.warn('cluster.announced_later', { error });
  }
}

/** Of a cluster as much as handing over takes. */
type Heirs = Pick<
  Cluster,
  'announce' | 'nodes' | 'watchNodes' | 'partitionStates' | 'watchPartitions' | 'leaseHeld'
>;

/**
 * Tells the cluster that this node wants to hand over what it leads, and waits until it leads nothing that somebody else has a copy of, or nobody is
 * left who could take it.
 *
 * @param timeoutMs longest wait; 0: it is only told
 * @returns partitions that it still leads
 * @throws UNAVAILABLE, TIMEOUT when the cluster cannot be told
 */
export async function handOver(
  nodeId: string,
  cluster: Heirs,
  clock: Clock,
  timeoutMs: number,
): Promise<number> {
  await cluster.announce({ draining: true });
  const led = (): readonly PartitionEntry[] =>
    cluster.partitionStates().filter(({ state }) => state.leader === nodeId);
  const isStuck = (): boolean => led().every(({ state }) => isOnlyCopy(state, nodeId));
  const hasHeirs = (): boolean => cluster.nodes().some((node) => node.nodeId !== nodeId && !node.draining);
  const isOver = (): boolean => isStuck() || !hasHeirs() || !cluster.leaseHeld;
  if (!isOver()) await untilChanged(cluster, isOver, clock, timeoutMs);
  return led().length;
}

/** Resolves when a change of nodes or partitions has made `isOver` true, at the latest after `timeoutMs`. */
function untilChanged(cluster: Heirs, isOver: () => boolean, clock: Clock, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      for (const unwatch of unwatches) unwatch();
      timer.cancel();
      resolve();
    };
    const look = (): void => {
      if (isOver()) end();
    };
    const unwatches = [cluster.watchPartitions(look), cluster.watchNodes(look)];
    const timer = clock.setTimer(timeoutMs, end);
  });
}

/** Zone of another node where it is not this node's; undefined: it is, or the other has not said one, or is no member. */
export function farZoneOf(
  nodeId: string,
  { zone }: Pick<Self, 'zone'>,
  cluster: Pick<Cluster, 'nodes'>,
): string | undefined {
  const other = cluster.nodes().find((node) => node.nodeId === nodeId)?.zone ?? '';
  return other === '' || other === zone ? undefined : other;
}

function others(self: Self, cluster: Pick<Cluster, 'nodes'>): ClusterNode[] {
  return cluster
    .nodes()
    .filter((node) => node.nodeId !== self.nodeId && !node.draining && node.clientUrls.length > 0);
}

function toUrls({ nodeId, zone, clientUrls }: ClusterNode): NodeUrls {
  return { nodeId, zone, urls: clientUrls };
}

import type { Cluster, ClusterNode } from '../coordination/cluster.ts';
import type { NodeUrls } from '../gateway/quic/gateway-context.ts';
import type { Clock, Timer } from '../kernel/clock.ts';

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
 * Tells the cluster that this node wants to hand over what it leads, and waits until it leads nothing.
 *
 * @param timeoutMs longest wait; 0: it is only told
 * @returns partitions that it still leads
 */
export async function handOver(
  nodeId: string,
  cluster: Pick<Cluster, 'announce' | 'nodes' | 'partitionStates' | 'watchPartitions' | 'leaseHeld'>,
  clock: Clock,
  timeoutMs: number,
): Promise<number> {
  await cluster.announce({ draining: true });
  const led = (): number => cluster.partitionStates().filter(({ state }) => state.leader === nodeId).length;
  const somebodyElse = cluster.nodes().some((node) => node.nodeId !== nodeId && !node.draining);
  if (led() === 0 || !somebodyElse) return led();
  let timer: Timer | undefined;
  await new Promise<void>((resolve) => {
    const unwatch = cluster.watchPartitions(() => {
      if (led() > 0 && cluster.leaseHeld) return;
      unwatch();
      resolve();
    });
    timer = clock.setTimer(timeoutMs, () => {
      unwatch();
      resolve();
    });
  });
  timer?.cancel();
  return led();
}

function others(self: Self, cluster: Pick<Cluster, 'nodes'>): ClusterNode[] {
  return cluster
    .nodes()
    .filter((node) => node.nodeId !== self.nodeId && !node.draining && node.clientUrls.length > 0);
}

function toUrls({ nodeId, zone, clientUrls }: ClusterNode): NodeUrls {
  return { nodeId, zone, urls: clientUrls };
}

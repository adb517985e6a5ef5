import type { ChaosCluster } from '../chaos-cluster.ts';
import { LEASE_TTL_MS } from '../chaos-cluster.ts';
import type { ChaosNode } from '../chaos-node.ts';

/** Something that goes wrong, and is right again when {@link Fault.happen} resolves. */
export interface Fault {
  /** Of the scenario, and for `--only`. */
  readonly name: string;
  /** What memory alone does not survive: the copies of all nodes at once. */
  readonly needsDisk?: true;
  /** Happens to a cluster whose topic has its copies in sync. */
  happen(stage: FaultStage): Promise<void>;
}

/** What a fault happens to. */
export interface FaultStage {
  readonly cluster: ChaosCluster;
  /** The topic that is used. */
  readonly topic: string;
  /** A number in [0, 1) of the run's seed. */
  readonly random: () => number;
}

/** Long enough that the lease of who is cut off ends, and another one leads. */
export const LONG_MS = LEASE_TTL_MS + 2500;
export const SHORT_MS = 1500;

/** Who leads the first partition. */
export const leaderOf = ({ cluster, topic }: FaultStage): Promise<ChaosNode> => cluster.leader(topic);

/** Another node than {@link leaderOf}. */
export async function followerOf(stage: FaultStage): Promise<ChaosNode> {
  const [first] = stage.cluster.others(await leaderOf(stage));
  return first!;
}

export async function onAll(stage: FaultStage, fault: (node: ChaosNode) => Promise<void>): Promise<void> {
  await Promise.all(stage.cluster.nodes.map(fault));
}

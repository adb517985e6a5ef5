import { murmur2 } from '../../src/wire/partitioner.ts';
import type { ClusterStage, StagedNode } from '../cluster/stage.ts';

const GROUPS_TOPIC = '__groups';

/** The node that coordinates a group (`g/…`) or a queue (`q/TOPIC/GROUP`), once there is one. */
export async function coordinatorOf(stage: ClusterStage, key: string): Promise<StagedNode> {
  const alive = stage.nodes.find(({ process }) => process.alive)!;
  const { partitions } = await stage.describe(alive.nodeId, GROUPS_TOPIC);
  const partition = (murmur2(Buffer.from(key)) & 0x7fff_ffff) % partitions.length;
  return stage.node(partitions[partition]!.leaderNodeId);
}

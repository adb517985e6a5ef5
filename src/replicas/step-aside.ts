import type { PartitionState } from '../coordination/cluster.ts';
import type { Coordinator, TopicDefinition } from '../coordination/coordinator.ts';

/** A state may be changed by somebody else at the same time; then it is looked at again so many times. */
const ATTEMPTS = 3;

/**
 * After an orderly end of a follower: takes it out of the in-sync replicas, as long as `minInsync` others stay, so that no publish waits
 * for what it does not fetch any more until the cluster has noticed that its node is gone.
 *
 * It must have stopped fetching, or the leader takes it for in sync again. Never rejects: what fails here the controller does later.
 */
export async function stepAside(
  { cluster, nodeId }: Pick<Coordinator, 'cluster' | 'nodeId'>,
  { id, settings }: TopicDefinition,
  partition: number,
): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS && cluster.leaseHeld; attempt++) {
    const entry = cluster.partitionState(id, partition);
    const state = entry && without(nodeId, entry.state, settings.minInsync);
    if (!state) return;
    try {
      const { kind } = await cluster.updatePartition(id, partition, entry.revision, state);
      if (kind !== 'conflict') return;
    } catch {
      return;
    }
  }
}

/** Undefined: it stays as it is. */
function without(nodeId: string, state: PartitionState, minInsync: number): PartitionState | undefined {
  const isr = state.isr.filter((id) => id !== nodeId);
  const isFollower = state.isr.includes(nodeId) && state.leader !== null && state.leader !== nodeId;
  return isFollower && isr.length >= minInsync ? { ...state, isr } : undefined;
}

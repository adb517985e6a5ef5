import type { PartitionState } from '../coordination/cluster.ts';
import { SluiceError } from '../kernel/errors.ts';

/**
 * The state that lets a partition move to other nodes; whoever wants that writes it with `updatePartition`, on any node.
 *
 * What is wanted comes first, in order, the preferred leader at its head. What else there is follows: the controller lets it go, and leadership with it,
 * once all that is wanted is in sync. Another reassignment before that takes the place of this one; that to the replicas there were before undoes it.
 *
 * @param wanted node ids, as many as the topic has replicas
 * @param replicationFactor of the topic
 * @throws INVALID_ARGUMENT for another number of nodes, or one that is named twice
 */
export function reassigned(
  state: PartitionState,
  wanted: readonly string[],
  replicationFactor: number,
): PartitionState {
  if (wanted.length !== replicationFactor || new Set(wanted).size !== wanted.length) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `name ${replicationFactor} different nodes: the topic has so many replicas`,
    );
  }
  return { ...state, replicas: [...wanted, ...state.replicas.filter((id) => !wanted.includes(id))] };
}

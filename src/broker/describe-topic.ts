import type { Cluster, PartitionEntry } from '../coordination/cluster.ts';
import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { Partition } from '../partition/partition.ts';
import type { Fault, PartitionDescription, TopicDescription } from './views.ts';

type States = Pick<Cluster, 'partitionState'>;

/** A topic that is open here: what this node has of its partitions, and who else has them. */
export function describeOpen(
  definition: TopicDefinition,
  partitions: readonly Partition[],
  cluster: States,
): TopicDescription {
  const described = partitions.map((one) => ({
    ...holders(cluster.partitionState(definition.id, one.partition), one.partition),
    logStart: one.logStart,
    highWatermark: one.highWatermark,
    logEnd: one.logEnd,
    retainedBytes: one.retainedBytes,
    subscribers: one.readers,
    error: one.failure,
  }));
  return { ...facts(definition), partitions: described, error: undefined };
}

/** A topic that cannot be used here, and why: with who leads it, where that is the reason. */
export function describeFailed(
  definition: TopicDefinition,
  { code, message }: SluiceError,
  cluster: States,
): TopicDescription {
  const indexes = code === 'NOT_LEADER' ? Array.from({ length: definition.partitions }, (_, n) => n) : [];
  const partitions = indexes.map((index) => elsewhere(definition, index, cluster, { code, message }));
  return { ...facts(definition), partitions, error: { code, message } };
}

function elsewhere(
  { id }: TopicDefinition,
  index: number,
  cluster: States,
  error: Fault,
): PartitionDescription {
  const nothing = { logStart: 0, highWatermark: 0, logEnd: 0, retainedBytes: 0, subscribers: 0 };
  return { ...holders(cluster.partitionState(id, index), index), ...nothing, error };
}

/** Who has a partition, as the cluster knows it. */
function holders(
  entry: PartitionEntry | undefined,
  partition: number,
): Pick<PartitionDescription, 'partition' | 'leaderNodeId' | 'leaderEpoch' | 'replicas' | 'isr'> {
  const { leader, leaderEpoch, replicas, isr } = entry?.state ?? {
    leader: null,
    leaderEpoch: 0,
    replicas: [],
    isr: [],
  };
  return { partition, leaderNodeId: leader ?? '', leaderEpoch, replicas, isr };
}

function facts({
  name,
  id,
  settings,
  createdMs,
}: TopicDefinition): Omit<TopicDescription, 'partitions' | 'error'> {
  return { name, id, settings, createdMs };
}

import type { PartitionState } from '../../coordination/cluster.ts';
import type { Coordinator } from '../../coordination/coordinator.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Replicas } from '../../replicas/replicas.ts';
import type { OpenTopic } from './open-topic.ts';

/** A state with a leader that is another node. */
export type LedElsewhere = PartitionState & { readonly leader: string };

/** Who leads what, as this node sees it. */
export class Leaders {
  readonly #coordinator: Pick<Coordinator, 'nodeId' | 'cluster'>;
  readonly #replicas: () => Pick<Replicas, 'failure'> | undefined;

  /** @param replicas undefined while they are being opened */
  constructor(
    coordinator: Pick<Coordinator, 'nodeId' | 'cluster'>,
    replicas: () => Pick<Replicas, 'failure'> | undefined,
  ) {
    this.#coordinator = coordinator;
    this.#replicas = replicas;
  }

  /** The state of a partition that another node leads; undefined when this one is to lead it, or nobody is. */
  elsewhere({ definition }: OpenTopic, index: number): LedElsewhere | undefined {
    const { nodeId, cluster } = this.#coordinator;
    const state = cluster.partitionState(definition.id, index)?.state;
    const isElsewhere = state !== undefined && state.leader !== null && state.leader !== nodeId;
    return isElsewhere ? (state as LedElsewhere) : undefined;
  }

  /** Whether this node is one of the stored in-sync replicas of a partition. */
  isInSync({ definition }: OpenTopic, index: number): boolean {
    const { nodeId, cluster } = this.#coordinator;
    return cluster.partitionState(definition.id, index)?.state.isr.includes(nodeId) === true;
  }

  /** Whether another node is one of the stored in-sync replicas of a partition. */
  isInSyncElsewhere({ definition }: OpenTopic, index: number): boolean {
    const { nodeId, cluster } = this.#coordinator;
    return cluster.partitionState(definition.id, index)?.state.isr.some((id) => id !== nodeId) === true;
  }

  /** Why the copy that this node should have of a partition cannot be used; undefined: nothing is known against it. */
  failure({ definition }: OpenTopic, index: number): SluiceError | undefined {
    return this.#replicas()?.failure(definition.id, index);
  }

  /** Why a partition takes nothing that nobody else leads, and this node does not yet or any more. */
  refusal(topic: OpenTopic, index: number): SluiceError {
    return (
      this.failure(topic, index) ??
      new SluiceError('NOT_LEADER', `nobody leads ${topic.name}/${index} at the moment`)
    );
  }

  /** Whether a partition has a leader, which for one elsewhere is only what the stored state says. */
  isLed(topic: OpenTopic, index: number): boolean {
    if (topic.copy(index)?.role === 'leader') return true;
    const state = this.elsewhere(topic, index);
    return state !== undefined && state.leaderEpoch > 0;
  }

  /** Why a topic cannot be used at all: none of its partitions can be opened here, where they should be; undefined: that is not so. */
  fault(topic: OpenTopic): SluiceError | undefined {
    for (let index = 0; index < topic.count; index++) {
      if (topic.copy(index) || !this.failure(topic, index) || this.elsewhere(topic, index)) return undefined;
    }
    return this.failure(topic, 0);
  }
}

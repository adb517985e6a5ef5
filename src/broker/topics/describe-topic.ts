import type { Coordinator, TopicDefinition } from '../../coordination/coordinator.ts';
import type { Clock } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import type { Partition } from '../../partition/partition.ts';
import type { Answer, LeaderQuestions, TopicPartition } from '../leader-questions.ts';
import type { Leaders } from './leaders.ts';
import type { OpenTopic } from './open-topic.ts';
import type { PartitionFacts } from '../other-nodes.ts';
import type { Fault, PartitionDescription, TopicDescription, TopicMetadata } from '../views.ts';

type Holders = Pick<PartitionDescription, 'partition' | 'leaderNodeId' | 'leaderEpoch' | 'replicas' | 'isr'>;

/** A node that is to lead learns of it when the others do, and serves the partition a moment later: after so long it is asked once more. */
const ASK_AGAIN_MS = 250;

/** Describes topics with all their partitions: who has them as the stored states say, the rest as who leads them says. */
export class TopicDescriber {
  readonly #coordinator: Pick<Coordinator, 'nodeId' | 'cluster'>;
  readonly #leaders: Leaders;
  readonly #questions: LeaderQuestions;
  readonly #clock: Clock;

  constructor(
    coordinator: Pick<Coordinator, 'nodeId' | 'cluster'>,
    leaders: Leaders,
    questions: LeaderQuestions,
    clock: Clock,
  ) {
    this.#coordinator = coordinator;
    this.#leaders = leaders;
    this.#questions = questions;
    this.#clock = clock;
  }

  /**
   * One call for each node that has to be asked, a second one where a node that should lead says that it does not; where one does not answer its
   * partitions have an error.
   */
  async describe(topics: readonly OpenTopic[]): Promise<TopicDescription[]> {
    const asked: TopicPartition[] = [];
    for (const topic of topics) if (!this.#leaders.fault(topic)) asked.push(...partitionsOf(topic));
    const facts = await this.#ask(asked);
    let slot = 0;
    return topics.map((topic) => {
      const own: Answer<PartitionFacts>[] = [];
      while (asked[slot]?.topic === topic) own.push(facts[slot++]!);
      return this.#describe(topic, own);
    });
  }

  async #ask(partitions: readonly TopicPartition[]): Promise<Answer<PartitionFacts>[]> {
    const facts = await this.#questions.describe(partitions);
    const slots = [...facts.keys()].filter((slot) => this.#isEarly(partitions[slot]!, facts[slot]!));
    if (slots.length === 0) return facts;
    await delay(this.#clock, ASK_AGAIN_MS);
    const again = await this.#questions.describe(slots.map((slot) => partitions[slot]!));
    slots.forEach((slot, nth) => (facts[slot] = again[nth]!));
    return facts;
  }

  /** Whether a node was asked that does not lead yet, or does so no more, while the stored state names a leader. */
  #isEarly({ topic, index }: TopicPartition, answer: Answer<PartitionFacts>): boolean {
    if (!(answer instanceof Error) || answer.code !== 'NOT_LEADER') return false;
    return this.#leaders.elsewhere(topic, index) !== undefined;
  }

  /** Nobody needs to be asked for it. */
  metadata(topic: OpenTopic): TopicMetadata {
    const fault = this.#leaders.fault(topic);
    const partitions = fault ? [] : partitionsOf(topic).map((one) => this.#holders(one));
    return {
      name: topic.name,
      error: faultOf(fault),
      partitions: partitions.map(({ partition, leaderNodeId, leaderEpoch }) => ({
        partition,
        leaderNodeId,
        leaderEpoch,
      })),
    };
  }

  #describe(topic: OpenTopic, facts: readonly Answer<PartitionFacts>[]): TopicDescription {
    const partitions = facts.map((one, index) => this.#partition({ topic, index }, one));
    return { ...about(topic.definition), partitions, error: faultOf(this.#leaders.fault(topic)) };
  }

  #partition(place: TopicPartition, answer: Answer<PartitionFacts>): PartitionDescription {
    const { topic, index } = place;
    const copy = topic.copy(index);
    const isHere = copy?.role === 'leader';
    const holders = this.#holders(place);
    if (answer instanceof Error) {
      return { ...holders, ...asFarAsKnown(copy), error: faultOf(answer) };
    }
    const { logStart, highWatermark, logEnd, retainedBytes, subscribers } = answer;
    return {
      ...holders,
      ...{ logStart, highWatermark, logEnd, retainedBytes },
      subscribers: subscribers + (isHere ? 0 : (copy?.readers ?? 0)),
      error: faultOf((isHere ? undefined : this.#leaders.failure(topic, index)) ?? copy?.failure),
    };
  }

  #holders({ topic, index }: TopicPartition): Holders {
    const copy = topic.copy(index);
    if (copy?.role === 'leader') {
      const { partition, leaderEpoch, replicas, isr } = copy;
      return { partition, leaderNodeId: this.#coordinator.nodeId, leaderEpoch, replicas, isr };
    }
    const state = this.#coordinator.cluster.partitionState(topic.definition.id, index)?.state;
    return {
      partition: index,
      leaderNodeId: state?.leader ?? '',
      leaderEpoch: state?.leaderEpoch ?? 0,
      replicas: state?.replicas ?? [],
      isr: state?.isr ?? [],
    };
  }
}

/** All partitions of a topic, wherever they are. */
export function partitionsOf(topic: OpenTopic): TopicPartition[] {
  return Array.from({ length: topic.count }, (_, index) => ({ topic, index }));
}

/** What a copy that does not lead has, which may be less than there is. */
function asFarAsKnown(copy: Partition | undefined): Omit<PartitionDescription, keyof Holders | 'error'> {
  if (!copy) return { logStart: 0, highWatermark: 0, logEnd: 0, retainedBytes: 0, subscribers: 0 };
  const { logStart, highWatermark, logEnd, retainedBytes, readers } = copy;
  return { logStart, highWatermark, logEnd, retainedBytes, subscribers: readers };
}

function faultOf(error: SluiceError | undefined): Fault | undefined {
  return error && { code: error.code, message: error.message };
}

function about({
  name,
  id,
  settings,
  createdMs,
}: TopicDefinition): Omit<TopicDescription, 'partitions' | 'error'> {
  return { name, id, settings, createdMs };
}

import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import { deleteForGood, firstToStay } from '../partition/delete-records.ts';
import type { Partition } from '../partition/partition.ts';
import type { Start } from '../partition/reader.ts';
import type { PartitionRef } from '../partition/replication.ts';
import type { Leaders } from './topics/leaders.ts';
import type { OpenTopic } from './topics/open-topic.ts';
import type { OtherNodes, PartitionFacts } from './other-nodes.ts';
import { factsOf } from './partition-facts.ts';

/** A partition of a topic. */
export interface TopicPartition {
  readonly topic: OpenTopic;
  readonly index: number;
}

/** An answer, or why there is none. */
export type Answer<T> = T | SluiceError;

interface Asked {
  readonly refs: PartitionRef[];
  /** Where their answers belong. */
  readonly slots: number[];
}

/**
 * Asks the leaders of partitions, in one call for each node; where this node leads it answers itself. Never rejects: each partition has its answer, or
 * NOT_LEADER where nobody leads it, UNAVAILABLE or TIMEOUT where its leader cannot be asked.
 */
export class LeaderQuestions {
  readonly #leaders: Leaders;
  readonly #others: OtherNodes | undefined;

  /** @param others undefined on a node on its own */
  constructor(leaders: Leaders, others: OtherNodes | undefined) {
    this.#leaders = leaders;
    this.#others = others;
  }

  /** The first offset that a reader beginning at `at` would want. @param asker who waits for them; CANCELLED when it has gone */
  offsets(partitions: readonly TopicPartition[], at: Start, asker?: Asker): Promise<Answer<number>[]> {
    // Nothing else takes so long that it is worth a word.
    const searcher = at.at === 'timestamp' ? asker : undefined;
    return this.#ask(
      partitions,
      (copy) => copy.offsetAt(at, searcher),
      (others, nodeId, refs) => others.listOffsets(nodeId, refs, at, searcher?.gone),
    );
  }

  /** The first record that would stay if those before a place were deleted. */
  firstToStay(partitions: readonly TopicPartition[], before: Start): Promise<Answer<number>[]> {
    return this.#ask(
      partitions,
      (copy) => firstToStay(copy, before),
      (others, nodeId, refs) => others.listOffsets(nodeId, refs, before),
    );
  }

  /**
   * Deletes the records before a place.
   * @param found what {@link firstToStay} has said of it
   * @returns where each partition begins now
   */
  deleteRecords(
    partitions: readonly TopicPartition[],
    before: Start,
    found: readonly number[],
  ): Promise<Answer<number>[]> {
    return this.#ask(
      partitions,
      (copy, slot) => deleteForGood(copy, found[slot]!),
      (others, nodeId, refs) => others.deleteRecords(nodeId, refs, before),
    );
  }

  describe(partitions: readonly TopicPartition[]): Promise<Answer<PartitionFacts>[]> {
    return this.#ask(partitions, factsOf, (others, nodeId, refs) => others.describePartitions(nodeId, refs));
  }

  async #ask<T>(
    partitions: readonly TopicPartition[],
    here: (copy: Partition, slot: number) => T | Promise<T>,
    there: (
      others: OtherNodes,
      nodeId: string,
      refs: readonly PartitionRef[],
    ) => Promise<readonly Answer<T>[]>,
  ): Promise<Answer<T>[]> {
    const answers: Answer<T>[] = [];
    const byNode = new Map<string, Asked>();
    const asking = partitions.map(async ({ topic, index }, slot) => {
      const copy = topic.copy(index);
      if (copy?.role === 'leader') answers[slot] = await answerOf(() => here(copy, slot));
      else this.#note(byNode, { topic, index }, slot, (refusal) => (answers[slot] = refusal));
    });
    await Promise.all([
      ...asking,
      ...[...byNode].map(async ([nodeId, { refs, slots }]) => {
        const found = await answersOf(() => there(this.#others!, nodeId, refs));
        slots.forEach((slot, nth) => (answers[slot] = found instanceof Error ? found : answerAt(found, nth)));
      }),
    ]);
    return answers;
  }

  /** Notes whom to ask about a partition that is not led here. */
  #note(
    byNode: Map<string, Asked>,
    { topic, index }: TopicPartition,
    slot: number,
    refuse: (refusal: SluiceError) => void,
  ): void {
    const leader = this.#others && this.#leaders.elsewhere(topic, index)?.leader;
    if (leader === undefined) {
      refuse(this.#leaders.refusal(topic, index));
      return;
    }
    const asked = byNode.get(leader) ?? { refs: [], slots: [] };
    byNode.set(leader, asked);
    asked.refs.push({ topicId: topic.definition.id, partition: index });
    asked.slots.push(slot);
  }
}

async function answerOf<T>(ask: () => T | Promise<T>): Promise<Answer<T>> {
  try {
    return await ask();
  } catch (error) {
    return asSluiceError(error);
  }
}

async function answersOf<T>(ask: () => Promise<readonly Answer<T>[]>): Promise<Answer<readonly Answer<T>[]>> {
  try {
    return await ask();
  } catch (error) {
    return asSluiceError(error);
  }
}

function answerAt<T>(answers: readonly Answer<T>[], nth: number): Answer<T> {
  return answers[nth] ?? new SluiceError('UNAVAILABLE', 'the leader has not answered for all partitions');
}

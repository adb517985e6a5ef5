import { SluiceError } from '../../kernel/errors.ts';
import type { Asker } from '../../kernel/slots.ts';
import type { Start } from '../../partition/reader.ts';
import type { AccessControl } from '../access-control.ts';
import { partitionsOf } from './describe-topic.ts';
import type { Answer, LeaderQuestions, TopicPartition } from '../leader-questions.ts';
import type { Principal } from '../ports.ts';
import type { TopicAdministration } from './topic-administration.ts';
import type { Position } from '../views.ts';

/** What it takes to say and to move where partitions begin. */
export interface TopicOffsetsParts {
  readonly access: AccessControl;
  readonly administration: Pick<TopicAdministration, 'require'>;
  readonly questions: LeaderQuestions;
}

/** Offsets of the partitions of a topic, wherever they are led, for principals that may ask for them or delete what is before them. */
export class TopicOffsets {
  readonly #access: AccessControl;
  readonly #administration: Pick<TopicAdministration, 'require'>;
  readonly #questions: LeaderQuestions;

  constructor({ access, administration, questions }: TopicOffsetsParts) {
    this.#access = access;
    this.#administration = administration;
    this.#questions = questions;
  }

  /** @see Broker.listOffsets */
  async list(
    principal: Principal,
    topic: string,
    partitions: readonly number[],
    at: Start,
    asker?: Asker,
  ): Promise<readonly Position[]> {
    this.#access.check(principal, 'subscribe', topic);
    checkOneOffset(at);
    const wanted = this.#partitions(topic, partitions);
    return positionsOf(wanted, await this.#questions.offsets(wanted, at, asker));
  }

  /** @see Broker.deleteRecords */
  async deleteBefore(
    principal: Principal,
    topic: string,
    partitions: readonly number[],
    before: Start,
  ): Promise<readonly Position[]> {
    this.#access.check(principal, 'admin', topic);
    checkOneOffset(before);
    const wanted = this.#partitions(topic, partitions);
    // First all offsets, so that one that cannot be changes none of them.
    const found = positionsOf(wanted, await this.#questions.firstToStay(wanted, before));
    const offsets = found.map(({ offset }) => offset);
    return positionsOf(wanted, await this.#questions.deleteRecords(wanted, before, offsets));
  }

  /** The partitions with these numbers; all, when there are none. @throws TOPIC_NOT_FOUND, PARTITION_NOT_FOUND */
  #partitions(name: string, partitions: readonly number[]): readonly TopicPartition[] {
    const topic = this.#administration.require(name);
    const named = [...new Set(partitions)];
    if (named.length === 0) return partitionsOf(topic);
    return named.map((index) => ({ topic, index: topic.checkIndex(index) }));
  }
}

/** @throws INVALID_ARGUMENT for last-per-key */
function checkOneOffset(place: Start): void {
  if (place.at === 'last-per-key')
    throw new SluiceError('INVALID_ARGUMENT', 'last-per-key is not one offset');
}

/** @throws the first error among the answers */
function positionsOf(
  partitions: readonly TopicPartition[],
  answers: readonly Answer<number>[],
): readonly Position[] {
  return partitions.map(({ topic, index }, slot) => {
    const offset = answers[slot]!;
    if (typeof offset !== 'number') throw offset;
    return { topic: topic.name, partition: index, offset };
  });
}

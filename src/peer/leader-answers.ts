import { factsOf } from '../broker/partition-facts.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import { Slots } from '../kernel/slots.ts';
import { deleteForGood, firstToStay } from '../partition/delete-records.ts';
import type { FetchSessionParts } from '../partition/fetch-session.ts';
import type { Partition } from '../partition/partition.ts';
import type { Start } from '../partition/reader.ts';
import type { PartitionRef } from '../partition/replication.ts';
import type { LedPartitions, PartitionFacts } from './ports.ts';

/** Partitions that are looked into at once, for all who ask: a place in a log on disk has to be searched for. */
const AT_ONCE = 32;

/** Deletions under way at once, for all who ask; one that waits for other replicas costs little more than a timer. */
const DELETING_MAX = 65_536;

/** Partitions in one question; nobody has so many, and each costs memory until all are answered. */
const PARTITIONS_MAX = 65_536;

/** Answers what other nodes ask of the partitions that are led here. */
export class LeaderAnswers implements LedPartitions {
  readonly #find: FetchSessionParts['find'];
  readonly #slots = new Slots(AT_ONCE);
  #deleting = 0;

  constructor(find: FetchSessionParts['find']) {
    this.#find = find;
  }

  describe(partitions: readonly PartitionRef[]): (PartitionFacts | SluiceError)[] {
    checkCount(partitions);
    return partitions.map((ref) => {
      try {
        return factsOf(this.#leaderOf(ref));
      } catch (error) {
        return asSluiceError(error);
      }
    });
  }

  listOffsets(
    partitions: readonly PartitionRef[],
    at: Start,
    asker?: Asker,
  ): Promise<(number | SluiceError)[]> {
    return answerEach(partitions, (ref) =>
      this.#slots.run(() => this.#leaderOf(ref).offsetAt(at, asker), asker),
    );
  }

  deleteRecords(partitions: readonly PartitionRef[], before: Start): Promise<(number | SluiceError)[]> {
    return answerEach(partitions, (ref) => this.#delete(ref, before));
  }

  /** Other replicas may keep it waiting for long, so that it does so without a slot: whoever asks for a place has none to wait for. */
  async #delete(ref: PartitionRef, before: Start): Promise<number> {
    if (this.#deleting >= DELETING_MAX) {
      throw new SluiceError('OVERLOADED', `${DELETING_MAX} deletions are under way at this node already`);
    }
    this.#deleting++;
    try {
      const offset = await this.#slots.run(() => firstToStay(this.#leaderOf(ref), before));
      return await deleteForGood(this.#leaderOf(ref), offset);
    } finally {
      this.#deleting--;
    }
  }

  /** @throws NOT_LEADER */
  #leaderOf({ topicId, partition: index }: PartitionRef): Partition {
    const partition = this.#find(topicId, index);
    if (!partition) throw new SluiceError('NOT_LEADER', `this node has no copy of ${topicId}/${index}`);
    const refusal = partition.refusal(1);
    if (refusal) throw refusal;
    return partition;
  }
}

async function answerEach(
  partitions: readonly PartitionRef[],
  answer: (ref: PartitionRef) => Promise<number>,
): Promise<(number | SluiceError)[]> {
  checkCount(partitions);
  return Promise.all(partitions.map((ref) => answer(ref).catch((error: unknown) => asSluiceError(error))));
}

/** @throws OVERLOADED */
function checkCount({ length }: readonly PartitionRef[]): void {
  if (length <= PARTITIONS_MAX) return;
  throw new SluiceError(
    'OVERLOADED',
    `${length} partitions are too many for one question, ${PARTITIONS_MAX} are the most`,
  );
}

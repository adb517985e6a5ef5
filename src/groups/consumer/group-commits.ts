import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CommittedOffset, GroupResultSchema } from '../../gen/sluice/client/v1/groups_pb.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import { Slots } from '../../kernel/slots.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import type { GroupQuestion } from '../api.ts';
import type { Committed } from './group-offsets.ts';
import type { GroupState } from './group-state.ts';
import type { GroupSurroundings } from './group-surroundings.ts';
import type { Member } from './member.ts';
import type { Place } from './place.ts';
import { findPlace } from './place.ts';
import { offsetStartFromWire } from './start.ts';
import { offsetRecord } from './stored-state.ts';

const METADATA_MAX_BYTES = 4096;
/** Partitions asked about at once. */
const AT_ONCE = 64;

/** Who commits. */
interface Committer {
  readonly member: Member;
  /** That it has seen. */
  readonly generation: number;
}

/** Checks and stores what is committed in one group. */
export class GroupCommits {
  readonly #state: GroupState;
  readonly #with: GroupSurroundings;

  constructor(state: GroupState, surroundings: GroupSurroundings) {
    this.#state = state;
    this.#with = surroundings;
  }

  /**
   * Stores those that may be committed.
   * @param committer none: nobody of the group
   * @returns how each ended, in order
   * @throws NOT_LEADER
   */
  async commit(
    offsets: readonly CommittedOffset[],
    committer?: Committer,
  ): Promise<MessageInitShape<typeof GroupResultSchema>[]> {
    const { totals } = this.#with;
    // The last of each partition counts; the others would only be stored as well.
    const accepted = new Map<Place, Committed>();
    let commits = 0;
    const results = offsets.map((offset) => {
      try {
        accepted.set(...this.#check(offset, committer));
        commits += 1;
        return {};
      } catch (error) {
        const { code, wire, message } = asSluiceError(error);
        if (code === 'STALE_GENERATION') totals.staleCommits += 1;
        return { errorCode: wire, errorMessage: message };
      }
    });
    await this.#store([...accepted]);
    totals.commits += commits;
    return results;
  }

  /** Looks for where a group is to go on. @throws TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, INVALID_ARGUMENT; what `Topics.offsetAt` throws */
  async find({ topic, partitions, to }: GroupQuestion<'resetGroup'>): Promise<(readonly [Place, number])[]> {
    const { topics, places } = this.#with;
    const start = offsetStartFromWire(to);
    const first = findPlace(topics, places, topic, 0);
    const named = [...new Set(partitions)].map((partition) => findPlace(topics, places, topic, partition));
    const wanted = named.length > 0 ? named : places.all(topics.find(topic)!);
    const slots = new Slots(AT_ONCE);
    const found = await Promise.all(
      wanted.map(async (place) => {
        const offset = await slots.run(() => topics.offsetAt(topic, place.partition, start));
        return [place, offset] as const;
      }),
    );
    if (findPlace(topics, places, topic, 0) === first) return found;
    throw new SluiceError('TOPIC_NOT_FOUND', `${topic} was deleted`);
  }

  /** Stores where a group goes on. @throws NOT_LEADER */
  set(offsets: readonly (readonly [Place, number])[]): Promise<void> {
    const committedMs = this.#with.clock.now();
    return this.#store(offsets.map(([place, offset]) => [place, { offset, metadata: '', committedMs }]));
  }

  /** @throws why an offset cannot be committed */
  #check(
    { topic, partition, offset, metadata }: CommittedOffset,
    committer: Committer | undefined,
  ): [Place, Committed] {
    const { topics, places, clock } = this.#with;
    const place = findPlace(topics, places, topic, partition);
    if (Buffer.byteLength(metadata) > METADATA_MAX_BYTES) {
      throw new SluiceError('INVALID_ARGUMENT', `metadata of more than ${METADATA_MAX_BYTES} bytes`);
    }
    if (committer && committer.generation < (committer.member.sinceOf(place) ?? Infinity)) {
      throw new SluiceError(
        'STALE_GENERATION',
        `${topic}/${partition} is not the member's in its generation`,
      );
    }
    return [place, { offset: offsetFromWire(offset), metadata, committedMs: clock.now() }];
  }

  async #store(committed: readonly (readonly [Place, Committed])[]): Promise<void> {
    if (committed.length === 0) return;
    const { name, offsets } = this.#state;
    for (const [place] of committed) offsets.expect(place);
    await this.#with.writer.append(committed.map(([place, value]) => offsetRecord(name, place, value)));
    for (const [place, value] of committed) offsets.set(place, value);
  }
}

import { offsetFromWire } from '../../wire/offset.ts';
import type { AskGroup } from '../group-requests.ts';
import { resultError } from '../group-requests.ts';
import type { Position, StartPosition } from '../subscription/subscribe-options.ts';
import { startMessage } from '../subscription/subscribe-options.ts';
import type { GroupDescription, GroupSummary } from './views.ts';
import { groupFromWire, summaryFromWire } from './views.ts';

/** Administration of consumer groups. Every call `@throws` FORBIDDEN without the right to it, and TIMEOUT. */
export class GroupAdmin {
  readonly #ask: AskGroup;

  constructor(ask: AskGroup) {
    this.#ask = ask;
  }

  /** The groups of topics that this principal may read. */
  async list(): Promise<readonly GroupSummary[]> {
    return (await this.#ask('listGroups', {})).groups.map(summaryFromWire);
  }

  /** Members, assignment, committed offsets and lag. @throws GROUP_NOT_FOUND */
  async describe(group: string): Promise<GroupDescription> {
    return groupFromWire(await this.#ask('describeGroup', { group }));
  }

  /**
   * Sets where a group without members goes on in a topic.
   *
   * @param to an offset, a Date, `earliest` or `latest`
   * @param partitions empty: all
   * @returns where it goes on now
   * @throws GROUP_NOT_EMPTY, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT
   */
  async reset(
    group: string,
    topic: string,
    to: Exclude<StartPosition, 'last-per-key'>,
    partitions: readonly number[] = [],
  ): Promise<readonly Position[]> {
    const request = { group, topic, partitions: [...partitions], to: startMessage(to) };
    const { offsets } = await this.#ask('resetGroup', request);
    return offsets.map(({ topic: name, partition, offset }) => ({
      topic: name,
      partition,
      offset: offsetFromWire(offset),
    }));
  }

  /** Commits offsets of a group without members. @throws GROUP_NOT_EMPTY, and what one of the partitions is refused with */
  async commit(group: string, positions: readonly Position[]): Promise<void> {
    const offsets = positions.map(({ topic, partition, offset }) => ({
      topic,
      partition,
      offset: BigInt(offset),
    }));
    const { results } = await this.#ask('commitOffsets', { group, offsets });
    for (const result of results) {
      const error = resultError(result);
      if (error !== undefined) throw error;
    }
  }

  /** Forgets a group without members and what it has committed. @throws GROUP_NOT_FOUND, GROUP_NOT_EMPTY */
  async delete(group: string): Promise<void> {
    await this.#ask('deleteGroup', { group }, { again: false });
  }
}

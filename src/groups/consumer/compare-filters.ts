import { COMPARED_PER_TURN } from '../../kernel/turns.ts';
import type { GroupState } from './group-state.ts';
import type { GroupSurroundings } from './group-surroundings.ts';

/**
 * Compares the filters of a group's members with the topics that they were not compared with yet, so that planning finds all of it known. What
 * is too much for one turn of the event loop is done in several; members and topics that come meanwhile are compared as well.
 *
 * @param isOver nobody wants it any more
 */
export async function compareFilters(
  state: Pick<GroupState, 'filterSets'>,
  { topics, numbers, turns }: Pick<GroupSurroundings, 'topics' | 'numbers' | 'turns'>,
  isOver: () => boolean,
): Promise<void> {
  let isWhole: boolean;
  do {
    isWhole = true;
    let cost = 0;
    const all = topics.all();
    numbers.take(all);
    const { given } = numbers;
    for (const filters of state.filterSets()) {
      if (filters.comparedTo === given) continue;
      for (const { name } of all) {
        if (cost >= COMPARED_PER_TURN) {
          await turns.next();
          if (isOver()) return;
          cost = 0;
          isWhole = false;
        }
        cost += filters.costOf(name);
        filters.takes(name);
      }
      filters.comparedTo = given;
    }
  } while (!isWhole);
}

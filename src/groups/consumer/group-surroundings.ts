import type { Clock } from '../../kernel/clock.ts';
import type { Turns } from '../../kernel/turns.ts';
import type { Topics } from '../ports.ts';
import type { StateWriter } from '../state-writer.ts';
import type { FirstOffsets } from './first-offsets.ts';
import type { Places } from './place.ts';
import type { TopicNumbers } from './topic-numbers.ts';

/** What the groups of one coordinator share. */
export interface GroupSurroundings {
  readonly writer: StateWriter;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly places: Places;
  readonly numbers: TopicNumbers;
  /** For comparing many filters with many topics. */
  readonly turns: Turns;
  readonly firstOffsets: FirstOffsets;
  readonly totals: GroupTotals;
  /** A change went wrong half-way: the coordinator has to begin anew with what is stored. */
  readonly onFailure: (error: unknown) => void;
}

/** What has happened to all groups since the coordinator began. */
export interface GroupTotals {
  /** Times that an assignment of a group changed. */
  rebalances: number;
  /** Members that were not heard of for too long. */
  expiredMembers: number;
  /** Offsets that were committed. */
  commits: number;
  /** Offsets that were refused, since the partition is not the member's, or not in that generation. */
  staleCommits: number;
}

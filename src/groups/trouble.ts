import type { SluiceError } from '../kernel/errors.ts';

/**
 * Work of a queue that goes on by itself: dead letters on their way to their topic; moves that were begun before this node coordinated the queue;
 * the publishing of either, and of records that are moved on request; partitions that were added to a topic.
 */
export const WORKS = ['dead-letters', 'resumed-move', 'publish', 'new-partition'] as const;

/** Something that failed, and is tried again after a while. */
export interface Trouble {
  readonly work: (typeof WORKS)[number];
  readonly topic: string;
  readonly group: string;
  readonly partition: number;
  /** INTERNAL: what nobody expected, with its cause. */
  readonly error: SluiceError;
}

import type { Coordinator, PartitionClaim, TopicDefinition } from '../coordination/coordinator.ts';
import { OFFSET_BLOCK } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import { OffsetReserve } from '../partition/offset-reserve.ts';
import type { Partition } from '../partition/partition.ts';

/** What is reserved for a partition on disk: that there is a log. */
export const LOG_BEGUN = 1;

/**
 * Sees to it that a leader gives out no offset twice: begins above all that were, where it cannot know them, and notes that there is a log.
 *
 * @param isBlank the log, if in memory, was begun when others, or an earlier start, may have given out offsets already
 * @throws what `Coordinator.reserveOffsets` does; STORAGE_FAILED, STORAGE_FULL
 */
export async function prepareToLead(
  coordinator: Coordinator,
  topic: TopicDefinition,
  partition: Partition,
  claim: PartitionClaim,
  isBlank: boolean,
): Promise<void> {
  const { logStart, logEnd } = partition.log;
  if (topic.settings.storage === 'disk') {
    if (claim.offsetCeiling >= LOG_BEGUN) return;
    await coordinator.reserveOffsets(topic.id, partition.partition, LOG_BEGUN);
  } else if (isBlank && logStart === logEnd && claim.firstOffset > logEnd) {
    await partition.resetTo(claim.firstOffset);
  }
}

/** The offsets that a leader may give out; undefined for a log that survives a restart itself. */
export function reserveOf(
  coordinator: Coordinator,
  clock: Clock,
  topic: TopicDefinition,
  partition: number,
  claim: PartitionClaim,
): OffsetReserve | undefined {
  if (topic.settings.storage === 'disk') return undefined;
  return new OffsetReserve({
    clock,
    ceiling: claim.offsetCeiling,
    block: OFFSET_BLOCK,
    reserve: (ceiling) => coordinator.reserveOffsets(topic.id, partition, ceiling),
  });
}

/** After an orderly end: the next leader goes on where this one has ended, as far as that can be written. */
export async function giveBackOffsets(
  coordinator: Coordinator,
  topic: TopicDefinition,
  { partition, logEnd }: Pick<Partition, 'partition' | 'logEnd'>,
): Promise<void> {
  if (topic.settings.storage !== 'memory') return;
  // When it fails the next start begins at the ceiling, as after a crash.
  await coordinator.reserveOffsets(topic.id, partition, logEnd).catch(() => undefined);
}

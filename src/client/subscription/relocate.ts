import { offsetFromWire } from '../../wire/offset.ts';
import type { PartitionProgress } from './partition-progress.ts';
import type { Session } from '../connection/session.ts';
import type { StartPosition } from './subscribe-options.ts';
import { startMessage } from './subscribe-options.ts';

/** A partition whose log ends before the place where a subscription wanted to go on. */
export interface Relocation {
  readonly progress: PartitionProgress;
  /** Oldest offset retained now: where to begin again. */
  readonly offset: number;
}

/**
 * Finds the partitions whose log was replaced by a shorter one: their topic was deleted and made again.
 *
 * @throws TOPIC_NOT_FOUND and whatever else the broker answers
 */
export async function locateAgain(
  session: Session,
  partitions: readonly PartitionProgress[],
): Promise<readonly Relocation[]> {
  const found: Relocation[] = [];
  for (const [topic, ofTopic] of Map.groupBy(partitions, ({ topic }) => topic)) {
    const latest = await offsets(session, topic, 'latest');
    const earliest = await offsets(session, topic, 'earliest');
    for (const progress of ofTopic) {
      const end = latest.get(progress.partition) ?? 0;
      if (progress.received > end) found.push({ progress, offset: earliest.get(progress.partition) ?? 0 });
    }
  }
  return found;
}

async function offsets(
  session: Session,
  topic: string,
  at: StartPosition,
): Promise<ReadonlyMap<number, number>> {
  const { positions } = await session.request('listOffsets', { topic, at: startMessage(at) });
  return new Map(positions.map(({ partition, offset }) => [partition, offsetFromWire(offset)]));
}

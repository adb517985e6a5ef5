import type { RetentionLimits } from '../partition-log.ts';
import type { Segment } from './segment.ts';

/**
 * How many of the oldest segments go. Never the last one, which is active.
 *
 * @param segments oldest first
 * @param logStart offsets below it are deleted already
 * @param upTo exclusive: segments with records at or above it stay, unless they are deleted
 * @param wallMs now, on the clock that segments were stamped with
 */
export function expiredSegments(
  segments: readonly Segment[],
  limits: RetentionLimits,
  logStart: number,
  upTo: number,
  wallMs: number,
): number {
  const { retentionBytes, retentionMs, retentionRecords } = limits;
  const logEnd = segments.at(-1)!.nextOffset;
  let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  let count = 0;
  for (const segment of segments.slice(0, -1)) {
    const rest = bytes - segment.bytes;
    const tooOld = retentionMs > 0 && wallMs - segment.lastAppendMs >= retentionMs;
    const tooLarge = retentionBytes > 0 && bytes > retentionBytes;
    const tooMany = retentionRecords > 0 && logEnd - segment.nextOffset >= retentionRecords;
    const deleted = segment.nextOffset <= logStart;
    const expired = (tooOld || tooLarge || tooMany) && segment.nextOffset <= upTo;
    if (!expired && !deleted) break;
    bytes = rest;
    count++;
  }
  return count;
}

/** Whether all of the active segment is too old, so that it has to be sealed to go. */
export function activeExpired(active: Segment, { retentionMs }: RetentionLimits, wallMs: number): boolean {
  return retentionMs > 0 && active.bytes > 0 && wallMs - active.lastAppendMs >= retentionMs;
}

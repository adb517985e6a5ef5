import type { Partition } from './partition.ts';
import type { Start } from './reader.ts';

/**
 * The first record that would stay if a partition that is led here lost those before a place. Changes nothing.
 * @throws OFFSET_OUT_OF_RANGE when it is not below the high watermark; INVALID_ARGUMENT; TOPIC_NOT_FOUND after close
 */
export async function firstToStay(partition: Partition, before: Start): Promise<number> {
  const offset = await partition.offsetAt(before);
  partition.checkVisible(offset);
  return offset;
}

/**
 * Deletes the records of a partition that is led here below an offset: within the call for who reads, and when it resolves for good, because who has been told that
 * records are gone must not meet them again.
 *
 * @param offset at most the high watermark
 * @returns where the partition begins
 * @throws OFFSET_OUT_OF_RANGE, NOT_LEADER, TOPIC_NOT_FOUND; STORAGE_FULL, STORAGE_FAILED, UNAVAILABLE, CLOSED: they are deleted, but may come
 *   back after a crash
 */
export async function deleteForGood(partition: Partition, offset: number): Promise<number> {
  partition.deleteBefore(offset);
  const { logStart } = partition;
  await partition.log.whenStartDurable(offset);
  return logStart;
}

import { SluiceError } from '../kernel/errors.ts';
import type { Partition } from './partition.ts';
import type { Start } from './reader.ts';

/**
 * How long to wait for the other in-sync replicas above the time after which one that has not said to have deleted is none any more,
 * milliseconds: that has to be stored.
 */
const MARGIN_MS = 2000;

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
 * records are gone must not meet them again. For good means on all in-sync replicas, one of which is the next leader.
 *
 * @param offset at most the high watermark
 * @returns where the partition begins
 * @throws OFFSET_OUT_OF_RANGE, NOT_LEADER, TOPIC_NOT_FOUND; STORAGE_FULL, STORAGE_FAILED, UNAVAILABLE, CLOSED, TIMEOUT: they are deleted, but may come
 *   back after a crash or with another leader; asking once more makes it certain. TIMEOUT: one that does not answer stays in sync, because fewer than
 *   `minInsync` would be left, or because that it is none any more could not be stored
 * @see KIP-107
 */
export async function deleteForGood(partition: Partition, offset: number): Promise<number> {
  partition.deleteBefore(offset);
  const { logStart, leaderEpoch } = partition;
  await Promise.all([
    partition.log.whenStartDurable(offset),
    untilDeletedElsewhere(partition, offset, leaderEpoch),
  ]);
  return logStart;
}

/** @throws CLOSED; UNAVAILABLE when this node leads no more; TIMEOUT */
function untilDeletedElsewhere(partition: Partition, offset: number, epoch: number): Promise<void> {
  const place = `${partition.topic}/${partition.partition}`;
  return new Promise((resolve, reject) => {
    const end = (): void => {
      partition.unwatch(watcher);
      timer.cancel();
    };
    const look = (): void => {
      if (partition.closed) {
        end();
        reject(new SluiceError('CLOSED', `${place} was closed`));
      } else if (partition.role !== 'leader' || partition.leaderEpoch !== epoch) {
        end();
        reject(new SluiceError('UNAVAILABLE', `${place} has another leader, which may have them still`));
      } else if (partition.isDeletedBelow(offset)) {
        end();
        resolve();
      }
    };
    const watcher = { partitionChanged: look };
    const timer = partition.clock.setTimer(partition.maxLagMs + MARGIN_MS, () => {
      end();
      reject(
        new SluiceError('TIMEOUT', `not all in-sync replicas of ${place} have said to have deleted them`),
      );
    });
    partition.watch(watcher);
    look();
  });
}

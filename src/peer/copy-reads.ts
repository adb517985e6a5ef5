import type { Clock } from '../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import { Slots } from '../kernel/slots.ts';
import { divergence } from '../partition/epoch-history.ts';
import type { FetchSessionParts } from '../partition/fetch-session.ts';
import type { Partition } from '../partition/partition.ts';
import type { LocalCopies, ReadAnswer, ReadRequest } from './ports.ts';

/** Bytes of batches in one answer, whatever is asked for; one batch comes even when it alone is larger. */
const ANSWER_MAX_BYTES = 1024 * 1024;
/** Longest wait, milliseconds, whatever is asked for. */
const WAIT_MAX_MS = 10_000;
/** Reads of logs at once, for all who ask. */
const READS_AT_ONCE = 32;

/** Reads for other nodes what this one has of partitions, in whatever role, up to the high watermark. */
export class CopyReads implements LocalCopies {
  readonly #find: FetchSessionParts['find'];
  readonly #clock: Clock;
  readonly #slots = new Slots(READS_AT_ONCE);

  constructor({ find, clock }: FetchSessionParts) {
    this.#find = find;
    this.#clock = clock;
  }

  async read(request: ReadRequest, gone: AbortSignal): Promise<ReadAnswer> {
    const { topicId, partition: index, offset, upTo = Infinity, maxWaitMs } = request;
    const partition = this.#find(topicId, index);
    const untilMs = this.#clock.monotonicMs() + Math.min(maxWaitMs, WAIT_MAX_MS);
    /** Below it is nothing, though the high watermark may be: a hole at the end, as compaction leaves it. */
    let emptyBelow = offset;
    for (;;) {
      if (gone.aborted) throw new SluiceError('CANCELLED', 'who asked is gone');
      if (!partition || partition.closed)
        throw new SluiceError('PARTITION_NOT_FOUND', `there is no copy of ${topicId}/${index} here`);
      const known = withoutReading(partition, request);
      if (known) return known;
      if (partition.highWatermark > emptyBelow) {
        const found = await this.#readBelow(partition, partition.highWatermark, request);
        if (!found) continue;
        if (found.batches.length > 0 || upTo <= found.highWatermark) return found;
        emptyBelow = found.highWatermark;
      } else {
        const waitMs = untilMs - this.#clock.monotonicMs();
        if (waitMs <= 0) return answerOf(partition, []);
        await this.#untilMore(partition, Math.max(offset, emptyBelow), waitMs, gone);
      }
    }
  }

  /** @returns undefined when meanwhile the log has become another, so that it says nothing about what is there now */
  async #readBelow(
    partition: Partition,
    highWatermark: number,
    { offset, upTo = Infinity, maxBytes }: ReadRequest,
  ): Promise<ReadAnswer | undefined> {
    const isOvertaken = (): boolean =>
      partition.closed || partition.logStart > offset || partition.highWatermark < highWatermark;
    try {
      const bytes = Math.min(maxBytes, ANSWER_MAX_BYTES);
      const end = Math.min(highWatermark, upTo);
      const batches = await this.#slots.run(() => partition.log.read(offset, end, bytes));
      // What was read is told with the watermark that it was read for: above it there may be more by now.
      return isOvertaken() ? undefined : { ...answerOf(partition, batches), highWatermark };
    } catch (error) {
      if (isOvertaken()) return undefined;
      throw asSluiceError(error);
    }
  }

  /** Resolves when the partition may have something at or above `offset` to tell, at the latest after `waitMs`, or when nobody waits any more. */
  #untilMore(partition: Partition, offset: number, waitMs: number, gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        partition.unwatch(watcher);
        timer.cancel();
        gone.removeEventListener('abort', end);
        resolve();
      };
      const watcher = {
        partitionChanged: () => {
          const { closed, highWatermark, logStart, logEnd } = partition;
          if (closed || highWatermark > offset || logStart > offset || logEnd < offset) end();
        },
      };
      const timer = this.#clock.setTimer(waitMs, end);
      partition.watch(watcher);
      gone.addEventListener('abort', end);
    });
  }
}

/**
 * What can be said without a look at batches: that the log begins above the offset, or that this copy has another history than the asker.
 * @throws OFFSET_OUT_OF_RANGE: what the other node has is not of this log, or this copy is behind
 */
function withoutReading(partition: Partition, { offset, lastEpoch }: ReadRequest): ReadAnswer | undefined {
  const { topic, log } = partition;
  if (offset < log.logStart) return answerOf(partition, []);
  const diverging = lastEpoch === undefined ? undefined : divergence(log, { fetchOffset: offset, lastEpoch });
  if (diverging) return { ...answerOf(partition, []), diverging };
  if (offset <= log.logEnd) return undefined;
  throw new SluiceError(
    'OFFSET_OUT_OF_RANGE',
    `offset ${offset} of ${topic}/${partition.partition} is above the end of this copy, ${log.logEnd}`,
  );
}

function answerOf(partition: Partition, batches: readonly Buffer[]): ReadAnswer {
  const { leaderEpoch, logStart, highWatermark, logEnd } = partition;
  return { leaderEpoch, logStart, highWatermark, logEnd, batches };
}

import type { Clock } from '../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import { Slots } from '../kernel/slots.ts';
import { divergence } from '../partition/epoch-history.ts';
import type { FetchSessionParts } from '../partition/fetch-session.ts';
import type { Partition } from '../partition/partition.ts';
import { batchNextOffset } from '../wire/record-batch.ts';
import type { LocalCopies, ReadAnswer, ReadRequest } from './ports.ts';
import type { ZoneReadersOptions } from './zone-readers.ts';
import { ZoneReaders } from './zone-readers.ts';

/** Bytes of batches in one answer, whatever is asked for; one batch comes even when it alone is larger. */
const ANSWER_MAX_BYTES = 1024 * 1024;
/** Longest wait, milliseconds, whatever is asked for. */
const WAIT_MAX_MS = 10_000;
/** Reads of logs at once, for all who ask. */
const READS_AT_ONCE = 32;

/** A copy that is kept for readers here and may feed those of other nodes. */
export interface RelayedCopy {
  readonly partition: Partition;
  /** From this offset on it has everything in memory; what is older is not read for others. */
  readonly tailStart: number;
}

/** What reading for other nodes takes. */
export interface CopyReadsParts extends FetchSessionParts {
  /** The copy of a partition that is kept for readers, while it is fed by a replica; left out: none ever is. */
  readonly relayed?: ((topicId: string, partition: number) => RelayedCopy | undefined) | undefined;
  /** See {@link ZoneReadersOptions}; left out: all nodes are near. */
  readonly farZoneOf?: ZoneReadersOptions['farZoneOf'] | undefined;
}

/** What was given to copies of other nodes from those that are kept for readers here; plain counts for metrics. */
export interface RelayCounters {
  /** Reads that brought something. */
  reads: number;
  /** Bytes of batches. */
  bytes: number;
}

/** Reads for other nodes what this one has of partitions, in whatever role, up to the high watermark. */
export class CopyReads implements LocalCopies {
  readonly relays: RelayCounters = { reads: 0, bytes: 0 };
  readonly #parts: CopyReadsParts;
  readonly #clock: Clock;
  readonly #zones: ZoneReaders;
  readonly #slots = new Slots(READS_AT_ONCE);

  constructor(parts: CopyReadsParts) {
    this.#parts = parts;
    this.#clock = parts.clock;
    this.#zones = new ZoneReaders({
      clock: parts.clock,
      farZoneOf: parts.farZoneOf ?? (() => undefined),
    });
  }

  async read(
    nodeId: string,
    request: ReadRequest,
    gone: AbortSignal,
    room: () => Promise<undefined> | undefined = () => undefined,
  ): Promise<ReadAnswer> {
    const answer = await this.#read(request, gone, room);
    const { topicId, partition: index, offset, feeds, observed } = request;
    if (observed) {
      this.#count(answer);
      return answer;
    }
    const partition = feeds ? this.#parts.find(topicId, index) : undefined;
    if (!partition) return answer;
    const last = answer.batches.at(-1);
    const end = last ? batchNextOffset(last) : offset;
    return { ...answer, nearer: this.#zones.note(partition, { nodeId, offset, end }) };
  }

  async #read(
    request: ReadRequest,
    gone: AbortSignal,
    room: () => Promise<undefined> | undefined,
  ): Promise<ReadAnswer> {
    const { offset, upTo = Infinity, maxWaitMs } = request;
    const untilMs = this.#clock.monotonicMs() + Math.min(maxWaitMs, WAIT_MAX_MS);
    /** Below it is nothing, though the high watermark may be: a hole at the end, as compaction leaves it. */
    let emptyBelow = offset;
    for (;;) {
      if (gone.aborted) throw new SluiceError('CANCELLED', 'who asked is gone');
      const partition = this.#copyFor(request);
      const waitMs = untilMs - this.#clock.monotonicMs();
      partition.noteRead();
      const known = withoutReading(partition, request);
      if (known) return known;
      if (partition.highWatermark > emptyBelow) {
        const later = room();
        if (later) {
          await later;
          continue;
        }
        const found = await this.#readBelow(partition, partition.highWatermark, request, { gone });
        if (!found) continue;
        if (found.batches.length > 0 || upTo <= found.highWatermark) return found;
        emptyBelow = found.highWatermark;
      } else {
        if (waitMs <= 0) return answerOf(partition, []);
        await this.#untilMore(partition, Math.max(offset, emptyBelow), waitMs, gone);
      }
    }
  }

  /**
   * Asked again after each wait: a copy that is not fed by a replica any more must not go on feeding others, which may feed it.
   * @throws PARTITION_NOT_FOUND; OFFSET_OUT_OF_RANGE when a copy for readers has nothing so old in memory
   */
  #copyFor({ topicId, partition: index, observed, offset, lastEpoch }: ReadRequest): Partition {
    const relayed = observed ? this.#parts.relayed?.(topicId, index) : undefined;
    const partition = observed ? relayed?.partition : this.#parts.find(topicId, index);
    if (!partition || partition.closed) {
      const what = observed ? 'copy for readers, fed by a replica,' : 'copy';
      throw new SluiceError('PARTITION_NOT_FOUND', `there is no ${what} of ${topicId}/${index} here`);
    }
    // To compare histories takes the batch below the offset.
    const from = lastEpoch === undefined ? offset : offset - 1;
    if (!relayed || from >= relayed.tailStart) return partition;
    throw new SluiceError(
      'OFFSET_OUT_OF_RANGE',
      `offset ${offset} of ${topicId}/${index} is below what is kept here for readers, from ${relayed.tailStart}`,
    );
  }

  #count({ batches }: ReadAnswer): void {
    if (batches.length === 0) return;
    this.relays.reads++;
    for (const { length } of batches) this.relays.bytes += length;
  }

  /** @returns undefined when meanwhile the log has become another, so that it says nothing about what is there now */
  async #readBelow(
    partition: Partition,
    highWatermark: number,
    { offset, upTo = Infinity, maxBytes, observed }: ReadRequest,
    asker: Asker,
  ): Promise<ReadAnswer | undefined> {
    const isOvertaken = (): boolean =>
      partition.closed || partition.logStart > offset || partition.highWatermark < highWatermark;
    try {
      const bytes = Math.min(maxBytes, ANSWER_MAX_BYTES);
      const end = Math.min(highWatermark, upTo);
      const read = () => partition.log.read(offset, end, bytes, asker);
      // The memory of a copy for readers is read now: a moment later it may have less.
      const batches = await (observed ? read() : this.#slots.run(async () => read(), asker));
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

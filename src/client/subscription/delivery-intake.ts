import type { DatagramFrame, GapFrame } from '../../wire/delivery.ts';
import { GAP_REASON } from '../../wire/delivery.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { DeliveryBuffer, GapEvent } from './delivery-buffer.ts';
import type { DeliveryReader } from '../connection/delivery-reader.ts';
import type { OffsetRanges } from './offset-ranges.ts';
import { PartitionProgress } from './partition-progress.ts';
import { ReceivedBatch } from './received-batch.ts';
import type { SubscriptionPlan } from './subscribe-options.ts';
import type { SubscriptionCounters, SubscriptionStatusEvent } from './subscription-events.ts';

/** What the intake knows of the connection that brings a batch. */
export interface IntakeSource {
  /** Number of the subscription there. */
  readonly subscriptionId: number;
  readonly inflatedMaxBytes: number;
}

/** What the intake tells its subscription. */
export interface IntakeHost {
  readonly counters: SubscriptionCounters;
  status(status: SubscriptionStatusEvent): void;
}

const GAP_REASONS = {
  [GAP_REASON.RETENTION]: 'retention',
  [GAP_REASON.DELETED]: 'deleted',
  [GAP_REASON.NOT_SENT]: 'not-sent',
} as const;

/** Puts what arrives into the buffer, each offset once, and keeps account of how far each partition is. */
export class DeliveryIntake {
  /** Cluster that streams come from now. */
  clusterId = '';
  readonly #plan: SubscriptionPlan;
  readonly #buffer: DeliveryBuffer;
  readonly #host: IntakeHost;
  readonly #progress = new Map<string, PartitionProgress>();

  constructor(plan: SubscriptionPlan, buffer: DeliveryBuffer, host: IntakeHost) {
    this.#plan = plan;
    this.#buffer = buffer;
    this.#host = host;
  }

  /** All partitions known now. */
  get partitions(): readonly PartitionProgress[] {
    return [...this.#progress.values()];
  }

  find(topic: string, partition: number): PartitionProgress | undefined {
    return this.#progress.get(keyOf(topic, partition));
  }

  /** The partition, which begins at `offset` when it is new. */
  findOrAdd(topic: string, partition: number, offset: number): PartitionProgress {
    const known = this.find(topic, partition);
    if (known !== undefined) return known;
    const progress = new PartitionProgress(topic, partition, offset, this.clusterId);
    this.#progress.set(keyOf(topic, partition), progress);
    this.#host.status({ kind: 'partition-added', topic, partition, offset });
    return progress;
  }

  remove(topic: string, partition: number): void {
    this.#progress.delete(keyOf(topic, partition));
  }

  /** The partition has another log now, to be read from `offset` on. What waits in the buffer belongs to the one before. */
  restart({ topic, partition, received }: PartitionProgress, offset: number): void {
    this.#progress.set(
      keyOf(topic, partition),
      new PartitionProgress(topic, partition, offset, this.clusterId),
    );
    this.#host.status({ kind: 'restarted', topic, partition, from: received, to: offset });
  }

  /**
   * A delivery stream begins.
   * @returns false when it is of another log than the one that was read before: its topic was made again, or this is another broker
   */
  opened(reader: DeliveryReader): boolean {
    const known = this.find(reader.topic, reader.partition);
    const sameLog = known === undefined || reader.firstOffset >= known.resumedAt;
    if (!sameLog) this.restart(known, reader.firstOffset);
    const progress = this.findOrAdd(reader.topic, reader.partition, reader.firstOffset);
    if (this.#plan.delivery === 'ordered' && reader.firstOffset > progress.received) {
      this.#takeGap(progress, progress.received, reader.firstOffset, 'retention');
    }
    return sameLog;
  }

  /**
   * A batch came on a stream.
   * @returns false when it was thrown away, because all of it had come before
   * @throws CORRUPT_BATCH, UNKNOWN_CODEC
   */
  batch(reader: DeliveryReader, bytes: Buffer, source: IntakeSource): boolean {
    const batch = new RecordBatch(bytes, source);
    const progress = this.findOrAdd(reader.topic, reader.partition, reader.firstOffset);
    this.#count(bytes);
    const { baseOffset } = batch.header;
    switch (this.#plan.delivery) {
      case 'ordered': {
        const from = Math.max(reader.firstOffset, progress.received);
        return this.#accept(progress, batch, progress.received, from, bytes.length, source);
      }
      case 'unordered': {
        // The stream says what it settles: from where the one before it ended.
        const settledFrom = Math.min(reader.firstOffset, baseOffset);
        return this.#accept(progress, batch, settledFrom, reader.firstOffset, bytes.length, source);
      }
      case 'datagram':
        // A record too large for a datagram comes on the stream, perhaps after newer ones, and fills the hole it left.
        if (batch.nextOffset <= progress.received) {
          this.#host.counters.missingRecords -= batch.nextOffset - baseOffset;
          this.#push(progress, batch, baseOffset, progress.received, bytes.length, undefined, 0, source);
          return true;
        }
        this.#countMissing(progress, baseOffset);
        return this.#accept(progress, batch, progress.received, progress.received, bytes.length, source);
    }
  }

  /** A datagram came; its bytes are copied. */
  datagram(frame: DatagramFrame, source: IntakeSource): void {
    const { counters } = this.#host;
    const bytes = Buffer.from(frame.batch);
    let batch: RecordBatch;
    try {
      batch = new RecordBatch(bytes, source);
    } catch {
      counters.badDatagrams += 1;
      return;
    }
    const { baseOffset, recordCount } = batch.header;
    const progress = this.findOrAdd(frame.topic, frame.partition, baseOffset);
    this.#count(bytes);
    if (batch.nextOffset <= progress.received) counters.lateDatagrams += 1;
    else if (this.#buffer.full) counters.droppedRecords += recordCount;
    else {
      this.#countMissing(progress, baseOffset);
      this.#accept(progress, batch, progress.received, progress.received, bytes.length, source);
    }
  }

  /** The broker says that offsets are gone. */
  gap(reader: DeliveryReader, gap: GapFrame): void {
    const progress = this.findOrAdd(reader.topic, reader.partition, reader.firstOffset);
    if (this.#plan.delivery === 'datagram') this.#countMissing(progress, gap.to);
    if (progress.hasReceived(gap.from, gap.to)) return;
    const from = this.#plan.delivery === 'unordered' ? gap.from : Math.max(gap.from, progress.received);
    this.#takeGap(progress, from, gap.to, GAP_REASONS[gap.reason]);
  }

  /** @returns false when all of it had come before */
  #accept(
    progress: PartitionProgress,
    batch: RecordBatch,
    settledFrom: number,
    fromOffset: number,
    bytes: number,
    source: IntakeSource,
  ): boolean {
    const to = batch.nextOffset;
    if (progress.hasReceived(settledFrom, to)) {
      this.#host.counters.duplicateBatches += 1;
      return false;
    }
    const seen = progress.receivedWithin(settledFrom, to);
    const below = Math.max(fromOffset, progress.received);
    progress.receive(settledFrom, to);
    this.#push(progress, batch, settledFrom, to, bytes, seen, below, source);
    return true;
  }

  #push(
    progress: PartitionProgress,
    batch: RecordBatch,
    from: number,
    to: number,
    bytes: number,
    seen: OffsetRanges | undefined,
    fromOffset: number,
    { subscriptionId }: IntakeSource,
  ): void {
    const { topic, partition } = progress;
    const received = new ReceivedBatch(topic, partition, batch, fromOffset, bytes, seen, progress);
    this.#buffer.push({ kind: 'batch', progress, batch: received, from, to, subscriptionId });
  }

  #takeGap(progress: PartitionProgress, from: number, to: number, reason: GapEvent['reason']): void {
    progress.receive(from, to);
    this.#host.counters.gapRecords += to - from;
    const gap: GapEvent = { topic: progress.topic, partition: progress.partition, from, to, reason };
    this.#buffer.push({
      kind: 'gap',
      progress,
      gap,
      fatal: this.#plan.onGap === 'end' && reason !== 'not-sent',
    });
  }

  #count(bytes: Buffer): void {
    this.#host.counters.receivedBatches += 1;
    this.#host.counters.receivedBytes += bytes.length;
  }

  #countMissing(progress: PartitionProgress, upTo: number): void {
    if (upTo > progress.received) this.#host.counters.missingRecords += upTo - progress.received;
  }
}

/** A topic's name has no slash. */
function keyOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

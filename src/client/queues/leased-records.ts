import type { LeasedBatch } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { RecordCursor } from '../../wire/record-cursor.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import { ReceivedRecord } from '../record.ts';
import type { Lease } from './lease.ts';

interface Range {
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
  readonly attempt: number;
}

/** Offsets that are leased together, without their records. */
export interface OffsetSpan {
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * The leased records of one batch, which wait to be handed out. The batch is inflated and parsed when the first one is asked for; its
 * other records are walked over.
 */
export class LeasedRecords {
  readonly lease: Lease;
  readonly sizeBytes: number;
  readonly #topic: string;
  readonly #bytes: Buffer;
  readonly #inflatedMaxBytes: number;
  readonly #ranges: readonly Range[];
  #cursor: RecordCursor | undefined;
  #range = 0;
  /** All leased offsets below it were handed out, or have no record. */
  #next: number;
  #left: number;
  /** Attempt of the record that {@link next} gave last. */
  attempt = 0;

  /**
   * @param beganMs monotonic time at which the leases began, at the earliest
   * @param before of the batch before this one in the answer: where they were leased together it is one lease
   * @throws OFFSET_OUT_OF_RANGE
   */
  constructor(
    topic: string,
    leased: Pick<LeasedBatch, 'partition' | 'grant' | 'leaseMs' | 'batch' | 'leases'>,
    beganMs: number,
    inflatedMaxBytes: number,
    before?: Lease,
  ) {
    const { partition, grant, leaseMs, batch } = leased;
    this.#topic = topic;
    this.lease =
      before?.partition === partition && before.grant === grant
        ? before
        : { partition, grant, leaseMs, deadlineMs: beganMs + leaseMs, gathering: undefined };
    this.#bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
    this.sizeBytes = batch.byteLength;
    this.#inflatedMaxBytes = inflatedMaxBytes;
    this.#ranges = leased.leases.map(({ first, end, attempt }) => ({
      first: offsetFromWire(first),
      end: offsetFromWire(end),
      attempt,
    }));
    this.#next = this.#ranges[0]?.first ?? 0;
    this.#left = this.#ranges.reduce((sum, { first, end }) => sum + end - first, 0);
  }

  /** Leased offsets that were not handed out. */
  get left(): number {
    return this.#left;
  }

  /**
   * The next record.
   *
   * @param hole told of leased offsets that have no record
   * @throws CORRUPT_BATCH, BATCH_TOO_LARGE, UNKNOWN_CODEC
   */
  next(hole: (span: OffsetSpan) => void): ReceivedRecord | undefined {
    if (this.#left === 0) return undefined;
    this.#cursor ??= new RecordBatch(this.#bytes, { inflatedMaxBytes: this.#inflatedMaxBytes }).cursor();
    const cursor = this.#cursor;
    while (this.#left > 0 && cursor.next()) {
      const { offset } = cursor;
      if (offset < this.#next) continue;
      if (offset > this.#next) this.#skipTo(offset, hole);
      const range = this.#ranges[this.#range];
      if (range === undefined || offset < range.first) continue;
      this.attempt = range.attempt;
      this.#take(offset + 1);
      return new ReceivedRecord(this.#topic, this.lease.partition, cursor.record());
    }
    this.#skipTo(Infinity, hole);
    return undefined;
  }

  /** Leased offsets that were not handed out; after that there are none. */
  takeRest(): readonly OffsetSpan[] {
    const rest: OffsetSpan[] = [];
    this.#skipTo(Infinity, (span) => rest.push(span));
    return rest;
  }

  /** Leased offsets below `offset` that were not handed out have no record. */
  #skipTo(offset: number, hole: (span: OffsetSpan) => void): void {
    for (let range = this.#ranges[this.#range]; range !== undefined; range = this.#ranges[this.#range]) {
      const first = Math.max(this.#next, range.first);
      const end = Math.min(offset, range.end);
      if (end > first) {
        hole({ first, end });
        this.#left -= end - first;
        this.#next = end;
      }
      if (offset < range.end) return;
      this.#moveOn();
    }
  }

  /** The record before `next` was handed out. */
  #take(next: number): void {
    this.#left -= 1;
    this.#next = next;
    if (next === this.#ranges[this.#range]!.end) this.#moveOn();
  }

  #moveOn(): void {
    this.#range += 1;
    this.#next = this.#ranges[this.#range]?.first ?? this.#next;
  }
}

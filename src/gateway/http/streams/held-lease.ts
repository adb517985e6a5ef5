import type { LeasedBatch } from '../../../gen/sluice/client/v1/groups_pb.ts';
import { encodeLeaseToken } from '../../../wire/lease-token.ts';
import type { WireRecord } from '../../../wire/record-cursor.ts';
import { rejectUnreadable } from '../../unreadable-records.ts';
import type { InflateBounds } from './held-records.ts';
import { HeldRecords } from './held-records.ts';

/** A record of a queue for its client. */
export interface LeasedRecord {
  /** Stays good until the next is asked for. */
  readonly record: WireRecord;
  readonly token: string;
  /** 1 for the first delivery. */
  readonly attempt: number;
}

/** Records leased in one grant that are on their way to the client. */
export class HeldLease {
  readonly batch: LeasedBatch;
  /** When its leases end, of the monotonic clock. */
  readonly endsMs: number;
  readonly #records: HeldRecords;
  readonly #ranges: readonly { readonly first: number; readonly end: number; readonly attempt: number }[];
  /** Offsets below it were taken out. */
  #next = 0;

  /** @param nowMs of the monotonic clock: its leases begin */
  constructor(leased: LeasedBatch, bounds: InflateBounds, nowMs: number) {
    const { batch, leases, leaseMs } = leased;
    this.batch = leased;
    this.endsMs = nowMs + leaseMs;
    this.#ranges = leases.map(({ first, end, attempt }) => ({
      ...{ first: Number(first), end: Number(end), attempt },
    }));
    const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
    this.#records = new HeldRecords([bytes], this.#ranges[0]?.first ?? 0, bounds);
  }

  /** The next leased record. @throws CORRUPT_BATCH, BATCH_TOO_LARGE, UNKNOWN_CODEC: see {@link rejections} */
  next(): LeasedRecord | undefined {
    const { partition, grant } = this.batch;
    for (let record = this.#records.next(); record; record = this.#records.next()) {
      const { offset } = record;
      this.#next = offset + 1;
      const lease = this.#ranges.find(({ first, end }) => offset >= first && offset < end);
      if (!lease) continue;
      const token = encodeLeaseToken({ partition, grant: Number(grant), offset });
      return { record, token, attempt: lease.attempt };
    }
    return undefined;
  }

  /** Settlements of those that were not taken out, because they cannot be read. */
  rejections(error: unknown): ReturnType<typeof rejectUnreadable> {
    return rejectUnreadable(this.batch, this.#next, error);
  }

  /** Nothing is wanted for a while. */
  rest(): void {
    this.#records.rest();
  }

  /** Gives back what it holds inflated. */
  release(): void {
    this.#records.release();
  }
}

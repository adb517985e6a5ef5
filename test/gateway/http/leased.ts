import { create } from '@bufbuild/protobuf';
import type { BrowsedBatch, LeasedBatch } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { BrowsedBatchSchema, LeasedBatchSchema } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import { stampBatch } from '../../../src/wire/record-batch.ts';

/** A stored batch of records with these values, from an offset on. */
export function storedBatch(baseOffset: number, values: readonly string[]): Buffer {
  const encoder = new RecordBatchEncoder();
  for (const value of values) encoder.append(Buffer.from('k'), Buffer.from(value), [], 1_700_000_000_000);
  const batch = encoder.finish({ codec: 'none' });
  stampBatch(batch, baseOffset, 0);
  return batch;
}

/** That batch, some records of which are leased. @param ranges first, end and attempt */
export function leasedBatch(
  batch: Buffer,
  grant: number,
  ranges: readonly [number, number, number][],
): LeasedBatch {
  const leases = ranges.map(([first, end, attempt]) => ({ first: BigInt(first), end: BigInt(end), attempt }));
  return create(LeasedBatchSchema, { partition: 3, batch, grant: BigInt(grant), leases, leaseMs: 30_000 });
}

/** The same as somebody sees it who only looks. */
export function browsedBatch(batch: Buffer, ranges: readonly [number, number, number][]): BrowsedBatch {
  const records = ranges.map(([first, end, attempt]) => ({
    first: BigInt(first),
    end: BigInt(end),
    attempt,
  }));
  return create(BrowsedBatchSchema, { partition: 3, batch, records });
}

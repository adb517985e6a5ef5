import type { BrowsedBatch, LeasedBatch, LeasedRange } from '../../gen/sluice/client/v1/groups_pb.ts';
import { encodeLeaseToken } from '../../wire/lease-token.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { RecordEncoding } from './record-json.ts';
import { recordJson } from './record-json.ts';

/** How records of a queue become JSON. */
export interface LeasedForm {
  readonly topic: string;
  readonly encoding: RecordEncoding;
  /** What a batch may inflate to, bytes. */
  readonly inflatedMaxBytes: number;
}

/** The JSON texts of the records that a batch of a queue holds for a consumer, each with the token of its lease. @throws CORRUPT_BATCH, BATCH_TOO_LARGE */
export function leasedRecords({ batch, partition, grant, leases }: LeasedBatch, form: LeasedForm): string[] {
  return recordsOf(batch, partition, leases, form, Number(grant));
}

/** The JSON texts of records that were looked at, and their attempts so far. @throws as {@link leasedRecords} */
export function browsedRecords({ batch, partition, records }: BrowsedBatch, form: LeasedForm): string[] {
  return recordsOf(batch, partition, records, form, undefined);
}

function recordsOf(
  batch: Uint8Array,
  partition: number,
  ranges: readonly LeasedRange[],
  { topic, encoding, inflatedMaxBytes }: LeasedForm,
  grant: number | undefined,
): string[] {
  const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
  const cursor = new RecordBatch(bytes, { inflatedMaxBytes, verifyCrc: false }).cursor();
  const texts: string[] = [];
  while (cursor.next()) {
    const { offset } = cursor;
    const range = ranges.find(({ first, end }) => offset >= Number(first) && offset < Number(end));
    if (!range) continue;
    const token = grant === undefined ? undefined : encodeLeaseToken({ partition, grant, offset });
    texts.push(recordJson(cursor, { topic, partition }, encoding, { token, attempt: range.attempt }));
  }
  return texts;
}

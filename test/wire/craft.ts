import type { ErrorCode } from '../../src/kernel/errors.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { NewBatchHeader } from '../../src/wire/record-batch.ts';
import { BATCH_HEADER_BYTES, writeBatchHeader } from '../../src/wire/record-batch.ts';
import type { WireRecord } from '../../src/wire/record-batch-decoder.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import type { HeaderInput } from '../../src/wire/record-batch-encoder.ts';
import { BASE_TIME_MS } from './golden-batches.ts';

/** Code of the SluiceError that `work` throws; `none` when it throws nothing. Anything else that is thrown goes on. */
export function codeOf(work: () => unknown): ErrorCode | 'none' {
  try {
    work();
    return 'none';
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
}

/** A batch with a right length and CRC around whatever `records` are. */
export function craftBatch(records: Uint8Array, fields: Partial<NewBatchHeader> = {}): Buffer {
  const batch = Buffer.alloc(BATCH_HEADER_BYTES + records.length);
  batch.set(records, BATCH_HEADER_BYTES);
  const recordCount = fields.recordCount ?? 1;
  writeBatchHeader(batch, {
    baseOffset: 0,
    leaderEpoch: -1,
    codec: 'none',
    appendTime: false,
    lastOffsetDelta: Math.max(recordCount - 1, 0),
    baseTimestampMs: BASE_TIME_MS,
    maxTimestampMs: BASE_TIME_MS,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    recordCount,
    ...fields,
  });
  return batch;
}

/** A record as plain data. */
export interface PlainRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

const hex = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString('hex');

/** `record` as plain data, bytes in hex, to compare with. */
export function plain(
  record: Omit<WireRecord, 'headers'> & { readonly headers: readonly HeaderInput[] },
): PlainRecord {
  return {
    offset: record.offset,
    timestampMs: record.timestampMs,
    key: hex(record.key),
    value: hex(record.value),
    headers: record.headers.map((header) => [header.key, hex(header.value)] as const),
  };
}

/** All records of a batch as plain data. */
export function recordsOf(batch: Buffer): PlainRecord[] {
  return Array.from(new RecordBatch(batch).records(), plain);
}

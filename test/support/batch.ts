import type { Codec } from '../../src/wire/codecs.ts';
import { stampBatch } from '../../src/wire/record-batch.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';

/** One record of {@link batchOf}. */
export interface TestRecord {
  readonly key?: string | null;
  readonly value?: string | null;
  readonly timestampMs?: number;
}

/** Header fields of {@link batchOf}. */
export interface TestBatchOptions {
  readonly codec?: Codec;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
}

/** A batch as a client sends it. @param records a number: that many records without key */
export function batchOf(records: readonly TestRecord[] | number, options: TestBatchOptions = {}): Buffer {
  const encoder = new RecordBatchEncoder();
  const list =
    typeof records === 'number' ? Array.from({ length: records }, (): TestRecord => ({})) : records;
  list.forEach(({ key = null, value = 'v', timestampMs = 1000 }) =>
    encoder.append(toBytes(key), toBytes(value), [], timestampMs),
  );
  const { codec = 'none', ...producer } = options;
  return encoder.finish({ codec, ...producer });
}

/** A batch as it is in a log. */
export function stampedBatch(
  baseOffset: number,
  records: readonly TestRecord[] | number,
  leaderEpoch = 1,
): Buffer {
  const batch = batchOf(records);
  stampBatch(batch, baseOffset, leaderEpoch);
  return batch;
}

/** Every record of some batches as `offset key=value`. */
export function textOf(batches: readonly Buffer[]): string[] {
  return batches.flatMap((batch) =>
    [...new RecordBatch(batch).records()].map(
      ({ offset, key, value }) => `${offset} ${String(key)}=${String(value)}`,
    ),
  );
}

function toBytes(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text);
}

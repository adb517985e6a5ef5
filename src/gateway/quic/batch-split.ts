import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { RecordBatchEncoder } from '../../wire/record-batch-encoder.ts';
import { recordBytesAtMost } from '../../wire/record-batch-encoder.ts';
import { stampBatch } from '../../wire/record-batch.ts';

/**
 * The records of a batch in batches of at most `maxBytes`, uncompressed, with the same offsets and times.
 *
 * A record that alone is larger makes a batch of its own. A hole between offsets begins a new batch.
 *
 * @param bounds bytes per batch, and what the records of `batch` may inflate to
 * @param encoder empty; nobody else's until the iteration is over
 * @throws CORRUPT_BATCH, UNKNOWN_CODEC, BATCH_TOO_LARGE
 */
export function* splitBatch(
  batch: Buffer,
  bounds: { readonly maxBytes: number; readonly maxInflatedBytes: number },
  encoder: RecordBatchEncoder,
): Generator<Buffer> {
  const source = new RecordBatch(batch, { inflatedMaxBytes: bounds.maxInflatedBytes, verifyCrc: false });
  const { leaderEpoch } = source.header;
  let firstOffset = 0;
  const finish = (): Buffer => {
    const piece = encoder.finish({ codec: 'none' });
    stampBatch(piece, firstOffset, leaderEpoch);
    return piece;
  };
  try {
    const cursor = source.cursor();
    while (cursor.next()) {
      const { offset, key, value, headers, timestampMs } = cursor;
      const full = encoder.sizeBytes + recordBytesAtMost(key, value, headers) > bounds.maxBytes;
      if (encoder.count > 0 && (full || offset !== firstOffset + encoder.count)) yield finish();
      if (encoder.count === 0) firstOffset = offset;
      encoder.append(key, value, headers, timestampMs);
    }
    if (encoder.count > 0) yield finish();
  } finally {
    encoder.clear();
  }
}

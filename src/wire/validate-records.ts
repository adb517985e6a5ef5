import { SluiceError } from '../kernel/errors.ts';
import { INFLATED_MAX_BYTES } from './codecs.ts';
import { corrupt } from './record-batch.ts';
import { RecordBatch } from './record-batch-decoder.ts';

/** Bounds of {@link validateRecords}, bytes. */
export interface RecordLimits {
  readonly keyMaxBytes: number;
  /** Default 16 MiB. */
  readonly inflatedMaxBytes?: number;
}

/**
 * Reads every record of a client's batch: the check for gateways that cannot leave it to the readers. Costs as much as decoding.
 *
 * @param bytes a batch that `verifyBatch` accepted
 * @throws CORRUPT_BATCH when a record makes no sense or offset deltas are not 0, 1, 2, …;
 *   KEY_TOO_LARGE; BATCH_TOO_LARGE when it inflates to too much; UNKNOWN_CODEC
 */
export function validateRecords(bytes: Buffer, limits: RecordLimits): void {
  const batch = new RecordBatch(bytes, {
    verifyCrc: false,
    inflatedMaxBytes: limits.inflatedMaxBytes ?? INFLATED_MAX_BYTES,
  });
  const cursor = batch.cursor();
  let expected = 0;
  while (cursor.next()) {
    if (cursor.offsetDelta !== expected)
      throw corrupt(`offset delta ${cursor.offsetDelta} and not ${expected}`);
    expected++;
    if (cursor.keyBytes > limits.keyMaxBytes) {
      throw new SluiceError(
        'KEY_TOO_LARGE',
        `a key of ${cursor.keyBytes} bytes; at most ${limits.keyMaxBytes}`,
      );
    }
  }
}

import type { Codec } from '../../wire/codecs.ts';
import { BATCH_HEADER_BYTES, BATCH_MAX_RECORDS } from '../../wire/record-batch.ts';
import type { HeaderInput } from '../../wire/record-batch-encoder.ts';
import { RecordBatchEncoder, recordBytesAtMost } from '../../wire/record-batch-encoder.ts';
import type { BatchNumber } from './batch-numbers.ts';
import type { Delivery } from './outgoing-batch.ts';
import { OutgoingBatch } from './outgoing-batch.ts';

/** The batch of a partition queue that still takes records, one after the other. */
export class OpenBatch {
  /** When nobody waits for its first record any more, monotonic milliseconds; set by who appends that. */
  deadlineMs = 0;
  readonly #encoder = new RecordBatchEncoder();
  #deliveries: Delivery[] = [];
  #number = 0;

  /** Counts the batches of its queue. */
  get number(): number {
    return this.#number;
  }

  /** Records so far. */
  get count(): number {
    return this.#encoder.count;
  }

  /** Size so far before compression, header included. */
  get sizeBytes(): number {
    return this.#encoder.sizeBytes;
  }

  /** Whether a record fits, so that the batch gets no larger than `maxBytes`; one always does. */
  fits(
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly HeaderInput[],
    maxBytes: number,
  ): boolean {
    const { count, sizeBytes } = this.#encoder;
    if (count === 0) return true;
    return count < BATCH_MAX_RECORDS && sizeBytes + recordBytesAtMost(key, value, headers) <= maxBytes;
  }

  /**
   * Takes a record; its bytes are copied.
   * @param delivery who waits for it; undefined: nobody
   * @returns how many bytes the batch has grown by
   * @throws INVALID_ARGUMENT when its time is no whole number
   */
  append(
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly HeaderInput[],
    timestampMs: number,
    delivery: Delivery | undefined,
  ): number {
    const encoder = this.#encoder;
    const before = encoder.sizeBytes;
    encoder.append(key, value, headers, timestampMs);
    if (delivery !== undefined) {
      delivery.index = encoder.count - 1;
      this.#deliveries.push(delivery);
    }
    return encoder.sizeBytes - before;
  }

  /** Makes what there is ready to be sent, and begins the next one. @param place undefined: it gets one later */
  seal(codec: Codec, place: BatchNumber | undefined): OutgoingBatch {
    const encoder = this.#encoder;
    const { count } = encoder;
    const roomBytes = encoder.sizeBytes - BATCH_HEADER_BYTES;
    const stamp = place && { ...place.identity, baseSequence: place.sequence };
    const bytes = encoder.finish({ codec, ...stamp });
    const batch = new OutgoingBatch(
      this.#number++,
      bytes,
      count,
      roomBytes,
      this.deadlineMs,
      this.#deliveries,
    );
    if (place !== undefined) {
      batch.identity = place.identity;
      batch.sequence = place.sequence;
    }
    this.#deliveries = [];
    return batch;
  }
}

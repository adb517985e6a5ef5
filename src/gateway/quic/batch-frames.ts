import type { SendStream } from '../../transport/transport.ts';
import { encodeFrameHeader, FRAME } from '../../wire/frame.ts';

/** Batches below this size are copied next to their header: one small write instead of two. */
const COPY_BELOW_BYTES = 2048;

/**
 * Writes batches as BATCH frames. Large batches go by reference: they stay shared with the log and with every other
 * subscriber.
 *
 * @returns bytes of the batches
 */
export function writeBatches(send: SendStream, batches: readonly Buffer[]): number {
  let total = 0;
  for (const batch of batches) {
    total += batch.length;
    writeBatch(send, batch);
  }
  return total;
}

function writeBatch(send: SendStream, batch: Buffer): void {
  if (batch.length >= COPY_BELOW_BYTES) {
    send.write(encodeFrameHeader(FRAME.BATCH, '', batch.length));
    send.write(batch);
    return;
  }
  const frame = encodeFrameHeader(FRAME.BATCH, '', batch.length, batch.length);
  frame.set(batch, frame.length - batch.length);
  send.write(frame);
}

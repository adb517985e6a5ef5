import type { SendStream } from '../../transport/transport.ts';
import { encodeFrameHeader, FRAME } from '../../wire/frame.ts';

/** Batches below this size are copied next to their header: one small write instead of two. */
const COPY_BELOW_BYTES = 2048;

/**
 * Writes a batch as a BATCH frame. A large batch goes by reference: it stays shared with the log and with every other
 * subscriber.
 */
export function writeBatch(send: SendStream, batch: Buffer): void {
  if (batch.length >= COPY_BELOW_BYTES) {
    send.write(encodeFrameHeader(FRAME.BATCH, '', batch.length));
    send.write(batch);
    return;
  }
  const frame = encodeFrameHeader(FRAME.BATCH, '', batch.length, batch.length);
  frame.set(batch, frame.length - batch.length);
  send.write(frame);
}

/**
 * Batches of a message that may stay for long in a log.
 *
 * They are views of the message, which stays in memory as a whole as long as one of them does. Where they are less than half of
 * it they get memory of their own, one piece for all: so a log never holds more than twice the bytes it counts.
 *
 * @param batches of one log, or a single one
 * @param messageBytes size of the message that they are views of
 */
export function ownMemory(batches: readonly Buffer[], messageBytes: number): readonly Buffer[] {
  let bytes = 0;
  for (const batch of batches) bytes += batch.length;
  if (bytes === 0 || bytes * 2 >= messageBytes) return batches;
  const own = Buffer.allocUnsafeSlow(bytes);
  let end = 0;
  return batches.map((batch) => {
    const start = end;
    end += batch.copy(own, start);
    return own.subarray(start, end);
  });
}

/** Bytes fields of a message that was read from a Buffer are views of that Buffer, and Buffers themselves. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

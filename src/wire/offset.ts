import { SluiceError } from '../kernel/errors.ts';

const TWO_32 = 0x1_0000_0000;

/** A u64 offset of a control message as the number used everywhere inside. @throws OFFSET_OUT_OF_RANGE above 2^53 − 1 */
export function offsetFromWire(offset: bigint): number {
  if (offset < 0n || offset > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new SluiceError('OFFSET_OUT_OF_RANGE', `offset ${offset.toString()} is not between 0 and 2^53 − 1`);
  }
  return Number(offset);
}

/** An offset as the u64 of a control message. */
export function offsetToWire(offset: number): bigint {
  return BigInt(offset);
}

/** A u64 that is no offset: a size, a time, a count. @param field its name in the message. @throws INVALID_ARGUMENT above 2^53 − 1 */
export function numberFromWire(field: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new SluiceError('INVALID_ARGUMENT', `${field} is above 2^53 − 1`);
  }
  return Number(value);
}

/** A count, size or time as a u64; fractions are cut. */
export function numberToWire(value: number): bigint {
  return BigInt(Math.max(0, Math.trunc(value)));
}

/** Writes a whole number in [−2^53 + 1, 2^53 − 1] as 64 bits at `at`. */
export function writeSafe64(bytes: Buffer, value: number, at: number): void {
  bytes.writeInt32BE(Math.floor(value / TWO_32) | 0, at);
  bytes.writeUInt32BE(value >>> 0, at + 4);
}

/** Reads an i64 at `at`; undefined when it is outside [−2^53 + 1, 2^53 − 1]. */
export function readSafe64(bytes: Buffer, at: number): number | undefined {
  const value = bytes.readInt32BE(at) * TWO_32 + bytes.readUInt32BE(at + 4);
  return Number.isSafeInteger(value) ? value : undefined;
}

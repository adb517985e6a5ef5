/**
 * Zigzag varints, as in Kafka's records and protobuf's sint: seven bits a byte, lowest first, the sign in the lowest bit.
 *
 * Numbers up to 2^53 − 1 are exact: the magnitude is put together as a sum of disjoint powers of two, never shifted.
 */

/** Longest varint of 32 bits, bytes. */
export const VARINT_MAX_BYTES = 5;
/** Longest varint of 64 bits, bytes. */
export const VARLONG_MAX_BYTES = 10;

/** Bytes that `value` takes; a safe integer. */
export function varintBytes(value: number): number {
  let magnitude = value < 0 ? -value - 1 : value;
  if (magnitude < 64) return 1;
  if (magnitude < 8192) return 2;
  let bytes = 3;
  magnitude = Math.floor(magnitude / 0x10_0000);
  while (magnitude > 0) {
    bytes++;
    magnitude = Math.floor(magnitude / 128);
  }
  return bytes;
}

/**
 * Writes `value`, a safe integer; `bytes` has room.
 *
 * @returns where the varint ends
 */
export function writeVarint(bytes: Uint8Array, value: number, at: number): number {
  const sign = value < 0 ? 1 : 0;
  const magnitude = sign === 1 ? -value - 1 : value;
  if (magnitude < 64) {
    bytes[at] = magnitude * 2 + sign;
    return at + 1;
  }
  let end = at;
  bytes[end++] = (magnitude % 64) * 2 + sign + 0x80;
  let rest = Math.floor(magnitude / 64);
  while (rest >= 128) {
    bytes[end++] = (rest % 128) + 0x80;
    rest = Math.floor(rest / 128);
  }
  bytes[end++] = rest;
  return end;
}

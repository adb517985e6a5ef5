/**
 * Which partition a key belongs to: Kafka's default partitioner, so that a key lands on the same partition number as there.
 *
 * @see Kafka's Utils.murmur2 and BuiltInPartitioner
 */
const SEED = 0x9747b28c;
const MIX = 0x5bd1e995;

/** The 32-bit MurmurHash2 that Kafka uses, as a signed number. */
export function murmur2(key: Uint8Array): number {
  const length = key.length;
  const whole = length & ~3;
  let hash = SEED ^ length;
  for (let at = 0; at < whole; at += 4) {
    let word = key[at]! | (key[at + 1]! << 8) | (key[at + 2]! << 16) | (key[at + 3]! << 24);
    word = Math.imul(word, MIX);
    word ^= word >>> 24;
    hash = Math.imul(hash, MIX) ^ Math.imul(word, MIX);
  }
  const rest = length - whole;
  if (rest > 2) hash ^= key[whole + 2]! << 16;
  if (rest > 1) hash ^= key[whole + 1]! << 8;
  if (rest > 0) hash = Math.imul(hash ^ key[whole]!, MIX);
  hash = Math.imul(hash ^ (hash >>> 13), MIX);
  return hash ^ (hash >>> 15);
}

/** Partition of a key, in [0, `partitions`). */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitions;
}

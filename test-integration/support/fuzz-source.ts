import { randomInt } from 'node:crypto';

/** The seed of this run: SEED of the environment, else a new one. */
export function fuzzSeed(): number {
  const given = process.env['SEED'];
  return given === undefined ? randomInt(2 ** 31) : Number(given);
}

/** Reproducible randomness for fuzzers (mulberry32). */
export class FuzzSource {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 up to `limit`, exclusive. */
  below(limit: number): number {
    return Math.floor((this.#word() / 2 ** 32) * limit);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc((length + 3) & ~3);
    for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(this.#word(), at);
    return bytes.subarray(0, length);
  }

  /** Cut, flipped, glued or doubled: bytes that were valid once. */
  mutate(valid: Buffer): Buffer {
    const bytes = Buffer.from(valid);
    switch (this.below(5)) {
      case 0:
        return bytes.subarray(0, this.below(bytes.length + 1));
      case 1:
        return Buffer.concat([bytes, this.bytes(this.below(64))]);
      case 2:
        return Buffer.concat([bytes.subarray(0, this.below(bytes.length + 1)), bytes]);
      default:
        for (let flips = 1 + this.below(8); flips > 0 && bytes.length > 0; flips -= 1) {
          // Headers are where parsers err.
          const at = this.below(this.once(2) ? Math.min(bytes.length, 48) : bytes.length);
          bytes[at] = bytes[at]! ^ (1 << this.below(8));
        }
        return bytes;
    }
  }

  #word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}

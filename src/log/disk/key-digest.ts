import type { Random } from '../../kernel/random.ts';

/**
 * Digests of 128 bits of record keys: two HalfSipHash-2-4 of 64 bits, each with a secret of its own.
 *
 * The secrets are made anew for each use, so nobody who chooses keys can make two of them meet. Plain arithmetic on 32-bit numbers,
 * because node:crypto takes about a microsecond and an allocation a key.
 *
 * @see SipHash: a fast short-input PRF (Aumasson, Bernstein 2012); halfsiphash.c of its reference code
 */
export class KeyDigest {
  /** The digest of the last key, four signed numbers of 32 bits. */
  readonly words = new Int32Array(4);
  readonly #secret: Int32Array;
  readonly #v = new Int32Array(4);

  constructor(random: Random) {
    const bytes = random.bytes(16);
    this.#secret = Int32Array.from([0, 4, 8, 12], (at) => bytes.readInt32LE(at));
  }

  /** Digests `length` bytes at `at` into {@link words}. */
  take(bytes: Buffer, at: number, length: number): void {
    this.#hash(0, bytes, at, length);
    this.#hash(2, bytes, at, length);
  }

  /** @param half first of the two words of secret and digest */
  #hash(half: number, bytes: Buffer, at: number, length: number): void {
    const v = this.#v;
    const k0 = this.#secret[half]!;
    const k1 = this.#secret[half + 1]!;
    v[0] = k0;
    v[1] = k1 ^ 0xee;
    v[2] = 0x6c79_6765 ^ k0;
    v[3] = 0x7465_6462 ^ k1;
    const wordsEnd = at + length - (length & 3);
    for (let next = at; next < wordsEnd; next += 4) {
      absorb(v, bytes[next]! | (bytes[next + 1]! << 8) | (bytes[next + 2]! << 16) | (bytes[next + 3]! << 24));
    }
    absorb(v, lastWord(bytes, wordsEnd, length));
    v[2] ^= 0xee;
    rounds(v, 4);
    this.words[half] = v[1] ^ v[3];
    v[1] ^= 0xdd;
    rounds(v, 4);
    this.words[half + 1] = v[1] ^ v[3];
  }
}

function absorb(v: Int32Array, word: number): void {
  v[3]! ^= word;
  rounds(v, 2);
  v[0]! ^= word;
}

/** What is left behind the whole words, and the key's length in the highest byte. */
function lastWord(bytes: Buffer, from: number, length: number): number {
  let word = length << 24;
  for (let rest = 0; rest < (length & 3); rest++) word |= bytes[from + rest]! << (8 * rest);
  return word;
}

function rounds(v: Int32Array, count: number): void {
  let v0 = v[0]!;
  let v1 = v[1]!;
  let v2 = v[2]!;
  let v3 = v[3]!;
  for (let round = 0; round < count; round++) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
  }
  v[0] = v0;
  v[1] = v1;
  v[2] = v2;
  v[3] = v3;
}

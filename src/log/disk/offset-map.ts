import type { Random } from '../../kernel/random.ts';
import { KeyDigest } from './key-digest.ts';

/** Four words of digest and an offset. */
const SLOT_BYTES = 24;
/** Slots that may be taken: above it looking for a free one gets long. */
const MAX_LOAD = 0.75;
const MIN_SLOTS = 16;

/**
 * The offset of the latest record of each key, in memory that does not grow.
 *
 *     digest   four Int32 a slot    the key's, see KeyDigest
 *     offset   one Float64 a slot   plus 1; 0 is a free slot
 *
 * Keys themselves are not kept. Two keys with the same digest would be taken for one, and the older record of the two be lost. For a
 * billion keys the odds of any such pair are 1 to 10^21 (n² / 2^129) each time, and nobody can bring it about: the digest
 * has a secret that is new with every map.
 */
export class OffsetMap {
  /** Keys that it holds at most. */
  readonly capacity: number;
  readonly #digest: KeyDigest;
  readonly #mask: number;
  readonly #digests: Int32Array;
  readonly #offsets: Float64Array;
  #size = 0;

  /**
   * @param keys as many as it should hold
   * @param maxBytes of memory; it holds fewer keys rather than take more, but never fewer than 12
   */
  constructor(keys: number, maxBytes: number, random: Random) {
    let slots = MIN_SLOTS;
    while (slots * MAX_LOAD < keys && slots * 2 * SLOT_BYTES <= maxBytes) slots *= 2;
    this.capacity = Math.floor(slots * MAX_LOAD);
    this.#mask = slots - 1;
    this.#digests = new Int32Array(slots * 4);
    this.#offsets = new Float64Array(slots);
    this.#digest = new KeyDigest(random);
  }

  /** Keys that are in it. */
  get size(): number {
    return this.#size;
  }

  /** Bytes it takes in memory. */
  get memoryBytes(): number {
    return (this.#mask + 1) * SLOT_BYTES;
  }

  /**
   * Remembers an offset for the key, in place of the one before.
   * @param offset not below any that was put before
   * @returns false when the key is new and there is no room for it
   */
  put(bytes: Buffer, keyAt: number, keyBytes: number, offset: number): boolean {
    const slot = this.#find(bytes, keyAt, keyBytes);
    if (this.#offsets[slot] === 0) {
      if (this.#size === this.capacity) return false;
      this.#size++;
      const { words } = this.#digest;
      for (let n = 0; n < 4; n++) this.#digests[slot * 4 + n] = words[n]!;
    }
    this.#offsets[slot] = offset + 1;
    return true;
  }

  /** The offset put last for the key; −1 when there is none. */
  get(bytes: Buffer, keyAt: number, keyBytes: number): number {
    return this.#offsets[this.#find(bytes, keyAt, keyBytes)]! - 1;
  }

  /** The key's slot, or the free one where it belongs. */
  #find(bytes: Buffer, keyAt: number, keyBytes: number): number {
    this.#digest.take(bytes, keyAt, keyBytes);
    const { words } = this.#digest;
    const a = words[0]!;
    const b = words[1];
    const c = words[2];
    const d = words[3];
    const digests = this.#digests;
    for (let slot = a & this.#mask; ; slot = (slot + 1) & this.#mask) {
      if (this.#offsets[slot] === 0) return slot;
      const at = slot * 4;
      if (digests[at] === a && digests[at + 1] === b && digests[at + 2] === c && digests[at + 3] === d)
        return slot;
    }
  }
}

import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';

/** How many records a key has had, and the SHA-256 over all their values in order. */
export interface KeyDigest {
  readonly key: string;
  readonly records: number;
  readonly sha256: string;
}

/** Checksums that are equal on two sides exactly when both saw the same values, the same number of times, in the same order of each key. */
export class KeyDigests {
  readonly #keys = new Map<string, { records: number; hash: Hash }>();

  add(key: string, value: Uint8Array): void {
    let of = this.#keys.get(key);
    if (of === undefined) this.#keys.set(key, (of = { records: 0, hash: createHash('sha256') }));
    of.records += 1;
    of.hash.update(`${value.length}:`).update(value);
  }

  /** Ends the checksums: nothing can be added afterwards. */
  finish(): KeyDigest[] {
    return [...this.#keys].map(([key, { records, hash }]) => ({ key, records, sha256: hash.digest('hex') }));
  }
}

/** The keys whose checksums differ, or that only one side has. */
export function differingKeys(sent: readonly KeyDigest[], received: readonly KeyDigest[]): string[] {
  const wanted = new Map(sent.map((digest) => [digest.key, digest.sha256]));
  const differing = received.filter(({ key, sha256 }) => wanted.get(key) !== sha256).map(({ key }) => key);
  const seen = new Set(received.map(({ key }) => key));
  return [...differing, ...[...wanted.keys()].filter((key) => !seen.has(key))];
}

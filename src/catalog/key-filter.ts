import { SluiceError } from '../kernel/errors.ts';
import { KEY_MAX_BYTES, quoted } from './topic-name.ts';

const SLASH = 0x2f;
const PLUS = 0x2b;
/** A `#` that is not all of the last level, or a `+` that is not all of a level. */
const MISPLACED_WILDCARD = /#(?!$)|[^/]#$|[^/]\+|\+[^/]/s;

/**
 * A key filter with MQTT's wildcards, made ready to be asked for many keys.
 *
 * Levels are separated by `/` and may be empty; `+` stands for exactly one level, `#` at the end for the level it is at and all
 * below, the parent included: `a/#` matches `a`, `a/`, `a/b/c`. A record without a key is the parent of all keys, so only `#`
 * matches it. One pass over the key's bytes, nothing allocated.
 *
 * @see MQTT 5.0 section 4.7.1
 */
export class KeyFilter {
  /** The levels and the slashes between them; without the `#` that the filter ends with, and the slash before that. */
  readonly #levels: Buffer;
  /** Ends with `#`. */
  readonly #open: boolean;
  readonly #all: boolean;

  /** @throws INVALID_FILTER */
  constructor(filter: string) {
    if (Buffer.byteLength(filter) > KEY_MAX_BYTES) {
      throw new SluiceError('INVALID_FILTER', `a key filter has at most ${KEY_MAX_BYTES} bytes`);
    }
    if (MISPLACED_WILDCARD.test(filter)) {
      throw new SluiceError(
        'INVALID_FILTER',
        `${quoted(filter)}: + and # stand for whole levels between /, # only for the last`,
      );
    }
    this.#open = filter.endsWith('#');
    // One buffer and not one for each level: a filter of 64 KiB may have 32,000 of them.
    this.#levels = Buffer.from(this.#open ? filter.slice(0, -2) : filter);
    this.#all = filter === '#';
  }

  /** @param key null for a record without one */
  matches(key: Buffer | null): boolean {
    if (this.#all) return true;
    if (key === null) return false;
    const levels = this.#levels;
    let at = 0;
    let level = 0;
    for (;;) {
      const nextLevel = levelEnd(levels, level);
      const end = levels[level] === PLUS ? levelEnd(key, at) : literalEnd(key, at, levels, level, nextLevel);
      if (end < 0) return false;
      if (nextLevel === levels.length) return this.#open || end === key.length;
      if (end === key.length) return false;
      at = end + 1;
      level = nextLevel + 1;
    }
  }
}

/** Where the level that begins at `at` ends. */
function levelEnd(bytes: Buffer, at: number): number {
  let end = at;
  while (end < bytes.length && bytes[end] !== SLASH) end++;
  return end;
}

/** Where the key's level that begins at `at` ends, or −1 when it is not the filter's from `level` to `levelEnds`. */
function literalEnd(key: Buffer, at: number, levels: Buffer, level: number, levelEnds: number): number {
  const end = at + levelEnds - level;
  if (end > key.length || (end < key.length && key[end] !== SLASH)) return -1;
  for (let index = level; index < levelEnds; index++)
    if (key[at + index - level] !== levels[index]) return -1;
  return end;
}

import { SluiceError } from '../kernel/errors.ts';
import { KEY_MAX_BYTES, quoted } from './topic-name.ts';

const SLASH = 0x2f;

/** One level of a filter: its bytes, or any level (`+`). */
type Level = Buffer | undefined;

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
  readonly #levels: readonly Level[];
  /** Ends with `#`, which is not among the levels. */
  readonly #open: boolean;

  /** @throws INVALID_FILTER */
  constructor(filter: string) {
    if (Buffer.byteLength(filter) > KEY_MAX_BYTES) {
      throw new SluiceError('INVALID_FILTER', `a key filter has at most ${KEY_MAX_BYTES} bytes`);
    }
    const levels = filter.split('/');
    this.#open = levels.at(-1) === '#';
    if (this.#open) levels.pop();
    if (levels.some((level) => level.includes('#') || (level !== '+' && level.includes('+')))) {
      throw new SluiceError(
        'INVALID_FILTER',
        `${quoted(filter)}: + and # stand for whole levels between /, # only for the last`,
      );
    }
    this.#levels = levels.map((level) => (level === '+' ? undefined : Buffer.from(level)));
  }

  /** @param key null for a record without one */
  matches(key: Buffer | null): boolean {
    const levels = this.#levels;
    if (levels.length === 0) return true;
    if (key === null) return false;
    let at = 0;
    for (let index = 0; index < levels.length; index++) {
      // Behind the key's last level: `at` is then one past its end.
      if (at > key.length) return false;
      at = levelEnd(key, at, levels[index]) + 1;
      if (at === 0) return false;
    }
    return this.#open || at > key.length;
  }
}

/** Where the key's level that begins at `at` ends, or −1 when it does not match. */
function levelEnd(key: Buffer, at: number, level: Level): number {
  if (level === undefined) {
    let end = at;
    while (end < key.length && key[end] !== SLASH) end++;
    return end;
  }
  const end = at + level.length;
  if (end > key.length || (end < key.length && key[end] !== SLASH)) return -1;
  for (let index = 0; index < level.length; index++) if (key[at + index] !== level[index]) return -1;
  return end;
}

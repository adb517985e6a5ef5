/**
 * A pattern in which `*` stands for any run of characters, none included, and every other character for itself; made ready to be compared
 * with many texts.
 *
 *     orders.*-eu*.v1      begins: orders.     between: -eu     ends: .v1
 *
 * A comparison takes time proportional to the sum of both lengths, whatever the pattern: each piece between two `*` is looked for behind the
 * one before it, where it is found first, and nothing is tried twice. That is enough, since one found later leaves less for those that follow.
 * (V8 looks for up to 250 characters in linear time; names and filters have at most 249.)
 */
export class Glob {
  readonly #begins: string;
  readonly #between: readonly string[];
  /** Undefined: there is no `*`. */
  readonly #ends: string | undefined;
  /** Characters that every text has which matches. */
  readonly #least: number;

  constructor(pattern: string) {
    const pieces = pattern.split('*');
    this.#begins = pieces[0]!;
    this.#between = pieces.slice(1, -1).filter((piece) => piece !== '');
    this.#ends = pieces.length > 1 ? pieces.at(-1) : undefined;
    this.#least = pattern.length - (pieces.length - 1);
  }

  /** Whether all of `text` matches. */
  matches(text: string): boolean {
    const ends = this.#ends;
    if (ends === undefined) return text === this.#begins;
    if (text.length < this.#least || !text.startsWith(this.#begins) || !text.endsWith(ends)) return false;
    let at = this.#begins.length;
    for (const piece of this.#between) {
      const found = text.indexOf(piece, at);
      if (found < 0) return false;
      at = found + piece.length;
    }
    return at <= text.length - ends.length;
  }
}

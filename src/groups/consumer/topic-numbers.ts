import type { TopicFacts } from '../ports.ts';

/** Names that are gone are kept until there are so many, and half of all. */
const MANY_GONE = 1000;

/** Small numbers of topic names, so that a bit can say something of each. */
export class TopicNumbers {
  /** Another once numbers stand for other names. */
  edition = 0;
  /** Numbers that were given since the beginning. */
  given = 0;
  readonly #numbers = new Map<string, number>();

  of(name: string): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      this.#numbers.set(name, (number = this.#numbers.size));
      this.given += 1;
    }
    return number;
  }

  /** Each topic has a number then, and names that are gone have none when they are many. @param topics all there are */
  take(topics: readonly TopicFacts[]): void {
    if (this.#numbers.size > 2 * topics.length + MANY_GONE) {
      this.#numbers.clear();
      this.edition += 1;
    }
    for (const { name } of topics) this.of(name);
  }
}

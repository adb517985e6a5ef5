import type { TopicFilter } from '../catalog/topic-filter.ts';
import { takesTopic } from '../catalog/topic-filter.ts';
import type { Turns } from '../kernel/turns.ts';
import { COMPARED_PER_TURN } from '../kernel/turns.ts';

/** Topics, none of them internal, as one principal sees them while one request of its is looked at. */
export class ComparedTopics {
  readonly readable: readonly string[];
  readonly others: readonly string[];
  readonly #turns: Turns;
  #cost = 0;

  constructor(readable: readonly string[], others: readonly string[], turns: Turns) {
    this.readable = readable;
    this.others = others;
    this.#turns = turns;
  }

  /**
   * Which topics a wildcard takes. What is too much for one turn of the event loop is done in several.
   * @param names `readable` or `others`
   * @param most how many are enough
   */
  async taken(filter: TopicFilter, names: readonly string[], most = Infinity): Promise<string[]> {
    const taken: string[] = [];
    for (const name of names) {
      if (taken.length >= most) break;
      if (this.#cost >= COMPARED_PER_TURN) {
        await this.#turns.next();
        this.#cost = 0;
      }
      this.#cost += filter.text.length + name.length;
      if (takesTopic(filter, name)) taken.push(name);
    }
    return taken;
  }
}

/** Gathers what comes within one turn of the event loop and belongs together, so that it is done at once. */
export class TurnGatherer<Item> {
  readonly #flush: (items: Item[]) => void;
  #gathered = new Map<string, Item[]>();

  /** @param flush takes what has the same key, in the order in which it came; at least one; must not throw */
  constructor(flush: (items: Item[]) => void) {
    this.#flush = flush;
  }

  add(key: string, item: Item): void {
    const items = this.#gathered.get(key);
    if (items) {
      items.push(item);
      return;
    }
    if (this.#gathered.size === 0) setImmediate(() => this.#flushAll());
    this.#gathered.set(key, [item]);
  }

  #flushAll(): void {
    const gathered = this.#gathered;
    this.#gathered = new Map();
    for (const items of gathered.values()) this.#flush(items);
  }
}

/** A partition of a topic. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

/**
 * Values by their place. One value, which is all that most subscriptions have, needs no map: ten thousand may be idle.
 */
export class PlaceTable<V extends Place> {
  /** The only value, or a map of all. */
  #content: V | Map<string, V> | undefined;

  get size(): number {
    const content = this.#content;
    if (content === undefined) return 0;
    return content instanceof Map ? content.size : 1;
  }

  get(place: Place): V | undefined {
    const content = this.#content;
    if (content instanceof Map) return content.get(keyOf(place));
    return content !== undefined && isSame(content, place) ? content : undefined;
  }

  /** Puts `value` in its place, instead of what was there. */
  set(value: V): void {
    const content = this.#content;
    if (content instanceof Map) {
      content.set(keyOf(value), value);
    } else if (content === undefined || isSame(content, value)) {
      this.#content = value;
    } else {
      this.#content = new Map([
        [keyOf(content), content],
        [keyOf(value), value],
      ]);
    }
  }

  /** Takes out what is in that place. @returns whether there was something */
  delete(place: Place): boolean {
    const content = this.#content;
    if (content instanceof Map) return content.delete(keyOf(place));
    if (content === undefined || !isSame(content, place)) return false;
    this.#content = undefined;
    return true;
  }

  clear(): void {
    this.#content = undefined;
  }

  /** A copy, so that the table may change while it is walked. */
  values(): readonly V[] {
    const content = this.#content;
    if (content === undefined) return [];
    return content instanceof Map ? [...content.values()] : [content];
  }
}

function isSame(one: Place, other: Place): boolean {
  return one.partition === other.partition && one.topic === other.topic;
}

function keyOf({ topic, partition }: Place): string {
  return `${topic}/${partition}`;
}

/** Capacity of a node that has none, so that loads can be compared. */
const NEARLY_NOTHING = 1e-200;

/**
 * How many partitions each node is the preferred leader of, in all and of each topic, relative to its capacity.
 *
 * Balance is judged topic by topic, so that the partitions of one topic share the machines they are on, and between equals over all topics.
 */
export class LeaderLoad {
  readonly #capacity: (nodeId: string) => number;
  readonly #all = new Map<string, number>();
  readonly #byTopic = new Map<string, Map<string, number>>();

  /** @param capacity of a node; 0 for one that should lead nothing */
  constructor(capacity: (nodeId: string) => number) {
    this.#capacity = capacity;
  }

  /** A node has become (`by` 1) or is no longer (−1) the preferred leader of a partition. */
  count(topicId: string, nodeId: string, by: 1 | -1): void {
    let topic = this.#byTopic.get(topicId);
    if (!topic) this.#byTopic.set(topicId, (topic = new Map<string, number>()));
    topic.set(nodeId, (topic.get(nodeId) ?? 0) + by);
    this.#all.set(nodeId, (this.#all.get(nodeId) ?? 0) + by);
  }

  /** The one of `nodeIds` that would have the least to lead with one more; the first of equals. */
  least(topicId: string, nodeIds: readonly string[]): string | undefined {
    let best: string | undefined;
    for (const nodeId of nodeIds) {
      if (best === undefined || this.#compare(topicId, nodeId, best, 1) < 0) best = nodeId;
    }
    return best;
  }

  /** The one of `nodeIds` to which the partition that `from` is the preferred leader of would go for better balance. */
  lessLoaded(topicId: string, from: string, nodeIds: readonly string[]): string | undefined {
    const to = this.least(
      topicId,
      nodeIds.filter((nodeId) => nodeId !== from),
    );
    return to !== undefined && this.#compare(topicId, to, from, 0) < 0 ? to : undefined;
  }

  /** Below 0 when `a` with one more has less to lead than `b` with `more` more. */
  #compare(topicId: string, a: string, b: string, more: 0 | 1): number {
    const topic = this.#byTopic.get(topicId);
    const inTopic = this.#load(topic, a, 1) - this.#load(topic, b, more);
    return inTopic !== 0 ? inTopic : this.#load(this.#all, a, 1) - this.#load(this.#all, b, more);
  }

  #load(counts: ReadonlyMap<string, number> | undefined, nodeId: string, more: 0 | 1): number {
    const capacity = this.#capacity(nodeId);
    // One more on such a node is worse than any number on another, and still less than two more.
    return ((counts?.get(nodeId) ?? 0) + more) / (capacity > 0 ? capacity : NEARLY_NOTHING);
  }
}

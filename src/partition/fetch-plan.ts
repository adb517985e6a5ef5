import type { ByteRate } from './byte-rate.ts';
import type { Follower } from './follower.ts';
import type { FetchPosition, FetchRequest, FetchedPartition, PartitionRef } from './replication.ts';

/** Bounds of a plan. */
export interface FetchPlanOptions {
  /** A partition with more bytes that are not durable yet is not asked about until they are, so that it leaves room for others. */
  readonly partitionPendingBytes: number;
  /** What partitions that are not in sync may take together; undefined: no bound. */
  readonly catchUpRate: ByteRate | undefined;
}

interface Entry {
  readonly follower: Follower;
  /** As the leader was told last; undefined: it is not in the session. */
  named: FetchPosition | undefined;
  /** `follower.rewinds` then. */
  rewinds: number;
  /** Sequence of the first request that named it since it has gone back: answers to those before are not for this position. */
  since: number;
  /** The leader waits for it to be named again, also where it is the same. */
  isDue: boolean;
}

/**
 * What the leader knows of the partitions followed there, and what it is to be told next.
 *
 * A partition that can take nothing for the moment (it truncates, waits after an error, its disk is behind, it is throttled) is out of the
 * session until it can, so that its data is not sent in vain.
 */
export class FetchPlan {
  readonly #options: FetchPlanOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #dirty = new Set<Entry>();
  /** In the session, and not followed any more. */
  readonly #dropped = new Map<string, PartitionRef>();
  readonly #throttled = new Set<Entry>();
  #namedCount = 0;

  constructor(options: FetchPlanOptions) {
    this.#options = options;
  }

  /** Partitions that are followed. */
  get size(): number {
    return this.#entries.size;
  }

  /** Those that the leader has been asked about. */
  get namedCount(): number {
    return this.#namedCount;
  }

  /** Whether one waits for {@link FetchPlanOptions.catchUpRate}. */
  get isThrottled(): boolean {
    return this.#throttled.size > 0;
  }

  /** @throws TypeError when the partition is followed already */
  add(follower: Follower): void {
    const key = keyOf(follower);
    if (this.#entries.has(key)) throw new TypeError(`${key} is followed already`);
    const isNamed = this.#dropped.delete(key);
    // To the leader it is one partition: named again it is what the new follower says.
    const entry: Entry = { follower, named: undefined, rewinds: 0, since: 0, isDue: isNamed };
    this.#entries.set(key, entry);
    this.#dirty.add(entry);
  }

  remove(follower: Follower): void {
    const key = keyOf(follower);
    const entry = this.#entries.get(key);
    if (entry?.follower !== follower) return;
    this.#entries.delete(key);
    this.#dirty.delete(entry);
    this.#throttled.delete(entry);
    if (!entry.named) return;
    this.#namedCount--;
    this.#dropped.set(key, refOf(follower));
  }

  /** The position of a partition may be another one. */
  mark(follower: Follower): void {
    const entry = this.#entries.get(keyOf(follower));
    if (entry) this.#dirty.add(entry);
  }

  /** Looks again at those that were throttled. */
  unthrottle(): void {
    for (const entry of this.#throttled) this.#dirty.add(entry);
    this.#throttled.clear();
  }

  /** The leader knows nothing any more. */
  restart(): void {
    this.#dropped.clear();
    this.#namedCount = 0;
    for (const entry of this.#entries.values()) {
      entry.named = undefined;
      this.#dirty.add(entry);
    }
  }

  /** What the request with that sequence has to say; the leader knows it from then on. */
  compose(sequence: number): Pick<FetchRequest, 'changed' | 'forgotten'> {
    const changed: FetchPosition[] = [];
    const forgotten = [...this.#dropped.values()];
    this.#dropped.clear();
    for (const entry of this.#dirty) {
      const position = this.#positionOf(entry);
      if (!position) this.#leave(entry, forgotten);
      else if (isNew(entry, position)) changed.push(this.#name(entry, position, sequence));
    }
    this.#dirty.clear();
    return { changed, forgotten };
  }

  /** Hands over what the response with that sequence says. */
  take(sequence: number, partitions: readonly FetchedPartition[]): void {
    for (const answer of partitions) {
      const entry = this.#entries.get(keyOf(answer));
      if (!entry) continue;
      if (entry.named && isAwaited(answer)) entry.isDue = true;
      this.#dirty.add(entry);
      const { follower, named, rewinds, since } = entry;
      if (!named || sequence < since || follower.rewinds !== rewinds) continue;
      if (!follower.isInSync) this.#options.catchUpRate?.spend(bytesOf(answer));
      follower.take(answer);
    }
  }

  #positionOf(entry: Entry): FetchPosition | undefined {
    const { partitionPendingBytes, catchUpRate } = this.#options;
    const { follower } = entry;
    if (follower.pendingBytes > partitionPendingBytes) return undefined;
    if (catchUpRate && !follower.isInSync && catchUpRate.waitMs > 0) {
      this.#throttled.add(entry);
      return undefined;
    }
    return follower.position();
  }

  #leave(entry: Entry, forgotten: PartitionRef[]): void {
    if (entry.named) {
      this.#namedCount--;
      forgotten.push(refOf(entry.follower));
    } else if (entry.isDue) forgotten.push(refOf(entry.follower));
    entry.named = undefined;
    entry.isDue = false;
  }

  #name(entry: Entry, position: FetchPosition, sequence: number): FetchPosition {
    const { rewinds } = entry.follower;
    if (!entry.named) this.#namedCount++;
    if (!entry.named || entry.rewinds !== rewinds) entry.since = sequence;
    entry.named = position;
    entry.rewinds = rewinds;
    entry.isDue = false;
    return position;
  }
}

function isNew({ named, isDue, rewinds, follower }: Entry, position: FetchPosition): boolean {
  if (!named || isDue || rewinds !== follower.rewinds) return true;
  return (
    named.fetchOffset !== position.fetchOffset ||
    named.durableOffset !== position.durableOffset ||
    named.durableStart !== position.durableStart ||
    (named.unread && !position.unread)
  );
}

/** Whether the leader waits until it hears of the partition again. */
function isAwaited({ batches, diverging, error }: FetchedPartition): boolean {
  return batches.length > 0 || diverging !== undefined || error !== undefined;
}

function keyOf({ topicId, partition }: PartitionRef): string {
  return `${topicId}/${partition}`;
}

function refOf({ topicId, partition }: PartitionRef): PartitionRef {
  return { topicId, partition };
}

function bytesOf({ batches }: FetchedPartition): number {
  return batches.reduce((sum, batch) => sum + batch.length, 0);
}

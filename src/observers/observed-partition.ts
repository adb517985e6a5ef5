import type { PartitionParts } from '../partition/partition-parts.ts';
import { Partition } from '../partition/partition.ts';
import type { Start } from '../partition/reader.ts';
import type { KeyPredicate } from '../partition/reader-source.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import type { CopyFeed, CopyFeedOptions, CopyLag } from './copy-feed.ts';

/** How long a reader that is opened waits for the copy to begin, or to come as far as its offset, milliseconds. */
const ARRIVAL_MS = 5000;

type OpenedReader = ReturnType<Partition['openReader']>;

/**
 * A partition that this node is no replica of, and keeps a copy of for its subscribers.
 *
 * To readers it is as any other. Where it has to say where one begins it waits until the copy has begun, and has come as far as an offset that has to
 * be compared with its end; one whose offset is known to be the partition's, `openReaderAt`, is opened at once and waits for its records itself.
 */
export class ObservedPartition extends Partition {
  readonly #feed: CopyFeed;

  constructor(parts: PartitionParts, feed: (partition: CopyFeedOptions['partition']) => CopyFeed) {
    super(parts);
    this.#feed = feed(this);
    this.#feed.start();
  }

  /** It is fed by another observer. */
  get isChained(): boolean {
    return this.#feed.isChained;
  }

  /** Observers of other nodes may be fed by it now. */
  get isRelay(): boolean {
    return this.#feed.isRelay;
  }

  /** How far it is behind what feeds it. */
  get lag(): CopyLag {
    return this.#feed.lag;
  }

  /** Who has copies may be others. */
  sourcesChanged(): void {
    this.#feed.sourcesChanged();
  }

  /** @throws as {@link Partition.openReader}; UNAVAILABLE when no copy can be reached */
  override openReader(start: Start, keep?: KeyPredicate, asker?: Asker): OpenedReader {
    return this.#when(start, () => super.openReader(start, keep, asker));
  }

  /** @throws as {@link Partition.offsetAt}; UNAVAILABLE when no copy can be reached */
  override offsetAt(start: Start, asker?: Asker): number | Promise<number> {
    return this.#when(start, () => super.offsetAt(start, asker));
  }

  override close(): void | Promise<void> {
    this.#feed.stop();
    return super.close();
  }

  #when<T>(start: Start, open: () => T | Promise<T>): T | Promise<T> {
    const offset = start.at === 'offset' ? start.offset : 0;
    return this.#feed.has(offset) ? open() : this.#openLater(offset, open);
  }

  async #openLater<T>(offset: number, open: () => T | Promise<T>): Promise<T> {
    await this.#feed.whenHas(offset, ARRIVAL_MS);
    if (this.#feed.has(0)) return open();
    throw new SluiceError('UNAVAILABLE', `no copy of ${this.topic}/${this.partition} can be reached now`);
  }
}

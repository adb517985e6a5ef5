import type { BatchHeader } from '../../wire/record-batch.ts';
import { filePath } from './file-names.ts';
import type { FileSystem } from './file-system.ts';
import { readIndex } from './index-cache.ts';
import type { IndexEntry, SegmentFacts } from './segment-index.ts';

/** Compares an index with its segment while that is read. */
export class IndexCheck {
  readonly #facts: SegmentFacts;
  readonly #entries: Iterator<IndexEntry>;
  /** The next entry that a batch has to begin at. */
  #next: IndexEntry | undefined;
  /** The entry that the last batch is found by. */
  #current: IndexEntry | undefined;
  #fault: string | undefined;

  private constructor(facts: SegmentFacts, entries: Iterator<IndexEntry>) {
    this.#facts = facts;
    this.#entries = entries;
    this.#step();
  }

  /** @returns undefined when there is no index, or it is damaged */
  static async load(files: FileSystem, directory: string, base: number): Promise<IndexCheck | undefined> {
    const read = await readIndex(files, filePath(directory, base, 'index'));
    return read && new IndexCheck(read.facts, read.index.entries());
  }

  /** Takes in the next batch of the segment. */
  batch({ baseOffset, maxTimestampMs }: BatchHeader, position: number): void {
    const next = this.#next;
    if (next && position >= next.position) {
      if (position !== next.position || baseOffset !== next.baseOffset)
        this.#fault ??= `no batch of offset ${next.baseOffset} begins at byte ${next.position}`;
      this.#current = next;
      this.#step();
    }
    if (this.#current && maxTimestampMs > this.#current.maxTimestampMs)
      this.#fault ??= `a record later than it says at byte ${position}`;
  }

  /** @returns what does not fit, for people; undefined when all does */
  finish(bytes: number, nextOffset: number): string | undefined {
    if (this.#facts.bytes !== bytes || this.#facts.nextOffset !== nextOffset) return 'of another segment';
    if (this.#next) this.#fault ??= `no batch begins at byte ${this.#next.position}`;
    return this.#fault;
  }

  #step(): void {
    const { value, done } = this.#entries.next() as IteratorResult<IndexEntry, undefined>;
    this.#next = done === true ? undefined : value;
  }
}

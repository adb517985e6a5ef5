import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { PartitionReader } from '../../partition/reader.ts';
import { batchBaseOffset, batchNextOffset } from '../../wire/record-batch.ts';
import type { OpenReader, Topics } from '../ports.ts';
import type { PartitionCache } from './batch-cache.ts';

/** Bytes of one read; those behind what is wanted are likely to be wanted next. */
const READ_BYTES = 256 * 1024;

/** How long a copy of the partition may be behind what it has shown before. */
const BEHIND_MAX_MS = 5000;

/** What there is at an offset. */
export type FoundBatch =
  | { readonly kind: 'batch'; readonly batch: Buffer }
  /** Nothing below `to`, and nothing will come. */
  | { readonly kind: 'gone'; readonly to: number };

/** What {@link OldBatches} needs. */
export interface OldBatchesOptions {
  readonly topics: Topics;
  readonly topic: string;
  readonly partition: number;
  readonly clock: Clock;
  readonly cache: PartitionCache;
  /** Where the partition begins, if somebody else reads it here who knows. */
  readonly logStart: () => number | undefined;
}

/**
 * Finds the batches of one partition that were read before: in the cache, else with a cursor of its own. One at a time, in the order of the calls.
 *
 * Records may be deleted in the middle of a batch, and the cache is not told: what is in it counts only while a cursor is open that says where the partition
 * begins, and only from there on.
 */
export class OldBatches {
  readonly #options: OldBatchesOptions;
  #open: OpenReader | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #loads = 0;
  #logStart = 0;
  #isClosed = false;

  constructor(options: OldBatchesOptions) {
    this.#options = options;
  }

  /** Where the partition begins, as far as it was ever known here: what lies below is gone for good. */
  get logStart(): number {
    this.deletedBelow(this.#currentStart ?? 0);
    return this.#logStart;
  }

  /** Whether somebody reads the partition here, so that {@link logStart} is what it is now. */
  get isCurrent(): boolean {
    return this.#currentStart !== undefined;
  }

  /** The leader has said that there is nothing below. */
  deletedBelow(offset: number): void {
    if (offset > this.#logStart) this.#logStart = offset;
  }

  /** The batch that covers `offset`, if it is at hand, and it is known that the record may be there still. */
  find(offset: number): Buffer | undefined {
    return this.isCurrent && offset >= this.logStart ? this.#options.cache.find(offset) : undefined;
  }

  /** A batch that was read elsewhere and may be wanted again. */
  keep(batch: Buffer): void {
    this.#options.cache.keep(batch);
  }

  /**
   * The batch that covers `offset`, read if need be.
   * @param offset of a record that was visible before
   * @throws NOT_LEADER, UNAVAILABLE, TOPIC_NOT_FOUND, OFFSET_OUT_OF_RANGE, CLOSED
   */
  load(offset: number): Promise<FoundBatch> {
    this.#loads++;
    const loaded = this.#last
      .then(() => this.#load(offset))
      .finally(() => {
        this.#loads--;
      });
    this.#last = loaded.catch(() => undefined);
    return loaded;
  }

  /** Closes the cursor until it is needed again, unless it is in use. */
  rest(): void {
    if (this.#loads === 0) this.#end();
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#end();
    this.#options.cache.clear();
  }

  get #currentStart(): number | undefined {
    const own = this.#open?.reader.logStart;
    const other = this.#options.logStart();
    return own === undefined || other === undefined ? (own ?? other) : Math.max(own, other);
  }

  #end(): void {
    this.#open?.close();
    this.#open = undefined;
  }

  async #load(offset: number): Promise<FoundBatch> {
    if (this.#isClosed) throw new SluiceError('CLOSED', 'the queue was closed');
    if (offset < this.logStart) return { kind: 'gone', to: this.logStart };
    const cached = this.find(offset);
    if (cached) return { kind: 'batch', batch: cached };
    const reader = await this.#readerAt(offset);
    try {
      const found = await this.#read(reader, offset);
      return offset < this.logStart ? { kind: 'gone', to: this.logStart } : found;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  async #readerAt(offset: number): Promise<PartitionReader> {
    if (this.#open?.reader.nextOffset === offset) return this.#open.reader;
    this.#end();
    const { topics, topic, partition } = this.#options;
    const open = await topics.openReader(topic, partition, { at: 'offset', offset });
    if (this.#isClosed) {
      open.close();
      throw new SluiceError('CLOSED', 'the queue was closed');
    }
    this.#open = open;
    return open.reader;
  }

  async #read(reader: PartitionReader, offset: number): Promise<FoundBatch> {
    for (;;) {
      const result = await reader.read(READ_BYTES);
      switch (result.kind) {
        case 'batches': {
          const found = this.#take(result.batches, offset);
          if (found) return found;
          break;
        }
        case 'gap':
          if (result.to > offset) return { kind: 'gone', to: result.to };
          break;
        case 'idle':
          await this.#readable(reader);
          break;
        case 'ended':
          throw new SluiceError(result.code ?? 'UNAVAILABLE', 'the partition cannot be read any more');
      }
    }
  }

  #take(batches: readonly Buffer[], offset: number): FoundBatch | undefined {
    // The one that is wanted is kept last, so that a small cache has it.
    for (const batch of batches.toReversed()) this.#options.cache.keep(batch);
    const batch = batches.find((one) => batchNextOffset(one) > offset);
    if (!batch) return undefined;
    const base = batchBaseOffset(batch);
    return base > offset ? { kind: 'gone', to: base } : { kind: 'batch', batch };
  }

  #readable(reader: PartitionReader): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.setTimer(BEHIND_MAX_MS, () => {
        reader.onReadable = undefined;
        reject(new SluiceError('UNAVAILABLE', 'this copy of the partition has not come as far as the queue'));
      });
      reader.onReadable = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { DeliveryBuffer, DeliveryItem, GapEvent } from './delivery-buffer.ts';
import type { PartitionProgress } from './partition-progress.ts';
import type { ReceivedBatch } from './received-batch.ts';
import type { ReceivedRecord } from '../record.ts';

/** A batch that waits for the application. */
export type BatchItem = Extract<DeliveryItem, { kind: 'batch' }>;

/** What an iteration hands out, and whom it tells. */
export interface DeliveryHost {
  /** Whether nothing is handed out now. */
  isHeld(): boolean;
  /** Whether nothing more comes, and nothing waits. */
  isOver(): boolean;
  /** Whether what is left of an item is still to be handed out. */
  wants(item: DeliveryItem): boolean;
  /** An item left the buffer for good. */
  consumed(item: BatchItem): void;
  /** The application has come to a gap. */
  gap(gap: GapEvent): void;
  /** A batch cannot be read, or a gap ends it all: the iterator throws `error`. */
  abandon(error: SluiceError): void;
  /** @throws what ended it, once; after that it is done */
  finish(): { readonly done: true; readonly value: undefined };
  close(): Promise<void>;
}

type Step<T> = () => IteratorResult<T, undefined> | undefined;

/** Hands out what waits in a delivery buffer, record by record or batch by batch. */
export class DeliveryIteration {
  readonly #buffer: DeliveryBuffer;
  readonly #host: DeliveryHost;
  #handProgress: PartitionProgress | undefined;
  #handOffset = 0;
  #moved: PromiseWithResolvers<undefined> | undefined;

  constructor(buffer: DeliveryBuffer, host: DeliveryHost) {
    this.#buffer = buffer;
    this.#host = host;
  }

  /** Partition of what was handed out last, until the next is asked for: the application is at it now. */
  get inHand(): PartitionProgress | undefined {
    return this.#handProgress;
  }

  /** Its first offset; means nothing when nothing is in hand. */
  get inHandOffset(): number {
    return this.#handOffset;
  }

  /** Resolves when the application asks for more than it has in hand. */
  async whenMoved(): Promise<void> {
    if (this.#handProgress === undefined) return;
    this.#moved ??= Promise.withResolvers();
    await this.#moved.promise;
  }

  records(): AsyncIterator<ReceivedRecord, undefined> {
    let records: { next(): ReceivedRecord | undefined } | undefined;
    let item: BatchItem | undefined;
    return this.#iterator<ReceivedRecord>(() => {
      for (;;) {
        const record = item !== undefined && this.#host.wants(item) ? records!.next() : undefined;
        if (record !== undefined) {
          const { offset } = record;
          item!.progress.consume(item!.from, Math.min(offset + 1, item!.to));
          this.#handProgress = item!.progress;
          this.#handOffset = offset;
          return { done: false, value: record };
        }
        // What is not wanted any more was not handed out to its end.
        if (item !== undefined && this.#host.wants(item)) this.#settle(item);
        item = this.#take();
        if (item === undefined) return this.#host.isOver() ? this.#host.finish() : undefined;
        records = item.batch.cursor();
      }
    });
  }

  batches(): AsyncIterator<ReceivedBatch, undefined> {
    return this.#iterator<ReceivedBatch>(() => {
      for (let item = this.#take(); item !== undefined; item = this.#take()) {
        this.#settle(item);
        if (item.batch.recordCount === 0) continue;
        this.#handProgress = item.progress;
        this.#handOffset = item.from;
        return { done: false, value: item.batch };
      }
      return this.#host.isOver() ? this.#host.finish() : undefined;
    });
  }

  #iterator<T>(step: Step<T>): AsyncIterator<T, undefined> {
    const next = async (): Promise<IteratorResult<T, undefined>> => {
      for (;;) {
        const result = this.#step(step);
        if (result !== undefined) return result;
        await this.#buffer.wait();
      }
    };
    return {
      // Without an async function where something is there already: this runs for each record.
      next: () => {
        try {
          const result = this.#step(step);
          return result === undefined ? next() : Promise.resolve(result);
        } catch (error) {
          return Promise.reject(asSluiceError(error));
        }
      },
      return: async () => {
        await this.#host.close();
        return { done: true, value: undefined };
      },
    };
  }

  /** One step; a batch that cannot be read ends it all. */
  #step<T>(step: Step<T>): IteratorResult<T, undefined> | undefined {
    this.#handProgress = undefined;
    if (this.#moved !== undefined) this.#tellMoved();
    if (this.#host.isHeld()) return undefined;
    try {
      return step();
    } catch (error) {
      const known = asSluiceError(error);
      this.#host.abandon(known);
      throw known;
    }
  }

  #tellMoved(): void {
    this.#moved?.resolve(undefined);
    this.#moved = undefined;
  }

  #take(): BatchItem | undefined {
    for (let item = this.#buffer.shift(); item !== undefined; item = this.#buffer.shift()) {
      if (!this.#host.wants(item)) continue;
      if (item.kind === 'batch') return item;
      const { gap, progress, fatal } = item;
      progress.consume(gap.from, gap.to);
      this.#host.gap(gap);
      if (!fatal) continue;
      const where = `${gap.topic}/${gap.partition}`;
      const text = `offsets ${gap.from} to ${gap.to} of ${where} are gone before they were read`;
      throw new SluiceError('GAP', text);
    }
    return undefined;
  }

  #settle(item: BatchItem): void {
    item.progress.consume(item.from, item.to);
    this.#host.consumed(item);
  }
}

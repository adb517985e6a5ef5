import type { PartitionProgress } from './partition-progress.ts';
import type { ReceivedBatch } from './received-batch.ts';

/** Offsets that a subscription will not get. */
export interface GapEvent {
  readonly topic: string;
  readonly partition: number;
  /** First offset that is gone. */
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** `retention`: older than what is kept; `deleted`: the topic was replaced; `not-sent`: a datagram that found no room. */
  readonly reason: 'retention' | 'deleted' | 'not-sent';
}

/** What waits for the application, in the order it came. */
export type DeliveryItem =
  | {
      readonly kind: 'batch';
      readonly progress: PartitionProgress;
      readonly batch: ReceivedBatch;
      /** Offsets that this batch settles. */
      readonly from: number;
      readonly to: number;
      /** Number of the subscription on its connection; credit for it is worth something only there. */
      readonly subscriptionId: number;
    }
  | {
      readonly kind: 'gap';
      readonly progress: PartitionProgress;
      readonly gap: GapEvent;
      /** The subscription ends here. */
      readonly fatal: boolean;
    };

/** Byte-bounded queue between the delivery streams of one subscription and the application. */
export class DeliveryBuffer {
  readonly #maxBytes: number;
  readonly #onRoom: () => void;
  #items: (DeliveryItem | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #full = false;
  #waiting: (() => void)[] = [];

  /**
   * @param maxBytes of batches as they came; one batch more is taken before it is full
   * @param onRoom called when a buffer that was full has emptied to half
   */
  constructor(maxBytes: number, onRoom: () => void) {
    this.#maxBytes = maxBytes;
    this.#onRoom = onRoom;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#head === this.#items.length;
  }

  /** Whether the streams should be held back. */
  get full(): boolean {
    return this.#full;
  }

  push(item: DeliveryItem): void {
    this.#items.push(item);
    if (item.kind === 'batch') this.#bytes += item.batch.sizeBytes;
    if (this.#bytes >= this.#maxBytes) this.#full = true;
    this.wake();
  }

  shift(): DeliveryItem | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length || this.#head > 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (item.kind === 'batch') this.#bytes -= item.batch.sizeBytes;
    if (this.#full && this.#bytes * 2 <= this.#maxBytes) {
      this.#full = false;
      this.#onRoom();
    }
    return item;
  }

  /** Throws away what waits. */
  clear(): void {
    this.#items = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#full = false;
  }

  /** Resolves when something may have changed: an item came, or {@link wake} was called. */
  wait(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  wake(): void {
    if (this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

import type { SluiceError } from '../kernel/errors.ts';
import { DurableWaiters } from '../log/disk/durable-waiters.ts';

/** When a publish is answered: 0 at once, 1 when the leader has stored it, 2 when all in-sync replicas have. */
export type Acks = 0 | 1 | 2;

/** Takes what became of a publish; called exactly once. */
export type AckCallback = (error: SluiceError | undefined) => void;

/** How far a partition's batches are acknowledged. Offsets are exclusive. */
export interface AckProgress {
  readonly durableEnd: number;
  readonly highWatermark: number;
}

/** Publishes that wait for their answer; what they hold of memory is bounded where they come in. */
export class Acknowledgements {
  readonly #stored = new DurableWaiters();
  readonly #replicated = new DurableWaiters();

  /** Takes in a publish that ends at `nextOffset`. */
  add(nextOffset: number, acks: 1 | 2, callback: AckCallback): void {
    (acks === 1 ? this.#stored : this.#replicated).add(nextOffset, callback);
  }

  /**
   * Answers those that have come far enough.
   * @param refusal why nothing may be acknowledged now: then all are answered with it
   */
  settle(progress: AckProgress, refusal: (acks: Acks) => SluiceError | undefined): void {
    if (this.#stored.length > 0) {
      const error = refusal(1);
      if (error) this.#stored.fail(error);
      else this.#stored.reached(progress.durableEnd);
    }
    if (this.#replicated.length > 0) {
      const error = refusal(2);
      if (error) this.#replicated.fail(error);
      else this.#replicated.reached(progress.highWatermark);
    }
  }

  /** Answers with an error; with `above` only those that end above that offset. */
  fail(error: SluiceError, above?: number): void {
    this.#stored.fail(error, above);
    this.#replicated.fail(error, above);
  }
}

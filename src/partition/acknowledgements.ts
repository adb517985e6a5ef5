import { SluiceError } from '../kernel/errors.ts';
import { DurableWaiters } from '../log/disk/durable-waiters.ts';
import type { PartitionLog } from '../log/partition-log.ts';

/** When a publish is answered: 0 at once, 1 when the leader has stored it, 2 when all in-sync replicas have. */
export type Acks = 0 | 1 | 2;

/** Takes what became of a publish; called exactly once. */
export type AckCallback = (error: SluiceError | undefined) => void;

/** What decides whether a publish can be answered. */
export interface AckSource {
  readonly log: Pick<PartitionLog, 'durableEnd' | 'logEnd' | 'failure'>;
  readonly highWatermark: number;
  /** Exclusive: which of the records below it all in-sync replicas ever had is not known, and they are gone from this log. */
  readonly unconfirmedEnd: number;
  /** Why nothing is acknowledged now. */
  refusal(acks: Acks): SluiceError | undefined;
}

/** Publishes that wait for their answer; what they hold of memory is bounded where they come in. */
export class Acknowledgements {
  readonly #source: AckSource;
  readonly #stored = new DurableWaiters();
  readonly #replicated = new DurableWaiters();

  constructor(source: AckSource) {
    this.#source = source;
  }

  /** Whether a publish that ends at `nextOffset` may be answered now. */
  isReached(nextOffset: number, acks: Acks): boolean {
    if (acks === 0) return true;
    const { log, highWatermark } = this.#source;
    if (nextOffset > (acks === 1 ? log.durableEnd : highWatermark)) return false;
    return !this.#isGone(nextOffset, acks) && !this.#source.refusal(acks);
  }

  /** Calls back once it may be, or it is known that it will not be; at once where that is so now. */
  whenReached(nextOffset: number, acks: Acks, callback: AckCallback): void {
    const { log } = this.#source;
    const refusal = acks === 0 ? undefined : this.#source.refusal(acks);
    if (refusal) callback(unconfirmed(refusal));
    else if (this.isReached(nextOffset, acks)) callback(undefined);
    else if (this.#isGone(nextOffset, acks)) callback(gone());
    else if (nextOffset <= log.logEnd)
      (acks === 1 ? this.#stored : this.#replicated).add(nextOffset, callback);
    else
      callback(log.failure ?? new SluiceError('UNAVAILABLE', 'what was sent was taken back; send it again'));
  }

  /** Answers those that have come far enough; when nothing may be acknowledged now, all. */
  settle(): void {
    if (this.#stored.length > 0) this.#settle(this.#stored, this.#source.log.durableEnd, 1);
    if (this.#replicated.length === 0) return;
    this.#replicated.reached(this.#source.unconfirmedEnd, gone);
    this.#settle(this.#replicated, this.#source.highWatermark, 2);
  }

  /** Answers with an error; with `above` only those that end above that offset. */
  fail(error: SluiceError, above?: number): void {
    this.#stored.fail(error, above);
    this.#replicated.fail(error, above);
  }

  #settle(waiting: DurableWaiters, offset: number, acks: Acks): void {
    const refusal = this.#source.refusal(acks);
    if (refusal) waiting.fail(unconfirmed(refusal));
    else waiting.reached(offset);
  }

  #isGone(nextOffset: number, acks: Acks): boolean {
    return acks === 2 && nextOffset <= this.#source.unconfirmedEnd;
  }
}

/**
 * Not the refusal itself, which says to a producer that nothing was stored: it would send the batch again with another identity, or give its
 * number to another batch, and the next leader may have it.
 */
function unconfirmed(refusal: SluiceError): SluiceError {
  const text = `stored here, but not confirmed, send it again: ${refusal.message}`;
  return new SluiceError('UNAVAILABLE', text, { cause: refusal });
}

/** Not to be sent again as it is: some other replica may have it still, and lead next. */
function gone(): SluiceError {
  return new SluiceError(
    'GAP',
    'retention removed these records before it was known that all in-sync replicas had them; they may be lost',
  );
}

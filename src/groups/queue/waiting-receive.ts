import type { Clock, Timer } from '../../kernel/clock.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import type { OffsetRun } from './queue-event.ts';
import type { TakenBatch } from './partition-runner.ts';

/** What somebody gets; empty: time is up. */
export interface Taken {
  readonly batches: readonly TakenBatch[];
  readonly gaps: readonly (OffsetRun & { readonly partition: number })[];
}

/** What {@link WaitingReceive} needs. */
export interface WaitingReceiveOptions {
  readonly records: number;
  readonly bytes: number;
  readonly leaseMs: number;
  readonly waitMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  /** Its time is up, or its asker has gone. */
  readonly onOver: (receive: WaitingReceive) => void;
}

/** A request that waits for records. */
export class WaitingReceive {
  readonly records: number;
  readonly bytes: number;
  readonly leaseMs: number;
  readonly taken: Promise<Taken>;
  /** Its time is up: it is answered as soon as it is known that there is nothing. */
  isDue = false;
  readonly #timer: Timer | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #leave: () => void;
  #resolve: (taken: Taken) => void = () => undefined;
  #reject: (error: SluiceError) => void = () => undefined;

  constructor(options: WaitingReceiveOptions) {
    const { records, bytes, leaseMs, waitMs, clock, signal, onOver } = options;
    this.records = records;
    this.bytes = bytes;
    this.leaseMs = leaseMs;
    this.taken = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (waitMs > 0) {
      this.#timer = clock.setTimer(waitMs, () => {
        this.isDue = true;
        onOver(this);
      });
    } else this.isDue = true;
    this.#signal = signal;
    this.#leave = () => onOver(this);
    signal?.addEventListener('abort', this.#leave, { once: true });
  }

  /** Whether nobody wants an answer any more. */
  get isGone(): boolean {
    return this.#signal?.aborted === true;
  }

  /** Answers it. */
  answer(taken: Taken): void {
    this.#end();
    this.#resolve(taken);
  }

  /** Refuses it. */
  refuse(error: SluiceError): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#timer?.cancel();
    this.#signal?.removeEventListener('abort', this.#leave);
  }
}

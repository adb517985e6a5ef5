import { INITIAL_CREDIT_STREAMS } from './limits.ts';

/** More than this a client cannot save up, whatever it grants. */
const MAX_CREDIT_STREAMS = 4096;

/** Something that waits for credit. */
interface Waiting {
  wake(): void;
}

/** How many batch streams an unordered subscription may still open; shared by its partitions. */
export class StreamCredit {
  #streams = INITIAL_CREDIT_STREAMS;
  /** Only unordered subscriptions ever wait: the many idle others need no set. */
  #waiting: Set<Waiting> | undefined;

  get available(): boolean {
    return this.#streams > 0;
  }

  /** Uses one up. */
  take(): void {
    this.#streams -= 1;
  }

  /** The client allows more; those who waited go on. */
  grant(streams: number): void {
    this.#streams = Math.min(MAX_CREDIT_STREAMS, this.#streams + streams);
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const pump of waiting) pump.wake();
  }

  /** Wakes `pump` at the next grant. */
  wait(pump: Waiting): void {
    this.#waiting ??= new Set();
    this.#waiting.add(pump);
  }

  forget(pump: Waiting): void {
    this.#waiting?.delete(pump);
  }
}

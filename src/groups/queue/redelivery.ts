import type { EventBuffer } from './event-buffer.ts';
import type { Lot } from './lot.ts';
import type { DeadReason, Moment } from './queue-event.ts';
import type { RedeliverySettings } from './queue-runs.ts';
import type { QueueState } from './queue-state.ts';

/** From such a delay on it ends on a grid. */
const GRID_LEAST_MS = 1000;
const GRID_MS = 100;

/** What becomes of records whose lease ends without an acknowledgement: they come again, at once or later, or are dead. Each gives how many they are. */
export class Redelivery {
  /** Counts from the next decision on. */
  settings: RedeliverySettings;
  readonly #state: QueueState;
  readonly #events: EventBuffer;

  /** @param events where it is noted what has to be stored */
  constructor(state: QueueState, events: EventBuffer, settings: RedeliverySettings) {
    this.#state = state;
    this.#events = events;
    this.settings = settings;
  }

  /**
   * Again after `delayMs`, or the backoff; dead after the last attempt. A delay of a second or more ends with a tenth of a second, so that neighbours that
   * fail one by one have one end, and are one run.
   * @param lot lifted, as for all of these
   */
  again(lot: Lot, now: Moment, delayMs: number | undefined, text: string): number {
    const { maxAttempts, backoffMs, maxBackoffMs } = this.settings;
    if (maxAttempts > 0 && lot.attempts >= maxAttempts) return this.die(lot, 'max-attempts', text);
    const waitMs = delayMs ?? Math.min(maxBackoffMs, backoffMs * 2 ** (lot.attempts - 1));
    const atMs = now.wallMs + waitMs;
    const gridMs = waitMs < GRID_LEAST_MS ? 1 : GRID_MS;
    return this.#retry(lot, Math.ceil(atMs / gridMs) * gridMs, false);
  }

  /** Ready at once, and the attempt does not count. */
  release(lot: Lot): number {
    return this.#retry(lot, 0, true);
  }

  /** A dead letter. */
  die(lot: Lot, reason: DeadReason, text: string): number {
    const { records, first, end } = lot;
    this.#events.died(first, end, reason, this.#state.die(lot, reason, text));
    return records;
  }

  #retry(lot: Lot, availableAtMs: number, released: boolean): number {
    const { records } = lot;
    this.#events.retried(lot.first, lot.end, availableAtMs, released);
    this.#state.retry(lot, availableAtMs, released);
    return records;
  }
}

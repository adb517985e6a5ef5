import type { Clock } from '../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';

/** After a failed reservation the next is tried this much later at the earliest. */
const RETRY_MS = 1000;

/** What an offset reserve needs. */
export interface OffsetReserveOptions {
  readonly clock: Clock;
  /** Offsets below it may be handed out now. */
  readonly ceiling: number;
  /** How many offsets one reservation adds. */
  readonly block: number;
  /** Makes a higher ceiling durable. */
  readonly reserve: (ceiling: number) => Promise<void>;
}

/**
 * Lets a memory partition hand out only offsets that a later start of the node will not hand out again.
 *
 *     0 ──────── log end ──── half used: reserve ──── ceiling ──────── next ceiling
 *
 * Reserving is asynchronous and begins while half a block is left, so appends do not wait for it. When it keeps failing
 * (disk full) the partition goes on to the ceiling and then refuses, for its offsets would be ambiguous after a restart.
 */
export class OffsetReserve {
  readonly #options: OffsetReserveOptions;
  #ceiling: number;
  #reserving = false;
  #lastError: SluiceError | undefined;
  #retryAtMs = -Infinity;

  constructor(options: OffsetReserveOptions) {
    this.#options = options;
    this.#ceiling = options.ceiling;
  }

  /**
   * Call before the log end moves to `end`.
   * @throws STORAGE_FULL or STORAGE_FAILED when `end` is above the ceiling and more could not be reserved; OVERLOADED while
   *   that is still being tried
   */
  take(end: number): void {
    if (end + this.#options.block / 2 > this.#ceiling) this.#extend(end);
    if (end <= this.#ceiling) return;
    throw (
      this.#lastError ?? new SluiceError('OVERLOADED', 'offsets are used up faster than they can be reserved')
    );
  }

  #extend(end: number): void {
    const { clock, block, reserve } = this.#options;
    if (this.#reserving || clock.monotonicMs() < this.#retryAtMs) return;
    this.#reserving = true;
    const ceiling = (Math.floor(end / block) + 2) * block;
    reserve(ceiling).then(
      () => {
        this.#reserving = false;
        this.#lastError = undefined;
        this.#ceiling = ceiling;
      },
      (error: unknown) => {
        this.#reserving = false;
        this.#lastError = asSluiceError(error, 'STORAGE_FAILED');
        this.#retryAtMs = clock.monotonicMs() + RETRY_MS;
      },
    );
  }
}

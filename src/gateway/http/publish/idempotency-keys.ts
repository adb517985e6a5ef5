import type { Clock } from '../../../kernel/clock.ts';
import { SluiceError } from '../../../kernel/errors.ts';

/** An answer as it was given. */
export interface KeptAnswer {
  readonly status: number;
  /** JSON text. */
  readonly body: string;
}

interface Entry {
  readonly fingerprint: string;
  readonly answer: Promise<KeptAnswer>;
  readonly keptAtMs: number;
  bytes: number;
}

/** How long an answer is kept, milliseconds. */
export const IDEMPOTENCY_WINDOW_MS = 10 * 60_000;
/** Answers kept, and their bytes; beyond either the oldest are forgotten. */
const MAX_ENTRIES = 50_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** What an entry takes besides its answer, about. */
const ENTRY_BYTES = 512;

/**
 * Answers to requests that carried an idempotency key: a request that is made again is answered as the first was, and done once.
 *
 * Kept in the memory of this node. An answer that is an error is not kept: what comes after it is tried anew.
 */
export class IdempotencyKeys {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** Oldest first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Answers kept, or being made. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Does something once.
   * @param key of whom, for what, and which
   * @param fingerprint of everything that was asked
   * @throws INVALID_ARGUMENT when the key was used for something else; what `perform` throws
   */
  async once(key: string, fingerprint: string, perform: () => Promise<KeptAnswer>): Promise<KeptAnswer> {
    this.#forgetOld();
    const known = this.#entries.get(key);
    if (known) {
      if (known.fingerprint === fingerprint) return known.answer;
      throw new SluiceError('INVALID_ARGUMENT', 'this Idempotency-Key was used for another request');
    }
    const entry: Entry = {
      fingerprint,
      answer: perform(),
      keptAtMs: this.#clock.monotonicMs(),
      bytes: ENTRY_BYTES,
    };
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    try {
      const answer = await entry.answer;
      if (answer.status >= 300) this.#forget(key, entry);
      else this.#grow(key, entry, answer.body.length);
      return answer;
    } catch (error) {
      this.#forget(key, entry);
      throw error;
    }
  }

  #grow(key: string, entry: Entry, bytes: number): void {
    if (this.#entries.get(key) !== entry) return;
    entry.bytes += bytes;
    this.#bytes += bytes;
    this.#forgetOld();
  }

  #forgetOld(): void {
    const oldestMs = this.#clock.monotonicMs() - IDEMPOTENCY_WINDOW_MS;
    for (const [key, entry] of this.#entries) {
      const isTooMuch = this.#entries.size > MAX_ENTRIES || this.#bytes > MAX_BYTES;
      if (!isTooMuch && entry.keptAtMs > oldestMs) return;
      this.#forget(key, entry);
    }
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}

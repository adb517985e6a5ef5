import type { SluiceError } from '../../kernel/errors.ts';
import { DurableWaiters } from './durable-waiters.ts';

/** Where a log starts whatever ends now, and who waits for that. */
export class DurableStart {
  readonly #waiters = new DurableWaiters();
  #offset: number;

  constructor(offset: number) {
    this.#offset = offset;
  }

  /** It starts at `offset` at least. */
  reached(offset: number): void {
    this.#offset = Math.max(this.#offset, offset);
    this.#waiters.reached(this.#offset);
  }

  /** What is on the disk says nothing more than that it starts at `offset`, perhaps below what it said before. */
  fallTo(offset: number): void {
    this.#offset = offset;
  }

  /** Whoever waits waits in vain. */
  fail(error: SluiceError): void {
    this.#waiters.fail(error);
  }

  /** Whether it starts at `offset` at least. */
  has(offset: number): boolean {
    return offset <= this.#offset;
  }

  /** Resolves when it starts at `offset` at least. @param failure with which it rejects unless it does already */
  when(offset: number, failure: SluiceError | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.has(offset)) resolve();
      else if (failure) reject(failure);
      else
        this.#waiters.add(offset, (error) => {
          if (error) reject(error);
          else resolve();
        });
    });
  }
}

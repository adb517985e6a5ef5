import { SluiceError } from '../../../kernel/errors.ts';
import type { ByteBudget } from '../../../log/byte-budget.ts';

/** What an answer takes of the bytes that clients may leave unread: from before it is made until its client has it or is gone. */
export class AnswerRoom {
  readonly #unread: ByteBudget;
  #bytes: number;

  /** @param maxBytes what the answer takes at the most. @throws OVERLOADED when clients have not read too much */
  constructor(unread: ByteBudget, maxBytes: number) {
    if (!unread.tryTake(maxBytes))
      throw new SluiceError(
        'OVERLOADED',
        'clients have not read what they asked for before; ask for less, or later',
      );
    this.#unread = unread;
    this.#bytes = maxBytes;
  }

  /** The answer is there, and so large; also larger than what was thought of. */
  settle(bytes: number): void {
    const more = bytes - this.#bytes;
    if (more > 0) this.#unread.take(more);
    else this.#unread.give(-more);
    this.#bytes = bytes;
  }

  /** It is no more. Idempotent. */
  give(): void {
    this.settle(0);
  }
}

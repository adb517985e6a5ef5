import { SluiceError } from '../../../kernel/errors.ts';
import { ByteBudget } from '../../../log/byte-budget.ts';

/** Bytes of answers that clients have not read. */
export type UnreadBytes = Pick<ByteBudget, 'tryTake' | 'take' | 'give'>;

/** What one asker leaves unread, of what all may: so that nobody takes the room of all others. */
export class UnreadShare implements UnreadBytes {
  readonly #all: UnreadBytes;
  readonly #own: ByteBudget;
  readonly #onEmpty: () => void;

  /** @param onEmpty the asker has read everything */
  constructor(all: UnreadBytes, ownMaxBytes: number, onEmpty: () => void) {
    this.#all = all;
    this.#own = new ByteBudget(ownMaxBytes);
    this.#onEmpty = onEmpty;
  }

  get isEmpty(): boolean {
    return this.#own.usedBytes === 0;
  }

  tryTake(bytes: number): boolean {
    if (!this.#own.tryTake(bytes)) return false;
    if (this.#all.tryTake(bytes)) return true;
    this.#own.give(bytes);
    return false;
  }

  take(bytes: number): void {
    this.#own.take(bytes);
    this.#all.take(bytes);
  }

  give(bytes: number): void {
    this.#own.give(bytes);
    this.#all.give(bytes);
    if (this.isEmpty) this.#onEmpty();
  }
}

/** What an answer takes of the bytes that clients may leave unread: from before it is made until its client has it or is gone. */
export class AnswerRoom {
  readonly #unread: UnreadBytes;
  #bytes: number;

  /** @param maxBytes what the answer takes at the most. @throws OVERLOADED when clients have not read too much */
  constructor(unread: UnreadBytes, maxBytes: number) {
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

import type { Clock, Timer } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { GroupAnswerInit } from '../api.ts';

/** What goes with a request that waits. */
export interface PollOptions {
  readonly clock: Clock;
  readonly maxWaitMs: number;
  /** It has waited long enough. */
  readonly onWaited: () => void;
  readonly signal: AbortSignal | undefined;
}

/** A member's request that waits for its assignment to change. It ends once: with an answer or an error. */
export class MemberPoll {
  readonly answer: Promise<GroupAnswerInit<'joinGroup'>>;
  /** The generation that the member has seen. */
  readonly generation: number;
  readonly #resolve: (answer: GroupAnswerInit<'joinGroup'>) => void;
  readonly #reject: (error: SluiceError) => void;
  readonly #timer: Timer;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.fail(new SluiceError('CANCELLED', 'the asker has gone'));

  constructor(generation: number, { clock, maxWaitMs, onWaited, signal }: PollOptions) {
    this.generation = generation;
    const { promise, resolve, reject } = Promise.withResolvers<GroupAnswerInit<'joinGroup'>>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = clock.setTimer(maxWaitMs, onWaited);
    this.#signal = signal;
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort);
  }

  end(answer: GroupAnswerInit<'joinGroup'>): void {
    this.#release();
    this.#resolve(answer);
  }

  fail(error: SluiceError): void {
    this.#release();
    this.#reject(error);
  }

  #release(): void {
    this.#timer.cancel();
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

import type { GroupAnswerInit, GroupCase, GroupQuestion } from '../../../src/groups/api.ts';
import type { GroupPart, GroupPartCounts } from '../../../src/groups/group-part.ts';

/** A coordinator has answered somebody who wanted records. */
export type OnReceived = (question: GroupQuestion<'receive'>, answer: GroupAnswerInit<'receive'>) => void;

/** The queues of a coordinator, of which is seen when it answers: leases last from then on. */
export class WatchedQueues implements GroupPart {
  readonly #part: GroupPart;
  readonly #onReceived: OnReceived;

  constructor(part: GroupPart, onReceived: OnReceived) {
    this.#part = part;
    this.#onReceived = onReceived;
  }

  load(key: readonly string[], value: Buffer | null): void {
    this.#part.load(key, value);
  }

  start(): void {
    this.#part.start();
  }

  async ask<C extends GroupCase>(
    name: C,
    question: GroupQuestion<C>,
    signal?: AbortSignal,
  ): Promise<GroupAnswerInit<C>> {
    const answer = await this.#part.ask(name, question, signal);
    if (name === 'receive') {
      this.#onReceived(question as GroupQuestion<'receive'>, answer as GroupAnswerInit<'receive'>);
    }
    return answer;
  }

  undelivered<C extends GroupCase>(name: C, question: GroupQuestion<C>, answer: GroupAnswerInit<C>): void {
    this.#part.undelivered(name, question, answer);
  }

  close(): void {
    this.#part.close();
  }

  counts(): GroupPartCounts {
    return this.#part.counts();
  }
}

import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import type { GroupQuestionInit } from '../groups/api.ts';
import { groupRequest } from '../groups/messages.ts';
import type { Clock } from '../kernel/clock.ts';
import { delay } from '../kernel/clock.ts';
import { asSluiceError } from '../kernel/errors.ts';

/** Whoever coordinates the queue next is looked for so long, milliseconds, with such pauses. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 200;
/** Questions under way; what is more is not given back: its leases end by themselves. */
const UNDER_WAY_MAX = 10_000;

/** What {@link UntoldLeases} needs. */
export interface UntoldLeasesParts {
  readonly clock: Clock;
  /** Asks whoever coordinates what a question is about. */
  ask(request: GroupRequest, signal: AbortSignal): Promise<GroupResponse>;
}

/**
 * Gives leases back, at whoever coordinates their queue now, that a coordinator of this node has stored, or tried to, and of which it could not
 * tell anybody because it coordinates no more. Their grants have numbers that no later one gives, so what is not stored, or is
 * settled, is left alone.
 */
export class UntoldLeases {
  readonly #parts: UntoldLeasesParts;
  readonly #gone = new AbortController();
  #underWay = 0;

  constructor(parts: UntoldLeasesParts) {
    this.#parts = parts;
  }

  /** @param release the settlements that give them back */
  give(release: GroupQuestionInit<'settle'>): void {
    if (this.#underWay >= UNDER_WAY_MAX || this.#gone.signal.aborted) return;
    this.#underWay += 1;
    void this.#give(groupRequest('settle', release)).finally(() => (this.#underWay -= 1));
  }

  /** Gives no more back. Idempotent. */
  close(): void {
    this.#gone.abort();
  }

  async #give(request: GroupRequest): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#gone;
    const lastMs = clock.monotonicMs() + PATIENCE_MS;
    while (!signal.aborted && clock.monotonicMs() < lastMs) {
      try {
        await this.#parts.ask(request, signal);
        return;
      } catch (error) {
        if (!asSluiceError(error).retryable) return;
      }
      await delay(clock, PAUSE_MS);
    }
  }
}

import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import type { GroupQuestionInit } from '../groups/api.ts';
import { groupRequest } from '../groups/messages.ts';
import { Backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import { abortableDelay } from '../kernel/clock.ts';
import { asSluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';

/** Whoever coordinates the queue next is looked for so long, milliseconds, with such pauses. */
const PATIENCE_MS = 60_000;
const RETRY = { minMs: 50, maxMs: 2_000 };
/** Settlements that wait, of some 200 bytes each; what is more is not released: its leases end by themselves. */
const SETTLEMENTS_MAX = 50_000;

/** What {@link UntoldLeases} needs. */
export interface UntoldLeasesParts {
  readonly clock: Clock;
  readonly random: Random;
  /** Asks, once, whoever coordinates a partition of `__groups` now. */
  ask(partition: number, request: GroupRequest, signal: AbortSignal): Promise<GroupResponse>;
}

interface Untold {
  readonly request: GroupRequest;
  readonly settlements: number;
  /** Monotonic, milliseconds. */
  readonly lastMs: number;
}

/** What waits for the coordinator of one partition: one question after the other. */
interface Line {
  readonly waiting: Untold[];
  ended: Promise<void>;
}

/**
 * Releases leases, at whoever coordinates their queue now, that a coordinator of this node has stored, or tried to, and of which it could not
 * tell anybody because it coordinates no more. Their grants have numbers that no later one gives, so what is not stored, or is
 * settled, is left alone.
 */
export class UntoldLeases {
  readonly #parts: UntoldLeasesParts;
  readonly #gone = new AbortController();
  readonly #lines = new Map<number, Line>();
  #settlements = 0;

  constructor(parts: UntoldLeasesParts) {
    this.#parts = parts;
  }

  /** @param partition of `__groups` @param release the settlements that release them */
  release(partition: number, release: GroupQuestionInit<'settle'>): void {
    const settlements = release.settlements?.length ?? 0;
    if (this.#settlements + settlements > SETTLEMENTS_MAX || this.#gone.signal.aborted) return;
    this.#settlements += settlements;
    const request = groupRequest('settle', release);
    const untold = { request, settlements, lastMs: this.#parts.clock.monotonicMs() + PATIENCE_MS };
    const line = this.#lines.get(partition);
    if (line) line.waiting.push(untold);
    else this.#begin(partition, untold);
  }

  /** Releases no more. Resolves when nothing is under way any more. Idempotent. */
  async close(): Promise<void> {
    this.#gone.abort();
    await Promise.all(Array.from(this.#lines.values(), ({ ended }) => ended));
  }

  #begin(partition: number, untold: Untold): void {
    const line = { waiting: [untold], ended: Promise.resolve() };
    this.#lines.set(partition, line);
    line.ended = this.#work(partition, line.waiting);
  }

  async #work(partition: number, waiting: Untold[]): Promise<void> {
    const backoff = new Backoff(RETRY, this.#parts.random);
    for (let untold = waiting[0]; untold; untold = waiting[0]) {
      const isOver = await this.#isOver(partition, untold);
      if (this.#gone.signal.aborted) break;
      if (isOver) {
        waiting.shift();
        this.#settlements -= untold.settlements;
        backoff.reset();
      } else {
        // Given up when this ends, which the next look sees.
        await abortableDelay(this.#parts.clock, backoff.nextMs(), this.#gone.signal).catch(() => undefined);
      }
    }
    this.#lines.delete(partition);
  }

  /** Asks, unless it is too late. @returns whether there is nothing to be asked again */
  async #isOver(partition: number, { request, lastMs }: Untold): Promise<boolean> {
    if (this.#gone.signal.aborted || this.#parts.clock.monotonicMs() >= lastMs) return true;
    try {
      await this.#parts.ask(partition, request, this.#gone.signal);
      return true;
    } catch (error) {
      return !asSluiceError(error).retryable;
    }
  }
}

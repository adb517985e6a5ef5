import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 30_000;

/** A topic that could not be opened. */
export interface FailedTopic {
  readonly definition: TopicDefinition;
  readonly error: SluiceError;
}

interface Entry extends FailedTopic {
  readonly retryAtMs: number;
  readonly delayMs: number;
}

/** The topics that could not be opened: why, and when each is tried again. */
export class FailedTopics {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Partitions of all of them. */
  get partitions(): number {
    let sum = 0;
    for (const { definition } of this.#entries.values()) sum += definition.partitions;
    return sum;
  }

  get(name: string): FailedTopic | undefined {
    return this.#entries.get(name);
  }

  all(): readonly FailedTopic[] {
    return [...this.#entries.values()];
  }

  /** Why nobody needs to try now: it was tried a moment ago. */
  refusal(name: string): SluiceError | undefined {
    const entry = this.#entries.get(name);
    return entry && this.#clock.monotonicMs() < entry.retryAtMs ? entry.error : undefined;
  }

  /** Those that it is time to try again. */
  due(): readonly TopicDefinition[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#entries.values()]
      .filter(({ retryAtMs }) => retryAtMs <= nowMs)
      .map((one) => one.definition);
  }

  /** Takes note of a failure; each next attempt comes later. @returns whether there is something new to tell */
  add(definition: TopicDefinition, error: SluiceError): boolean {
    const before = this.#entries.get(definition.name);
    const delayMs = before ? Math.min(before.delayMs * 2, RETRY_MAX_MS) : RETRY_FIRST_MS;
    const retryAtMs = this.#clock.monotonicMs() + delayMs;
    this.#entries.set(definition.name, { definition, error, retryAtMs, delayMs });
    return before?.error.message !== error.message;
  }

  /** @returns whether it was there */
  delete(name: string): boolean {
    return this.#entries.delete(name);
  }
}

import type { Clock } from '../../kernel/clock.ts';
import { LeaderWait } from './leader-wait.ts';
import type { Leaders } from './leaders.ts';
import type { OpenTopic } from './open-topic.ts';

/** Everybody who waits for the partitions of a topic to get leaders. */
export class LeaderWaits {
  readonly #leaders: Leaders;
  readonly #clock: Clock;
  readonly #waits = new Map<OpenTopic, Set<LeaderWait>>();

  constructor(leaders: Leaders, clock: Clock) {
    this.#leaders = leaders;
    this.#clock = clock;
  }

  /** Resolves as `LeaderWait.done`. */
  async wait(topic: OpenTopic): Promise<void> {
    const wait = new LeaderWait(topic, this.#leaders, this.#clock);
    const waits = this.#waits.get(topic) ?? new Set();
    this.#waits.set(topic, waits.add(wait));
    await wait.done;
    waits.delete(wait);
    if (waits.size === 0) this.#waits.delete(topic);
  }

  /** Something about the leaders of a topic has changed. */
  look(topic: OpenTopic): void {
    for (const wait of this.#waits.get(topic) ?? []) wait.look();
  }

  /** There is no sense in waiting for this topic any longer. */
  end(topic: OpenTopic): void {
    for (const wait of this.#waits.get(topic) ?? []) wait.end();
  }

  /** {@link end} for all topics. */
  endAll(): void {
    for (const topic of this.#waits.keys()) this.end(topic);
  }
}

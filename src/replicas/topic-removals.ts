import type { TopicDefinition } from '../coordination/coordinator.ts';
import { Backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import type { ReplicaLogs } from './replica-logs.ts';
import type { ReplicaObserver } from './replica-observer.ts';
import { StepRunner } from './step-runner.ts';

/** Waits after what a topic has left could not be taken away. */
const RETRY = { minMs: 1000, maxMs: 60_000 };

/** What removing takes. */
export interface TopicRemovalsParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logs: ReplicaLogs;
  readonly observer: Partial<ReplicaObserver>;
}

/**
 * What deleted topics leave behind and is not put away yet.
 *
 * Each is tried until it is: a process that ends before has told nobody that the topic was deleted, and the next one, which does not know it, only
 * puts its folder aside.
 */
export class TopicRemovals {
  readonly #parts: TopicRemovalsParts;
  /** By id of the topic. */
  readonly #runners = new Map<string, StepRunner>();

  constructor(parts: TopicRemovalsParts) {
    this.#parts = parts;
  }

  /** Removes what a topic leaves behind once nothing uses it any more, which is when all of `stopping` are settled. */
  begin(topic: TopicDefinition, stopping: readonly Promise<void>[]): void {
    const { clock, random, logs, observer } = this.#parts;
    const backoff = new Backoff(RETRY, random);
    const runner = new StepRunner({
      clock,
      step: async () => {
        await Promise.allSettled(stopping);
        if (runner.isStopped) return;
        await logs.removeTopic(topic);
        if (this.#runners.get(topic.id) === runner) this.#runners.delete(topic.id);
      },
      waitMs: () => backoff.nextMs(),
      onFailed: (error) => observer.onRemoveFailed?.(topic, undefined, error),
      onRecovered: () => undefined,
    });
    this.#runners.set(topic.id, runner);
    runner.wake();
  }

  /** The topic is there again, as the coordination has been set back: what it has now is not tried to be taken away. */
  drop(topicId: string): void {
    void this.#runners.get(topicId)?.stop();
  }

  /** Resolves when what a topic leaves behind is marked as deleted, or the observer was told why it is not yet. */
  async settled(topicId: string): Promise<void> {
    await this.#runners
      .get(topicId)
      ?.settled()
      .catch(() => undefined);
  }

  /** Tries nothing again; resolves when nothing is under way. */
  async close(): Promise<void> {
    const closing = [...this.#runners].map(async ([topicId, runner]) => {
      await this.settled(topicId);
      await runner.stop();
    });
    await Promise.all(closing);
  }
}

import type { Clock, Timer } from '../../kernel/clock.ts';
import type { Leaders } from './leaders.ts';
import type { OpenTopic } from './open-topic.ts';

/** Longest wait for the partitions of a topic to get leaders. */
const WAIT_MS = 5000;

/** Waits until each partition of a topic is led, or cannot be here; at most five seconds. */
export class LeaderWait {
  /** Resolves when it is over. */
  readonly done: Promise<unknown>;
  readonly #topic: OpenTopic;
  readonly #leaders: Leaders;
  readonly #timer: Timer;
  readonly #resolve: () => void;
  /** Those below have been found to be led. */
  #next = 0;

  constructor(topic: OpenTopic, leaders: Leaders, clock: Clock) {
    this.#topic = topic;
    this.#leaders = leaders;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.done = promise;
    this.#resolve = () => resolve(undefined);
    this.#timer = clock.setTimer(WAIT_MS, this.#resolve);
    this.look();
  }

  /** Something has changed. */
  look(): void {
    while (this.#next < this.#topic.count && this.#isSettled(this.#next)) this.#next++;
    if (this.#next >= this.#topic.count) this.end();
  }

  /** There is no sense in waiting any longer. */
  end(): void {
    this.#timer.cancel();
    this.#resolve();
  }

  #isSettled(index: number): boolean {
    return this.#leaders.isLed(this.#topic, index) || this.#leaders.failure(this.#topic, index) !== undefined;
  }
}

import { Backoff } from '../../kernel/backoff.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import { Slots } from '../../kernel/slots.ts';
import type { Topics } from '../ports.ts';
import type { Place } from './place.ts';
import type { OffsetStart } from './start.ts';

/** Partitions asked about at once. */
const AT_ONCE = 64;
const AGAIN_MS = { minMs: 100, maxMs: 5000 };

/** Finds out where partitions begin for which a group has committed nothing, and tries until it knows. Shared by the groups of a coordinator. */
export class FirstOffsets {
  readonly #topics: Topics;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #slots = new Slots(AT_ONCE);
  readonly #timers = new Set<Timer>();
  #isClosed = false;

  constructor(topics: Topics, clock: Clock, random: Random) {
    this.#topics = topics;
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Asks until there is an answer. An offset beyond the end is the end.
   * @param isWanted asked before each attempt
   * @param onEnded called once, unless this is closed first. `offset` is undefined when it was not wanted any more
   */
  find(
    place: Place,
    start: OffsetStart,
    isWanted: () => boolean,
    onEnded: (offset: number | undefined) => void,
  ): void {
    const backoff = new Backoff(AGAIN_MS, this.#random);
    const isClosed = (): boolean => this.#isClosed;
    const attempt = (from: OffsetStart): void => {
      void this.#slots.run(async () => {
        if (isClosed()) return;
        if (!isWanted()) {
          onEnded(undefined);
          return;
        }
        const offset = await this.#topics
          .offsetAt(place.topic, place.partition, from)
          .catch((error: unknown) => asSluiceError(error));
        if (isClosed()) return;
        if (typeof offset === 'number') onEnded(offset);
        else this.#later(backoff.nextMs(), () => attempt(isBeyond(offset) ? { at: 'latest' } : from));
      });
    };
    attempt(start);
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #later(delayMs: number, work: () => void): void {
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      work();
    });
    this.#timers.add(timer);
  }
}

function isBeyond({ code }: SluiceError): boolean {
  return code === 'OFFSET_OUT_OF_RANGE';
}

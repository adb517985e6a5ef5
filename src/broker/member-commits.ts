import type { GroupAnswer } from '../groups/api.ts';
import type { Clock } from '../kernel/clock.ts';
import { delay } from '../kernel/clock.ts';
import { Backoff } from '../kernel/backoff.ts';
import { asSluiceError, errorCodeFromWire, SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { Place } from '../partition/place-table.ts';

/** How far a group has come in one partition. */
export interface GroupPosition extends Place {
  /** The first that is not done. */
  readonly offset: number;
}

/** What committing takes. */
export interface CommitParts {
  readonly clock: Clock;
  readonly random: Random;
  /** The generation that the member has seen. */
  generation(): number;
  /** Asks the coordinator to store offsets that were committed in that generation. */
  store(offsets: readonly GroupPosition[], generation: number): Promise<GroupAnswer<'commitOffsets'>>;
}

/** Offsets that wait to be sent together, and those who wait for them. */
interface Round {
  /**
   * In which they were committed. However late they are sent, they do not count for a partition that has gone since and is the member's again: somebody
   * else has come further, or its topic is another one.
   */
  readonly generation: number;
  readonly offsets: Map<string, GroupPosition>;
  readonly done: PromiseWithResolvers<undefined>;
}

const RETRY = { minMs: 50, maxMs: 2_000 };

/**
 * Commits of one member: one request at a time, and what is committed meanwhile, in one generation, goes with the next one, the newest of each partition.
 * So whoever commits every record keeps one number for each partition waiting, and no more.
 */
export class MemberCommits {
  readonly #parts: CommitParts;
  readonly #backoff: Backoff;
  /** In order. */
  #waiting: Round[] = [];
  #running: Promise<void> | undefined;
  #under: Round | undefined;
  #failure: SluiceError | undefined;

  constructor(parts: CommitParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(RETRY, parts.random);
  }

  /**
   * Resolves when the offsets are stored, or others of the same partitions that came later. A coordinator that cannot be reached is asked again.
   * @throws UNKNOWN_MEMBER, STALE_GENERATION and what else one of the round was refused with; the others are stored
   */
  commit(offsets: Iterable<GroupPosition>): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    const generation = this.#parts.generation();
    let round = this.#waiting.at(-1);
    if (round?.generation !== generation) this.#waiting.push((round = newRound(generation)));
    for (const position of offsets) round.offsets.set(`${position.topic}/${position.partition}`, position);
    this.#running ??= this.#run();
    return round.done.promise;
  }

  /** Resolves when all that was committed so far is answered, well or not. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** The member is none any more: what waits is refused. With `forever` also what comes. */
  discard(error: SluiceError, forever: boolean): void {
    for (const { done } of this.#waiting.splice(0)) done.reject(error);
    this.#under?.done.reject(error);
    this.#under = undefined;
    if (forever) this.#failure = error;
  }

  async #run(): Promise<void> {
    // What one turn commits goes together.
    await Promise.resolve();
    for (let round = this.#waiting.shift(); round; round = this.#waiting.shift()) {
      this.#under = round;
      await this.#send(round);
    }
    this.#under = undefined;
    this.#running = undefined;
  }

  async #send(round: Round): Promise<void> {
    while (this.#under === round) {
      try {
        const { results } = await this.#parts.store([...round.offsets.values()], round.generation);
        this.#backoff.reset();
        const refused = results.find(({ errorCode }) => errorCode !== 0);
        if (refused)
          round.done.reject(new SluiceError(errorCodeFromWire(refused.errorCode), refused.errorMessage));
        else round.done.resolve(undefined);
        return;
      } catch (error) {
        const refusal = asSluiceError(error);
        if (!refusal.retryable || refusal.code === 'DRAINING') {
          round.done.reject(refusal);
          return;
        }
        await delay(this.#parts.clock, this.#backoff.nextMs());
      }
    }
  }
}

function newRound(generation: number): Round {
  const done = Promise.withResolvers<undefined>();
  // Not everybody who commits waits for it.
  done.promise.catch(() => undefined);
  return { generation, offsets: new Map(), done };
}

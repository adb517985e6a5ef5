import { SluiceError } from '../../kernel/errors.ts';
import type { AskGroup } from '../group-requests.ts';
import { resultError } from '../group-requests.ts';
import type { Position } from '../subscription/subscribe-options.ts';

/** Who commits. */
export interface Committer {
  readonly group: string;
  readonly memberId: string;
  /** As the member has seen it. */
  generation(): number;
}

interface Gathering {
  readonly offsets: Map<string, Position>;
  /** The errors there were, by partition. */
  readonly done: PromiseWithResolvers<ReadonlyMap<string, SluiceError>>;
}

/** Commits offsets: one request at a time; what comes meanwhile gathers, the last of each partition counts. */
export class OffsetCommits {
  readonly #ask: AskGroup;
  readonly #who: Committer;
  #gathering: Gathering | undefined;
  #running: Promise<void> | undefined;

  constructor(ask: AskGroup, who: Committer) {
    this.#ask = ask;
    this.#who = who;
  }

  /** @throws STALE_GENERATION, UNKNOWN_MEMBER when the member has the partition no more; TIMEOUT, and what the broker answers */
  async commit(positions: readonly Position[]): Promise<void> {
    if (positions.length === 0) return;
    this.#gathering ??= { offsets: new Map(), done: Promise.withResolvers() };
    const { offsets, done } = this.#gathering;
    for (const position of positions) offsets.set(keyOf(position), position);
    this.#running ??= this.#run();
    const errors = await done.promise;
    for (const position of positions) {
      const error = errors.get(keyOf(position));
      if (error !== undefined) throw error;
    }
  }

  /**
   * The member has lost its partitions: what was not sent is refused with UNKNOWN_MEMBER. Sent later, when a partition is the member's again, it
   * would count as said then, though somebody else may have come further.
   */
  lose(): void {
    this.#gathering?.done.reject(
      new SluiceError('UNKNOWN_MEMBER', 'the partitions were lost before this could be committed'),
    );
    this.#gathering = undefined;
  }

  /** Resolves when nothing is on its way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // what is called in this turn goes together
    for (let next = this.#gathering; next !== undefined; next = this.#gathering) {
      this.#gathering = undefined;
      try {
        next.done.resolve(await this.#send([...next.offsets]));
      } catch (error) {
        next.done.reject(error);
      }
    }
    this.#running = undefined;
  }

  async #send(
    offsets: readonly (readonly [key: string, position: Position])[],
  ): Promise<ReadonlyMap<string, SluiceError>> {
    const { results } = await this.#ask('commitOffsets', {
      group: this.#who.group,
      memberId: this.#who.memberId,
      generation: this.#who.generation(),
      offsets: offsets.map(([, { topic, partition, offset }]) => ({
        topic,
        partition,
        offset: BigInt(offset),
      })),
    });
    const errors = new Map<string, SluiceError>();
    results.forEach((result, index) => {
      const error = resultError(result);
      const committed = offsets[index];
      if (error !== undefined && committed !== undefined) errors.set(committed[0], error);
    });
    return errors;
  }
}

function keyOf({ topic, partition }: Position): string {
  return `${topic}/${partition}`;
}

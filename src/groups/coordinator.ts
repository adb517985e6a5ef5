import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { GroupAsking, GroupAnswerInit, GroupCase, GroupQuestion, GroupQuestionInit } from './api.ts';
import type { GroupPart, GroupPartCounts, GroupPartOptions } from './group-part.ts';
import type { ClosableStateLog, LedState } from './led-state.ts';
import { notCoordinator } from './not-coordinator.ts';
import { partOf, partOfFact } from './question-kinds.ts';
import { loadState } from './state-loader.ts';

/** What a coordinator consists of. */
export interface GroupParts {
  readonly groups: GroupPart;
  readonly queues: GroupPart;
}

/** Makes the parts of one coordinator. */
export type MakeGroupParts = (options: GroupPartOptions) => GroupParts;

/** What a coordinator is made of. */
export interface CoordinatorOptions extends Pick<
  GroupPartOptions,
  'topics' | 'clock' | 'random' | 'budget' | 'stateBudget' | 'batchMemory' | 'term' | 'nodeId' | 'onTrouble'
> {
  readonly state: LedState;
  readonly makeParts: MakeGroupParts;
  /** As the parts' `releaseUntold`. @param partition of `__groups`, which the queue belongs to */
  readonly releaseUntold: (partition: number, release: GroupQuestionInit<'settle'>) => void;
  /** Told once when it has loaded its state. @param facts that were read @param ms that it took */
  readonly onLoaded: (facts: number, ms: number) => void;
  /** Told once when it has ended by itself: its state could not be loaded, or something could not be stored. */
  readonly onFailed: (error: SluiceError) => void;
}

/**
 * Coordinates the consumer groups and queues of one partition of `__groups`, in one epoch that this node leads it.
 *
 *     loading ── all facts below the log end of the beginning are read ──> open ── closed, a fact not stored ──> closed
 *
 * Questions that come while it loads wait for it.
 */
export class GroupCoordinator {
  readonly leaderEpoch: number;
  readonly #options: CoordinatorOptions;
  readonly #log: ClosableStateLog;
  readonly #parts: GroupParts;
  readonly #gone = new AbortController();
  /** Resolves when it is open, or has ended; says whether it is open. */
  readonly #loaded: Promise<boolean>;
  #isOpen = false;

  constructor(options: CoordinatorOptions) {
    const { state, makeParts, topics, clock, random, budget, stateBudget, batchMemory } = options;
    const { term, nodeId, onTrouble } = options;
    this.#options = options;
    this.leaderEpoch = state.leaderEpoch;
    this.#log = state.openLog();
    const onFailure = (error: unknown): void => this.#fail(error);
    const shared = { topics, clock, random, budget, stateBudget, batchMemory, term, nodeId, onTrouble };
    const releaseUntold: GroupPartOptions['releaseUntold'] = (release) =>
      options.releaseUntold(state.partition, release);
    this.#parts = makeParts({ ...shared, releaseUntold, log: this.#log, onFailure });
    this.#loaded = this.#load();
  }

  /** Whether it has loaded its state and goes on. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Of its parts; a part that is not loaded counts what it has. */
  counts(): { readonly groups: GroupPartCounts; readonly queues: GroupPartCounts } {
    return { groups: this.#parts.groups.counts(), queues: this.#parts.queues.counts() };
  }

  /** @throws what is to be told to the asker; NOT_LEADER when it has ended; CANCELLED when the asker went while it was loading */
  async ask<C extends GroupCase>(
    name: C,
    question: GroupQuestion<C>,
    { asker, signal }: Partial<GroupAsking> = {},
  ): Promise<GroupAnswerInit<C>> {
    if (!this.#isOpen) {
      if (!(await this.#loaded)) throw notCoordinator();
      if (signal?.aborted) throw new SluiceError('CANCELLED', 'the asker has gone');
    }
    const part = this.#parts[partOf(name)];
    const answer = await part.ask(name, question, signal, asker);
    // What rests on nothing new was not stored for this answer: a node that was frozen past its lease learns only here that it knows nothing any more.
    if (!this.#options.state.isLed()) {
      part.undelivered(name, question, answer);
      throw notCoordinator();
    }
    return answer;
  }

  /** Ends it: what waits is answered NOT_LEADER. Idempotent. */
  close(): void {
    if (this.#gone.signal.aborted) return;
    this.#isOpen = false;
    this.#gone.abort();
    this.#log.close();
    this.#parts.groups.close();
    this.#parts.queues.close();
  }

  async #load(): Promise<boolean> {
    const { state, clock, onLoaded } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      const facts = await this.#read(state);
      if (this.#gone.signal.aborted) return false;
      this.#isOpen = true;
      this.#parts.groups.start();
      this.#parts.queues.start();
      onLoaded(facts, clock.monotonicMs() - startedMs);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  async #read(state: LedState): Promise<number> {
    // Not before who made this has it.
    await Promise.resolve();
    const end = state.end();
    const reader = await state.openReader();
    try {
      const take = (key: string, value: Buffer | null): void => {
        const levels = key.split('/');
        this.#parts[partOfFact(levels[0]!)].load(levels, value);
      };
      return await loadState(reader, end, take, this.#gone.signal);
    } finally {
      reader.close();
    }
  }

  #fail(error: unknown): void {
    if (this.#gone.signal.aborted) return;
    this.close();
    this.#options.onFailed(asSluiceError(error));
  }
}

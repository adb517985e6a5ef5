import { SluiceError } from '../../kernel/errors.ts';
import type { Asker } from '../../kernel/slots.ts';
import { Askers } from '../../kernel/slots.ts';
import type { Start } from '../../partition/reader.ts';
import type { Answer, LeaderQuestions, TopicPartition } from '../leader-questions.ts';
import type { Leaders } from '../topics/leaders.ts';

interface Question {
  readonly place: TopicPartition;
  readonly at: Start;
  readonly askers: Askers;
  readonly answer: Promise<Answer<number>>;
  readonly resolve: (answer: Answer<number>) => void;
}

const LATEST: Start = { at: 'latest' };

/**
 * Asks leaders where readers begin: once for all who want to know the same in one turn, in one call to each leader, and no leader keeps the answers of
 * the others back. Never rejects.
 */
export class OffsetQuestions {
  readonly #questions: Pick<LeaderQuestions, 'offsets'>;
  readonly #leaders: Pick<Leaders, 'elsewhere'>;
  #next = new Map<string, Question>();

  constructor(questions: Pick<LeaderQuestions, 'offsets'>, leaders: Pick<Leaders, 'elsewhere'>) {
    this.#questions = questions;
    this.#leaders = leaders;
  }

  /**
   * The first offset that a reader beginning at `at` would want; OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT; see {@link LeaderQuestions}.
   * @param asker who waits for it; CANCELLED when all have gone who have asked for what is asked for in one call
   */
  async ask(place: TopicPartition, at: Start, asker?: Asker): Promise<Answer<number>> {
    // Only a search takes so long that it matters who has gone.
    if (at.at === 'timestamp') return this.#ask(place, at, asker);
    if (at.at !== 'offset' || !Number.isSafeInteger(at.offset) || at.offset < 0) return this.#ask(place, at);
    // Readers that go on at different offsets all need to know but one thing.
    const end = await this.#ask(place, LATEST);
    if (typeof end !== 'number') return end;
    return at.offset <= end ? at.offset : this.#ask(place, at);
  }

  #ask(place: TopicPartition, at: Start, asker?: Asker): Promise<Answer<number>> {
    const key = `${place.topic.definition.id}/${place.index} ${JSON.stringify(at)}`;
    const asked = this.#next.get(key);
    if (asked && !asked.askers.gone.aborted) {
      asked.askers.add(asker);
      return asked.answer;
    }
    asked?.resolve(new SluiceError('CANCELLED', 'nobody waits for it any more'));
    if (this.#next.size === 0) queueMicrotask(() => this.#send());
    const { promise: answer, resolve } = Promise.withResolvers<Answer<number>>();
    this.#next.set(key, { place, at, askers: new Askers(asker), answer, resolve });
    return answer;
  }

  #send(): void {
    const calls = new Map<string, Question[]>();
    for (const question of this.#next.values()) {
      const { topic, index } = question.place;
      const key = JSON.stringify([this.#leaders.elsewhere(topic, index)?.leader, question.at]);
      const call = calls.get(key);
      if (call) call.push(question);
      else calls.set(key, [question]);
    }
    this.#next = new Map();
    for (const questions of calls.values()) void this.#call(questions);
  }

  async #call(questions: readonly Question[]): Promise<void> {
    const places = questions.map(({ place }) => place);
    const { at, askers } = questions.find((question) => !question.askers.gone.aborted) ?? questions[0]!;
    for (const other of questions) if (other.askers !== askers) askers.add(other.askers);
    const answers = await this.#questions.offsets(places, at, askers);
    for (const [nth, question] of questions.entries()) {
      question.askers.end();
      question.resolve(answers[nth]!);
    }
  }
}

import type { TopicFilter } from '../../catalog/topic-filter.ts';
import { parseFilter } from '../../catalog/topic-filter.ts';
import { isInternalTopic, quoted } from '../../catalog/topic-name.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { TopicNumbers } from './topic-numbers.ts';

/** Filters of one member at most. */
const MAX_FILTERS = 10_000;

/** What it costs to look up what is known, in characters. */
const LOOK_COST = 10;
/** What is known of a topic: two bits. */
const COMPARED = 1;
const TAKEN = 2;

/**
 * Which topics a member takes: those it names, and those that its wildcards take. A name is compared with them once; two bits a topic say how
 * that ended.
 */
export class MemberFilters {
  readonly texts: readonly string[];
  /** Equal for equal filters, in whichever order. */
  readonly text: string;
  readonly names: ReadonlySet<string>;
  /** It was compared with all topics when so many numbers had been given: see {@link TopicNumbers.given}. */
  comparedTo = 0;
  readonly #wildcards: readonly ((name: string) => boolean)[];
  readonly #numbers: TopicNumbers;
  #edition: number;
  /** Four topics in each byte. */
  #known = new Uint8Array(0);

  /** @throws INVALID_FILTER: no filter, with a key, or an internal topic; INVALID_ARGUMENT: more than 10,000 */
  constructor(texts: readonly string[], numbers: TopicNumbers) {
    if (texts.length > MAX_FILTERS) {
      throw new SluiceError('INVALID_ARGUMENT', `${texts.length} filters; at most ${MAX_FILTERS}`);
    }
    this.texts = texts;
    this.text = texts.toSorted().join();
    const filters = texts.map(parseMemberFilter);
    this.names = new Set(filters.flatMap(({ topic }) => topic ?? []));
    this.#wildcards = filters.flatMap(({ wildcard }) => wildcard ?? []);
    this.#numbers = numbers;
    this.#edition = numbers.edition;
  }

  takes(topic: string): boolean {
    if (this.names.has(topic)) return true;
    return this.#wildcards.length > 0 && (this.#look(topic) & TAKEN) !== 0;
  }

  /** What asking {@link takes} costs now: characters that are compared at most, or as much time as that takes. */
  costOf(topic: string): number {
    if (this.#wildcards.length === 0 || this.#knownOf(this.#numbers.of(topic)) !== 0) return LOOK_COST;
    return LOOK_COST + this.text.length + this.#wildcards.length * topic.length;
  }

  #look(topic: string): number {
    const number = this.#numbers.of(topic);
    const known = this.#knownOf(number);
    if (known !== 0) return known;
    const found = this.#wildcards.some((wildcard) => wildcard(topic)) ? COMPARED | TAKEN : COMPARED;
    this.#note(number, found);
    return found;
  }

  #knownOf(number: number): number {
    if (this.#edition !== this.#numbers.edition) {
      this.#edition = this.#numbers.edition;
      this.#known = new Uint8Array(0);
    }
    return ((this.#known[number >> 2] ?? 0) >> ((number & 3) * 2)) & 3;
  }

  #note(number: number, found: number): void {
    const at = number >> 2;
    if (at >= this.#known.length) {
      const more = new Uint8Array(Math.max(16, 2 * at));
      more.set(this.#known);
      this.#known = more;
    }
    this.#known[at]! |= found << ((number & 3) * 2);
  }
}

function parseMemberFilter(text: string): TopicFilter {
  const filter = parseFilter(text);
  if (filter.matchesKey && text !== '#') {
    throw new SluiceError(
      'INVALID_FILTER',
      `${quoted(text)} filters keys; members of a group share whole topics`,
    );
  }
  if (filter.topic !== undefined && isInternalTopic(filter.topic)) {
    throw new SluiceError('INVALID_FILTER', `${quoted(text)} is an internal topic`);
  }
  return filter;
}

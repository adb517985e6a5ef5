import type { TopicFilter } from '../../catalog/topic-filter.ts';
import { parseFilter } from '../../catalog/topic-filter.ts';
import { isInternalTopic, quoted } from '../../catalog/topic-name.ts';
import { SluiceError } from '../../kernel/errors.ts';

/** Filters of one member at most. */
const MAX_FILTERS = 10_000;

/** Which topics a member takes: those it names, and those that its wildcards take. */
export class MemberFilters {
  readonly texts: readonly string[];
  /** Equal for equal filters, in whichever order. */
  readonly text: string;
  readonly names: ReadonlySet<string>;
  readonly #wildcards: readonly ((name: string) => boolean)[];

  /** @throws INVALID_FILTER: no filter, with a key, or an internal topic; INVALID_ARGUMENT: more than 10,000 */
  constructor(texts: readonly string[]) {
    if (texts.length > MAX_FILTERS) {
      throw new SluiceError('INVALID_ARGUMENT', `${texts.length} filters; at most ${MAX_FILTERS}`);
    }
    this.texts = texts;
    this.text = texts.toSorted().join();
    const filters = texts.map(parseMemberFilter);
    this.names = new Set(filters.flatMap(({ topic }) => topic ?? []));
    this.#wildcards = filters.flatMap(({ wildcard }) => wildcard ?? []);
  }

  takes(topic: string): boolean {
    return this.names.has(topic) || this.#wildcards.some((wildcard) => wildcard(topic));
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

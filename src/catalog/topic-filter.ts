import { SluiceError } from '../kernel/errors.ts';
import { Glob } from '../security/glob.ts';
import { KeyFilter } from './key-filter.ts';
import { TOPIC_NAME_MAX, isInternalTopic, isTopicName, quoted } from './topic-name.ts';

const PATTERN = /^[A-Za-z0-9*][A-Za-z0-9._*-]*$/;

/** What a subscription asks for, ready to be asked about many topics and keys. */
export interface TopicFilter {
  /** The filter as it was written. */
  readonly text: string;
  /** The one topic it names; undefined when the topic is a wildcard. */
  readonly topic: string | undefined;
  /** Whether a wildcard takes a topic of that name; undefined when the filter names one. See {@link takesTopic}. */
  readonly wildcard: ((name: string) => boolean) | undefined;
  /** Whether it takes records with that key; undefined: all, also those without one. */
  readonly matchesKey: ((key: Buffer | null) => boolean) | undefined;
}

/**
 * Parses `topic` or `topic/key-filter` (docs/protocol.md section 3): the topic level is a name, `+` (any topic), or contains `*`
 * (any run of characters); `#` alone is every topic; for the key filter see {@link KeyFilter}.
 *
 * @throws INVALID_FILTER
 */
export function parseFilter(text: string): TopicFilter {
  const slash = text.indexOf('/');
  const topicPart = slash < 0 ? text : text.slice(0, slash);
  const keyFilter = slash < 0 ? undefined : new KeyFilter(text.slice(slash + 1));
  const matchesKey = keyFilter && ((key: Buffer | null) => keyFilter.matches(key));
  if (isTopicName(topicPart)) {
    return { text, topic: topicPart, wildcard: undefined, matchesKey };
  }
  return { text, topic: undefined, wildcard: topicWildcard(topicPart, text), matchesKey };
}

/** Whether `filter` takes a topic of that name. Internal topics are taken only by their literal name. */
export function takesTopic(filter: TopicFilter, name: string): boolean {
  return filter.wildcard ? filter.wildcard(name) : name === filter.topic;
}

function topicWildcard(pattern: string, text: string): (name: string) => boolean {
  if (pattern === '+' || text === '#') return (name) => !isInternalTopic(name);
  if (pattern.includes('*') && pattern.length <= TOPIC_NAME_MAX && PATTERN.test(pattern)) {
    const glob = new Glob(pattern);
    return (name) => !isInternalTopic(name) && glob.matches(name);
  }
  throw new SluiceError(
    'INVALID_FILTER',
    `${quoted(text)} is not a filter: topic, topic/key-filter, + or a topic with * for the topic, # alone for everything`,
  );
}

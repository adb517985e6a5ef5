import type { TopicFilter } from '../catalog/topic-filter.ts';
import { parseFilter } from '../catalog/topic-filter.ts';
import { checkTopicName, isInternalTopic, quoted } from '../catalog/topic-name.ts';
import type { GroupRequest } from '../gen/sluice/client/v1/groups_pb.ts';
import type { GroupCase, GroupQuestion } from '../groups/api.ts';
import { DEAD_LETTER_PREFIX } from '../groups/api.ts';
import { groupRequest } from '../groups/messages.ts';
import { SluiceError } from '../kernel/errors.ts';
import { Turns } from '../kernel/turns.ts';
import type { AccessControl } from './access-control.ts';
import { ComparedTopics } from './compared-topics.ts';
import type { Principal } from './ports.ts';

/** Filters that a member may name. */
const FILTERS_MAX = 1000;
/** Bytes of batches that a question may ask for, so that the answer fits a frame and a message between nodes. */
const MAX_BYTES = 16 * 1024 * 1024;

type Check<C extends GroupCase> = (
  rights: GroupRights,
  principal: Principal,
  question: GroupQuestion<C>,
) => GroupQuestion<C> | Promise<GroupQuestion<C>>;

/** What is asked for before a question goes to its coordinator, which asks for nothing. */
export class GroupRights {
  readonly access: AccessControl;
  readonly #topics: () => Iterable<{ readonly name: string }>;
  readonly #turns = new Turns();

  /** @param topics all there are */
  constructor(access: AccessControl, topics: () => Iterable<{ readonly name: string }>) {
    this.access = access;
    this.#topics = topics;
  }

  /**
   * The question as the coordinator may have it.
   * @throws FORBIDDEN; INVALID_TOPIC for the broker's own topics; INVALID_FILTER, INVALID_ARGUMENT
   */
  async admit(principal: Principal, { body }: GroupRequest): Promise<GroupRequest> {
    if (body.case === undefined)
      throw new SluiceError('UNSUPPORTED', 'this broker does not know the question');
    const check = CHECKS[body.case] as Check<GroupCase>;
    return groupRequest<GroupCase>(body.case, await check(this, principal, body.value));
  }

  /** Whether what concerns a topic may be told. */
  mayRead(principal: Principal, topic: string): boolean {
    return this.access.allows(principal, 'subscribe', topic);
  }

  /** @throws FORBIDDEN, INVALID_TOPIC */
  checkRead(principal: Principal, topic: string): void {
    checkOrdinary(topic);
    this.access.check(principal, 'subscribe', topic);
  }

  /** @throws FORBIDDEN, INVALID_TOPIC */
  checkWrite(principal: Principal, topic: string): void {
    checkOrdinary(topic);
    this.access.check(principal, 'publish', topic);
  }

  /**
   * What a member may be assigned: its filters, where it may read all that they match now, else those topics that it may read, by name. A
   * member says again and again what it wants, so that this stays true. Many wildcards are compared with many topics in turns of the event
   * loop of their own.
   * @throws INVALID_FILTER, also for none: who reads nothing has no place in a group; FORBIDDEN for a topic that is named, and where nothing is left:
   *   that says nothing about which topics there are
   */
  async filters(principal: Principal, filters: readonly string[]): Promise<string[]> {
    if (filters.length === 0)
      throw new SluiceError('INVALID_FILTER', 'a member names a topic, or a wildcard');
    if (filters.length > FILTERS_MAX) {
      throw new SluiceError('INVALID_ARGUMENT', `${filters.length} filters; at most ${FILTERS_MAX}`);
    }
    const admitted = new Set<string>();
    let topics: ComparedTopics | undefined;
    let refused: string | undefined;
    for (const text of new Set(filters)) {
      const filter = parseFilter(text);
      if (filter.matchesKey)
        throw new SluiceError('INVALID_FILTER', `${quoted(text)}: a group takes whole topics, no keys`);
      if (filter.topic !== undefined) {
        this.checkRead(principal, filter.topic);
        admitted.add(text);
        continue;
      }
      topics ??= this.#compared(principal);
      const taken = await this.#wildcard(principal, filter, topics);
      for (const name of taken) admitted.add(name);
      if (taken.length === 0) refused ??= text;
    }
    if (admitted.size === 0 && refused !== undefined) this.access.refuse(principal, 'subscribe', refused);
    return [...admitted];
  }

  /** The topics that a wildcard may take. Asking for rights costs the same for a thousand wildcards as for one. */
  #compared(principal: Principal): ComparedTopics {
    const readable: string[] = [];
    const others: string[] = [];
    for (const { name } of this.#topics()) {
      if (!isInternalTopic(name)) (this.mayRead(principal, name) ? readable : others).push(name);
    }
    return new ComparedTopics(readable, others, this.#turns);
  }

  /** What of a wildcard may be had: all that it takes, now and later, or some topics, or none. */
  async #wildcard(principal: Principal, filter: TopicFilter, topics: ComparedTopics): Promise<string[]> {
    // One may be a member for topics to come; who may read nothing would only be in the way of others.
    if (topics.readable.length === 0 && !this.mayRead(principal, filter.text)) return [];
    const [denied] = await topics.taken(filter, topics.others, 1);
    return denied === undefined ? [filter.text] : topics.taken(filter, topics.readable);
  }
}

/** One check for each question; the compiler sees that none is missing. */
const CHECKS: { readonly [C in GroupCase]: Check<C> } = {
  joinGroup: async (rights, principal, question) => ({
    ...question,
    filters: await rights.filters(principal, question.filters),
  }),
  // Looked at by the coordinator, which knows whose the member is.
  leaveGroup: (_rights, _principal, question) => question,
  commitOffsets: (rights, principal, question) => {
    for (const topic of new Set(question.offsets.map((offset) => offset.topic))) {
      rights.checkRead(principal, topic);
    }
    return question;
  },
  // Looked at when the answer is there.
  describeGroup: (_rights, _principal, question) => question,
  listGroups: (_rights, _principal, question) => question,
  listQueues: (_rights, _principal, question) => question,
  // Looked at when it is known which topics it concerns.
  deleteGroup: (_rights, _principal, question) => question,
  resetGroup: ofTopic,
  receive: bounded,
  settle: ofTopic,
  describeQueue: ofTopic,
  deleteQueue: ofTopic,
  browseQueue: bounded,
  discardRecords: ofTopic,
  configureQueue: (rights, principal, question) => {
    const deadLetters = question.settings?.deadLetterTopic;
    if (deadLetters) rights.checkWrite(principal, deadLetters);
    return ofTopic(rights, principal, question);
  },
  moveRecords: (rights, principal, question) => {
    ofTopic(rights, principal, question);
    const destination = question.destination || originOf(rights, principal, question.topic);
    if (destination !== '') rights.checkWrite(principal, destination);
    return { ...question, destination };
  },
};

function ofTopic<Q extends { readonly topic: string }>(
  rights: GroupRights,
  principal: Principal,
  question: Q,
): Q {
  rights.checkRead(principal, question.topic);
  return question;
}

function bounded<Q extends { readonly topic: string; readonly maxBytes: number }>(
  rights: GroupRights,
  principal: Principal,
  question: Q,
): Q {
  ofTopic(rights, principal, question);
  return question.maxBytes <= MAX_BYTES ? question : { ...question, maxBytes: MAX_BYTES };
}

/**
 * Where records go back to when nobody says. What their headers name is only for who administers the node: whoever publishes a dead letter writes
 * them, and would have others publish wherever it likes.
 */
function originOf({ access }: GroupRights, principal: Principal, topic: string): string {
  if (access.allows(principal, 'admin', undefined)) return '';
  if (topic.startsWith(DEAD_LETTER_PREFIX)) return topic.slice(DEAD_LETTER_PREFIX.length);
  throw new SluiceError('INVALID_ARGUMENT', `say where the records of ${quoted(topic)} go (destination)`);
}

function checkOrdinary(topic: string): void {
  checkTopicName(topic);
  if (isInternalTopic(topic))
    throw new SluiceError('INVALID_TOPIC', 'topics beginning with __ are the broker’s own');
}

import type { Clock } from '../../kernel/clock.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { Asker } from '../../kernel/slots.ts';
import { Asking } from '../../kernel/slots.ts';
import type { LogReader } from '../../partition/log-reader.ts';
import type { Partition } from '../../partition/partition.ts';
import type { Place } from '../../partition/place-table.ts';
import type { Start } from '../../partition/reader.ts';
import type { KeyPredicate } from '../../partition/reader-source.ts';
import type { Answer, TopicPartition } from '../leader-questions.ts';
import type { Leaders } from '../topics/leaders.ts';
import type { OffsetQuestions } from './offset-questions.ts';
import type { OpenTopic } from '../topics/open-topic.ts';
import type { Copies } from '../ports.ts';

/** What reading what others lead takes. */
export interface DistantParts {
  readonly leaders: Leaders;
  readonly questions: OffsetQuestions;
  /** Where this node has no copy; undefined: what it has none of cannot be read here. */
  readonly copies: Copies | undefined;
  readonly clock: Clock;
  /** A topic by its name. */
  readonly find: (name: string) => OpenTopic | undefined;
}

/** A partition that is to be read. */
export interface Wanted extends TopicPartition {
  readonly at: Start;
}

/** Readers that are being opened for somebody. */
interface Attempt {
  /** A partition that cannot be opened because of what was asked for is an error; else it is opened as far as there is something. */
  readonly isStrict: boolean;
  /** Those that have not been opened yet. */
  readonly pending: Set<Wanted>;
  readonly take: (reader: LogReader) => void;
  readonly asker: Asker;
}

/** A copy that was opened for a reader. */
interface Observed extends TopicPartition {
  readonly copy: Partition;
}

const EARLIEST: Start = { at: 'earliest' };

/** How long who subscribes waits for leaders and copies. */
const START_MS = 1000;

/**
 * How one subscription reads partitions that this node does not lead: from its own copy where that is in sync or has come as far, else from one that
 * is kept for readers only, until its own is in sync.
 *
 * Where they begin is for the leader to say, because a copy may be behind. What cannot be read now, or whose leader cannot be asked, is kept to be
 * tried again.
 */
export class DistantReaders {
  readonly #parts: DistantParts;
  readonly #keep: KeyPredicate | undefined;
  /** Those whose reader reads a copy that was opened for it. */
  readonly #observed = new Map<string, Observed>();
  readonly #unread = new Map<string, Wanted>();
  /** For what is opened later. */
  readonly #asking = new Asking();
  #isClosed = false;

  /** @param keep which records are wanted; undefined: all */
  constructor(parts: DistantParts, keep: KeyPredicate | undefined) {
    this.#parts = parts;
    this.#keep = keep;
  }

  /**
   * Opens the readers that a subscription begins with; each is handed over in the turn in which it is opened. Topics that were deleted meanwhile are left
   * out. What cannot be opened within a second is noted, so that none waits for another, with the place where it begins as far as that is known now.
   * @throws OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT and what else opening a reader throws
   */
  async start(wanted: readonly Wanted[], take: (reader: LogReader) => void): Promise<void> {
    const asking = new Asking();
    const attempt: Attempt = { isStrict: true, pending: new Set(wanted), take, asker: asking };
    const { promise: bound, resolve } = Promise.withResolvers<undefined>();
    const timer = this.#parts.clock.setTimer(START_MS, () => resolve(undefined));
    try {
      await Promise.race([bound, Promise.all(wanted.map((one) => this.#openOne(one, attempt)))]);
      for (const one of attempt.pending) this.#giveUp(one, attempt);
    } finally {
      timer.cancel();
      attempt.pending.clear();
      asking.drop();
    }
  }

  /** Opens readers as soon as that can be done; what cannot be opened is noted. */
  async open(wanted: readonly Wanted[], take: (reader: LogReader) => void): Promise<void> {
    const attempt: Attempt = { isStrict: false, pending: new Set(wanted), take, asker: this.#asking };
    for (const one of wanted) this.#unread.delete(keyOf(one));
    await Promise.all(wanted.map((one) => this.#openOne(one, attempt)));
  }

  /** To be opened later, unless more is known about it already. */
  note(one: Wanted): void {
    if (this.#isClosed || one.topic.isDeleted || this.#unread.has(keyOf(one))) return;
    this.#unread.set(keyOf(one), one.at.at === 'latest' ? { ...one, at: latestKnown(one) } : one);
  }

  /** Partitions that have no reader yet and may get one now. */
  openable(): readonly Wanted[] {
    return [...this.#unread.values()].filter(
      (one) => one.topic.copy(one.index) !== undefined || this.#isObservable(one),
    );
  }

  /** Where a partition without a reader begins. */
  unread(place: TopicPartition): Start | undefined {
    return this.#unread.get(keyOf(place))?.at;
  }

  isObserved(place: Place): boolean {
    return this.#observed.has(`${place.topic}/${place.partition}`);
  }

  /** Lets a reader go on in the copy that is the one to read now, where it is another. */
  move(reader: LogReader): void {
    const topic = this.#parts.find(reader.topic);
    if (!topic) return;
    const place = { topic, index: reader.partition };
    const { nextOffset } = reader;
    if (reader.isStranded) reader.suspend();
    const copy = topic.copy(place.index);
    if (reader.isSuspended) this.#copyFor(place, nextOffset)?.adopt(reader);
    else if (!copy) return;
    else if (this.isObserved(reader)) {
      if (!this.#isCurrent(place, copy) || copy.highWatermark < nextOffset) return;
      copy.adopt(reader);
      this.release(reader);
    } else if (copy.highWatermark <= nextOffset && !this.#isCurrent(place, copy)) {
      // What comes next may never come here.
      this.#observe(place)?.adopt(reader);
    }
  }

  /** A copy that was opened for a reader is not needed any more. */
  release(place: Place): void {
    const key = `${place.topic}/${place.partition}`;
    const observed = this.#observed.get(key);
    if (!observed) return;
    this.#observed.delete(key);
    this.#parts.copies?.release(observed.topic.definition, observed.index);
  }

  /** There is nothing of a partition any more. */
  forget(place: Place): void {
    this.#unread.delete(`${place.topic}/${place.partition}`);
    this.release(place);
  }

  close(): void {
    this.#isClosed = true;
    this.#asking.drop();
    for (const { topic, index } of this.#observed.values()) {
      this.#parts.copies?.release(topic.definition, index);
    }
    this.#observed.clear();
    this.#unread.clear();
  }

  async #openOne(one: Wanted, attempt: Attempt): Promise<void> {
    const { pending, take } = attempt;
    try {
      const answer = await this.#ask(one, attempt.asker);
      if (!pending.has(one)) return;
      const opened = one.topic.isDeleted ? undefined : this.#open(one, answer, attempt);
      const reader = opened instanceof Promise ? await opened.catch(() => undefined) : opened;
      if (!pending.delete(one)) reader?.close();
      else if (reader && !one.topic.isDeleted) take(reader);
      else this.#noteAgain(one);
    } catch (error) {
      if (!pending.delete(one)) return;
      this.#noteAgain(one);
      if (attempt.isStrict) throw error;
    }
  }

  /** @returns what the leader says; undefined: it needs not be asked */
  async #ask(one: Wanted, asker: Asker): Promise<Answer<number> | undefined> {
    const question = questionOf(one);
    if (!question) return undefined;
    // A copy that is needed begins meanwhile.
    this.#copyFor(one, offsetOf(one.at));
    return this.#parts.questions.ask(one, question, asker);
  }

  /** Does with what is known here what the leader has not answered in time. */
  #giveUp(one: Wanted, { pending, take, asker }: Attempt): void {
    pending.delete(one);
    try {
      const opened = this.#isClosed || one.topic.isDeleted ? undefined : this.#openHere(one, asker);
      if (opened && !(opened instanceof Promise)) {
        take(opened);
        return;
      }
      opened?.then(
        (late) => late.close(),
        () => undefined,
      );
    } catch {
      // The leader may know better, later.
    }
    this.#noteAgain(one);
  }

  #noteAgain(one: Wanted): void {
    this.release({ topic: one.topic.name, partition: one.index });
    this.note(one);
  }

  #open(
    one: Wanted,
    answer: Answer<number> | undefined,
    { isStrict, asker }: Attempt,
  ): LogReader | Promise<LogReader> | undefined {
    if (typeof answer === 'number') return this.#openAt(one, answer);
    const isRefused = answer?.code === 'OFFSET_OUT_OF_RANGE' || answer?.code === 'INVALID_ARGUMENT';
    if (isRefused && isStrict) throw answer;
    return this.#openHere(isRefused ? { ...one, at: EARLIEST } : one, asker);
  }

  #openAt(one: Wanted, offset: number): LogReader | undefined {
    const copy = this.#copyFor(one, offset);
    if (copy) return copy.openReaderAt(offset, this.#keep);
    this.note({ ...one, at: { at: 'offset', offset } });
    return undefined;
  }

  /** As far as a copy can tell where to begin. */
  #openHere(one: Wanted, asker: Asker): LogReader | Promise<LogReader> | undefined {
    const { at } = one;
    const offset = offsetOf(at);
    const copy = this.#copyFor(one, offset);
    // One that is behind does not know whether there is such an offset.
    if (at.at === 'offset' && copy === one.topic.copy(one.index) && offset > (copy?.logEnd ?? 0))
      return undefined;
    return copy?.openReader(at, this.#keep, asker);
  }

  /** The copy to read from an offset on. @param offset Infinity: what only a copy that is up to date can tell */
  #copyFor(place: TopicPartition, offset: number): Partition | undefined {
    const copy = place.topic.copy(place.index);
    const isGood = copy && (copy.highWatermark >= offset || this.#isCurrent(place, copy));
    if (!isGood) return this.#observe(place) ?? copy;
    this.release(copy);
    return copy;
  }

  /** Whether the copy of this node has all that there is, or soon will have. */
  #isCurrent({ topic, index }: TopicPartition, copy: Partition): boolean {
    return copy.role === 'leader' || this.#parts.leaders.isInSync(topic, index);
  }

  #isObservable({ topic, index }: TopicPartition): boolean {
    if (!this.#parts.copies || this.#isClosed || topic.isDeleted) return false;
    return topic.isElsewhere(index) || this.#parts.leaders.isInSyncElsewhere(topic, index);
  }

  #observe(place: TopicPartition): Partition | undefined {
    const { topic, index } = place;
    const observed = this.#observed.get(keyOf(place));
    if (observed || !this.#isObservable(place)) return observed?.copy;
    try {
      const copy = this.#parts.copies!.open(topic.definition, index);
      this.#observed.set(keyOf(place), { topic, index, copy });
      return copy;
    } catch (error) {
      if (asSluiceError(error).code === 'INTERNAL') throw error;
      return undefined;
    }
  }
}

/** What the leader is asked before a partition is read; undefined: nothing. */
function questionOf({ topic, index, at }: Wanted): Start | undefined {
  const copy = topic.copy(index);
  if (at.at === 'offset') return copy && at.offset <= copy.highWatermark ? undefined : at;
  return at.at === 'last-per-key' ? undefined : at;
}

/** From where on a copy is to be read; Infinity: that is for one to tell that is up to date. */
function offsetOf(at: Start): number {
  return at.at === 'offset' ? at.offset : Infinity;
}

/** A place that is not above the latest record now: nothing that comes from now on is before it. */
function latestKnown({ topic, index }: TopicPartition): Start {
  const copy = topic.copy(index);
  return copy ? { at: 'offset', offset: copy.highWatermark } : EARLIEST;
}

function keyOf({ topic, index }: TopicPartition): string {
  return `${topic.name}/${index}`;
}

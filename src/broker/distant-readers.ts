import { asSluiceError } from '../kernel/errors.ts';
import type { LogReader } from '../partition/log-reader.ts';
import type { Partition } from '../partition/partition.ts';
import type { Place } from '../partition/place-table.ts';
import type { Start } from '../partition/reader.ts';
import type { KeyPredicate } from '../partition/reader-source.ts';
import type { Answer, LeaderQuestions, TopicPartition } from './leader-questions.ts';
import type { Leaders } from './leaders.ts';
import type { OpenTopic } from './open-topic.ts';
import type { Copies } from './ports.ts';

/** What reading what others lead takes. */
export interface DistantParts {
  readonly leaders: Leaders;
  readonly questions: LeaderQuestions;
  /** Where this node has no copy; undefined: what it has none of cannot be read here. */
  readonly copies: Copies | undefined;
  /** A topic by its name. */
  readonly find: (name: string) => OpenTopic | undefined;
}

/** A partition that is to be read. */
export interface Wanted extends TopicPartition {
  readonly at: Start;
}

/**
 * What is done where a partition cannot be opened because of what was asked for: the subscription is refused, or goes on with what there is.
 */
export type OnRefusal = 'refuse' | 'go-on';

/** A copy that was opened for a reader. */
interface Observed extends TopicPartition {
  readonly copy: Partition;
}

const EARLIEST: Start = { at: 'earliest' };

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
  #isClosed = false;

  /** @param keep which records are wanted; undefined: all */
  constructor(parts: DistantParts, keep: KeyPredicate | undefined) {
    this.#parts = parts;
    this.#keep = keep;
  }

  /**
   * Opens readers; they are handed over in the turn in which they are opened. Topics that were deleted meanwhile are left out.
   * @throws OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT and what else opening a reader throws, where that is to be refused
   */
  async open(
    wanted: readonly Wanted[],
    onRefusal: OnRefusal,
    take: (reader: LogReader) => void,
  ): Promise<void> {
    for (const one of wanted) this.#unread.delete(keyOf(one));
    const answers = await this.#ask(wanted);
    const opening: Promise<void>[] = [];
    for (const [nth, one] of wanted.entries()) {
      if (one.topic.isDeleted) continue;
      try {
        const reader = this.#open(one, answers[nth], onRefusal);
        if (reader instanceof Promise) opening.push(this.#openLate(one, reader, take));
        else if (reader) take(reader);
        else this.#note(one);
      } catch (error) {
        // None of the others is to wait for this one.
        this.release({ topic: one.topic.name, partition: one.index });
        this.#note(one);
        if (onRefusal === 'refuse') throw error;
      }
    }
    await Promise.all(opening);
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
    for (const { topic, index } of this.#observed.values()) {
      this.#parts.copies?.release(topic.definition, index);
    }
    this.#observed.clear();
    this.#unread.clear();
  }

  /** One answer for each; undefined where nobody needs to be asked. */
  async #ask(wanted: readonly Wanted[]): Promise<(Answer<number> | undefined)[]> {
    const groups = new Map<string, { readonly at: Start; readonly slots: number[] }>();
    for (const [slot, one] of wanted.entries()) {
      const at = questionOf(one);
      if (!at) continue;
      const key = JSON.stringify(at);
      const group = groups.get(key) ?? { at, slots: [] };
      groups.set(key, group);
      group.slots.push(slot);
    }
    const answers: (Answer<number> | undefined)[] = wanted.map(() => undefined);
    const asking = [...groups.values()].map(async ({ at, slots }) => {
      const found = await this.#parts.questions.offsets(
        slots.map((slot) => wanted[slot]!),
        at,
      );
      for (const [nth, slot] of slots.entries()) answers[slot] = found[nth];
    });
    await Promise.all(asking);
    return answers;
  }

  #open(
    one: Wanted,
    answer: Answer<number> | undefined,
    onRefusal: OnRefusal,
  ): LogReader | Promise<LogReader> | undefined {
    if (typeof answer === 'number') return this.#openAt(one, answer);
    const isRefused = answer?.code === 'OFFSET_OUT_OF_RANGE' || answer?.code === 'INVALID_ARGUMENT';
    if (isRefused && onRefusal === 'refuse') throw answer;
    return this.#openHere(isRefused ? { ...one, at: EARLIEST } : one);
  }

  #openAt(one: Wanted, offset: number): LogReader | undefined {
    const copy = this.#copyFor(one, offset);
    if (copy) return copy.openReaderAt(offset, this.#keep);
    this.#note({ ...one, at: { at: 'offset', offset } });
    return undefined;
  }

  /** As far as a copy can tell where to begin. */
  #openHere(one: Wanted): LogReader | Promise<LogReader> | undefined {
    const { at } = one;
    const offset = at.at === 'offset' ? at.offset : Infinity;
    const copy = this.#copyFor(one, offset);
    // One that is behind does not know whether there is such an offset.
    if (at.at === 'offset' && copy === one.topic.copy(one.index) && offset > (copy?.logEnd ?? 0))
      return undefined;
    return copy?.openReader(at, this.#keep);
  }

  /** The copy to read from an offset on. @param offset Infinity: what only a copy that is up to date can tell */
  #copyFor(place: TopicPartition, offset: number): Partition | undefined {
    const copy = place.topic.copy(place.index);
    const isGood = copy && (copy.highWatermark >= offset || this.#isCurrent(place, copy));
    return isGood ? copy : (this.#observe(place) ?? copy);
  }

  /** Whether the copy of this node has all that there is, or soon will have. */
  #isCurrent({ topic, index }: TopicPartition, copy: Partition): boolean {
    return copy.role === 'leader' || this.#parts.leaders.isInSync(topic, index);
  }

  async #openLate(
    one: Wanted,
    opening: Promise<LogReader>,
    take: (reader: LogReader) => void,
  ): Promise<void> {
    try {
      take(await opening);
    } catch {
      // Its copy is gone again, or has not begun in time.
      this.release({ topic: one.topic.name, partition: one.index });
      this.#note(one);
    }
  }

  /** To be tried again, unless more is known about it already. */
  #note(one: Wanted): void {
    if (this.#isClosed || one.topic.isDeleted || this.#unread.has(keyOf(one))) return;
    this.#unread.set(keyOf(one), one);
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

function keyOf({ topic, index }: TopicPartition): string {
  return `${topic.name}/${index}`;
}

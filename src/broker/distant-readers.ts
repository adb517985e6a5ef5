import { asSluiceError } from '../kernel/errors.ts';
import type { LogReader } from '../partition/log-reader.ts';
import type { Partition } from '../partition/partition.ts';
import type { Place } from '../partition/place-table.ts';
import type { Start } from '../partition/reader.ts';
import type { KeyPredicate } from '../partition/reader-source.ts';
import type { Answer, LeaderQuestions, TopicPartition } from './leader-questions.ts';
import type { Copies } from './ports.ts';

/** What reading what others lead takes. */
export interface DistantParts {
  readonly questions: LeaderQuestions;
  /** Where this node has no copy; undefined: what it has none of cannot be read here. */
  readonly copies: Copies | undefined;
}

/** A partition that is to be read. */
export interface Wanted extends TopicPartition {
  readonly at: Start;
}

/**
 * What is done where a partition cannot be opened because of what was asked for: the subscription is refused, or goes on with what there is.
 */
export type OnRefusal = 'refuse' | 'go-on';

const EARLIEST: Start = { at: 'earliest' };

/**
 * How one subscription reads partitions that this node does not lead: from its own copy, else from one that is kept for readers only.
 *
 * Where they begin is for the leader to say, because a copy may be behind. What cannot be read now, or whose leader cannot be asked, is kept to be
 * tried again.
 */
export class DistantReaders {
  readonly #parts: DistantParts;
  readonly #keep: KeyPredicate | undefined;
  /** Those whose reader reads a copy that was opened for it. */
  readonly #observed = new Map<string, TopicPartition>();
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
        this.#note(one);
        if (onRefusal === 'refuse') throw error;
      }
    }
    await Promise.all(opening);
  }

  /** Partitions that have no reader yet and may get one now. */
  openable(): readonly Wanted[] {
    return [...this.#unread.values()].filter(
      ({ topic, index }) => topic.copy(index) ?? (this.#parts.copies && topic.isElsewhere(index)),
    );
  }

  /** Where a partition without a reader begins. */
  unread(place: TopicPartition): Start | undefined {
    return this.#unread.get(keyOf(place))?.at;
  }

  /** Those that are read from copies that were opened for it. */
  observed(): readonly TopicPartition[] {
    return [...this.#observed.values()];
  }

  isObserved(place: Place): boolean {
    return this.#observed.has(`${place.topic}/${place.partition}`);
  }

  /** Lets a reader that has no copy go on in one that is opened for it, where that can be done. */
  observe(reader: LogReader, place: TopicPartition): void {
    this.#observe(place)?.adopt(reader);
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
    const copy = one.topic.copy(one.index) ?? this.#observe(one);
    if (copy) return copy.openReaderAt(offset, this.#keep);
    this.#note({ ...one, at: { at: 'offset', offset } });
    return undefined;
  }

  /** As far as a copy can tell where to begin. */
  #openHere(one: Wanted): LogReader | Promise<LogReader> | undefined {
    const { at } = one;
    const copy = one.topic.copy(one.index) ?? this.#observe(one);
    return at.at === 'offset' ? copy?.openReaderAt(at.offset, this.#keep) : copy?.openReader(at, this.#keep);
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

  #observe(place: TopicPartition): Partition | undefined {
    const { topic, index } = place;
    const { copies } = this.#parts;
    if (!copies || this.#isClosed || topic.isDeleted || !topic.isElsewhere(index)) return undefined;
    try {
      const copy = copies.open(topic.definition, index);
      this.#observed.set(keyOf(place), { topic, index });
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

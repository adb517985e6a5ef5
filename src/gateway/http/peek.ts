import type { Principal } from '../../broker/ports.ts';
import type { RecordCursor } from '../../wire/record-cursor.ts';
import type { DoWork } from './answers/answer-desk.ts';
import { ANSWER_MAX_BYTES } from './answers/message-list.ts';
import type { ApiContext } from './api-context.ts';
import { readRecords } from './read-records.ts';

/** Which records are looked at. */
export interface PeekQuestion {
  readonly topic: string;
  readonly at: 'earliest' | 'latest';
  /** Records at most. */
  readonly limit: number;
  /** Of records with their headers; one comes even when it alone is larger. */
  readonly maxBytes: number;
  /** Undefined: all. */
  readonly partition?: number | undefined;
}

/** Makes of a record what is shown of it. The record stays good until the next. */
export type ShowRecord = (record: RecordCursor, partition: number) => string;

/**
 * The oldest or newest retained records of a topic, by time, the oldest first. Of compacted partitions fewer of the newest may come.
 *
 * @param doWork in whose turns records are looked at
 * @throws FORBIDDEN, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND and what keeps a partition from being read
 */
export async function peek(
  { broker, limits: { inflatedMaxBytes } }: Pick<ApiContext, 'broker' | 'limits'>,
  principal: Principal,
  question: PeekQuestion,
  show: ShowRecord,
  doWork: DoWork,
): Promise<readonly string[]> {
  const { topic, at, limit: maxRecords, maxBytes, partition } = question;
  const only = partition === undefined ? [] : [partition];
  const [starts, ends] = await Promise.all([
    broker.listOffsets(principal, topic, only, { at: 'earliest' }),
    broker.listOffsets(principal, topic, only, { at: 'latest' }),
  ]);
  const shown = new Shown(question, show);
  for (const [slot, { partition: each, offset: first }] of starts.entries()) {
    const end = ends[slot]!.offset;
    if (first >= end) continue;
    const offset = at === 'earliest' ? first : Math.max(first, end - maxRecords);
    const start = { at: 'offset', offset } as const;
    const open = await broker.openReader(principal, { topic, partition: each, start, name: 'HTTP' });
    try {
      const bounds = { maxRecords, maxBytes, inflatedMaxBytes };
      await readRecords(open.reader, doWork, bounds, (record) => shown.take(record, each));
      shown.choose();
    } finally {
      open.close();
    }
  }
  return shown.texts;
}

interface ShownRecord {
  readonly timestampMs: number;
  readonly bytes: number;
  readonly text: string;
}

/** Of all records looked at those that the answer has room for; only what is shown is kept of them. */
class Shown {
  readonly #question: PeekQuestion;
  readonly #show: ShowRecord;
  #records: ShownRecord[] = [];
  /** Only records before or after it, as was asked, can be among those chosen. */
  #boundMs: number | undefined;
  /** Since it was chosen last. */
  #newChars = 0;

  constructor(question: PeekQuestion, show: ShowRecord) {
    this.#question = question;
    this.#show = show;
  }

  get texts(): readonly string[] {
    return this.#records.map(({ text }) => text);
  }

  /** @returns whether so much is there that the rest of the partition has to be left */
  take(record: RecordCursor, partition: number): boolean {
    const { timestampMs, startAt, endAt } = record;
    if (this.#boundMs !== undefined && !this.#isBefore(timestampMs, this.#boundMs)) return false;
    const text = this.#show(record, partition);
    this.#records.push({ timestampMs, bytes: endAt - startAt, text });
    this.#newChars += text.length;
    return this.#newChars >= ANSWER_MAX_BYTES;
  }

  /** Keeps what the answer has room for of what there is so far. */
  choose(): void {
    const { at, limit, maxBytes } = this.#question;
    const isLatest = at === 'latest';
    const sorted = this.#records.sort((a, b) => a.timestampMs - b.timestampMs);
    if (isLatest) sorted.reverse();
    let bytes = 0;
    let chars = 0;
    const chosen = sorted.filter((each, index) => {
      const fits = index < limit && bytes < maxBytes && chars < ANSWER_MAX_BYTES;
      bytes += each.bytes;
      chars += each.text.length;
      return fits;
    });
    this.#newChars = 0;
    if (chosen.length >= limit || bytes >= maxBytes || chars >= ANSWER_MAX_BYTES)
      this.#boundMs = chosen.at(-1)?.timestampMs;
    this.#records = isLatest ? chosen.reverse() : chosen;
  }

  #isBefore(timestampMs: number, boundMs: number): boolean {
    return this.#question.at === 'earliest' ? timestampMs < boundMs : timestampMs >= boundMs;
  }
}

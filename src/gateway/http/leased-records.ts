import type { BrowsedBatch, LeasedBatch, LeasedRange } from '../../gen/sluice/client/v1/groups_pb.ts';
import { encodeLeaseToken } from '../../wire/lease-token.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import { rejectUnreadable } from '../unreadable-records.ts';
import type { Work } from './answers/answer-desk.ts';
import { MessageList } from './answers/message-list.ts';
import type { RecordEncoding } from '../../wire/record-json.ts';
import { recordJson } from '../../wire/record-json.ts';

/** How records of a queue become JSON. */
export interface LeasedForm {
  readonly topic: string;
  readonly encoding: RecordEncoding;
  /** What a batch may inflate to, bytes. */
  readonly inflatedMaxBytes: number;
}

/** Offsets of a partition. */
export interface LeftRange {
  readonly partition: number;
  /** Of their lease; 0: none. */
  readonly grant: number;
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
}

/** Records for an answer. */
export interface RecordTexts {
  /** JSON. */
  readonly texts: MessageList;
  /** What the answer has no room for, in the order in which it came. */
  readonly left: readonly LeftRange[];
}

interface Wanted {
  readonly batch: Uint8Array;
  readonly partition: number;
  readonly grant: number;
  /** In rising order. */
  readonly ranges: readonly { readonly first: number; readonly end: number; readonly attempt: number }[];
}

/** Leased records for an answer. */
export interface LeasedTexts extends RecordTexts {
  /** Settlements of those that cannot be read. */
  readonly rejections: ReturnType<typeof rejectUnreadable>;
}

/** The records that batches of a queue hold for a consumer, each with the token of its lease. */
export function* leasedRecords(batches: readonly LeasedBatch[], form: LeasedForm): Work<LeasedTexts> {
  const answer = new Answer(form, new MessageList());
  const rejections: ReturnType<typeof rejectUnreadable> = [];
  for (const leased of batches) {
    const { batch, partition, grant, leases } = leased;
    try {
      yield* answer.add({ batch, partition, grant: Number(grant), ranges: rising(leases) });
    } catch (error) {
      rejections.push(...rejectUnreadable(leased, answer.next, error));
    }
  }
  const { texts, left } = answer;
  return { texts, left, rejections };
}

/** The records that were looked at, and their attempts so far. @throws CORRUPT_BATCH, BATCH_TOO_LARGE, UNKNOWN_CODEC */
export function* browsedRecords(
  batches: readonly BrowsedBatch[],
  form: LeasedForm,
  texts: MessageList,
): Work<RecordTexts> {
  const answer = new Answer(form, texts);
  for (const { batch, partition, records } of batches) {
    yield* answer.add({ batch, partition, grant: 0, ranges: rising(records) });
  }
  return answer;
}

function rising(ranges: readonly LeasedRange[]): Wanted['ranges'] {
  return ranges
    .map(({ first, end, attempt }) => ({ first: Number(first), end: Number(end), attempt }))
    .sort((a, b) => a.first - b.first);
}

class Answer implements RecordTexts {
  readonly texts: MessageList;
  readonly left: LeftRange[] = [];
  /** Of the batch added last: offsets below it were looked at. */
  next = 0;
  readonly #form: LeasedForm;

  constructor(form: LeasedForm, texts: MessageList) {
    this.#form = form;
    this.texts = texts;
  }

  *add(wanted: Wanted): Work<void> {
    const { batch, ranges } = wanted;
    this.next = 0;
    if (this.#isFull()) {
      this.#leave(wanted, 0, 0);
      return;
    }
    const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
    const { inflatedMaxBytes } = this.#form;
    const cursor = new RecordBatch(bytes, { inflatedMaxBytes, verifyCrc: false }).cursor();
    let at = 0;
    while (cursor.next()) {
      const { offset } = cursor;
      while (at < ranges.length && ranges[at]!.end <= offset) at += 1;
      const range = ranges[at];
      if (!range) return;
      if (offset < range.first) continue;
      if (this.#isFull()) {
        this.#leave(wanted, at, offset);
        return;
      }
      this.texts.add(
        recordJson(cursor, this.#placeOf(wanted), this.#form.encoding, leaseOf(wanted, offset, range)),
      );
      this.next = offset + 1;
      yield;
    }
  }

  #isFull(): boolean {
    return this.texts.isFull;
  }

  #placeOf({ partition }: Wanted): { topic: string; partition: number } {
    return { topic: this.#form.topic, partition };
  }

  /** @param at the range in which the first is that is left */
  #leave({ partition, grant, ranges }: Wanted, at: number, offset: number): void {
    for (const { first, end } of ranges.slice(at)) {
      this.left.push({ partition, grant, first: Math.max(first, offset), end });
    }
  }
}

function leaseOf(
  { partition, grant }: Wanted,
  offset: number,
  { attempt }: { readonly attempt: number },
): { token: string | undefined; attempt: number } {
  return { token: grant === 0 ? undefined : encodeLeaseToken({ partition, grant, offset }), attempt };
}

import type { PublishOutcome } from '../../broker/broker.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { SendStream } from '../../transport/transport.ts';
import { encodeProduced } from '../../wire/produce.ts';

/** The place of one answer in the order of its partition. */
export interface AnswerSlot {
  readonly correlation: number;
  readonly place: string;
  readonly partition: number | undefined;
  frame: Buffer | undefined;
  /** Nothing of its partition is before it that was not answered. */
  isFirst: boolean;
  /** The question to the same partition after it. */
  next: AnswerSlot | undefined;
}

/**
 * Answers of one publish stream: to one partition in the order of the questions, whatever order the outcomes come in. A partition that
 * takes its time, because one of its replicas does, holds up no other.
 *
 *     orders/0: settled ─> settled ─> waiting ─> settled     ┐
 *     orders/1: waiting ─> settled                           ├─> written as soon as all before it in its row are
 *     audit/0:  settled                                      ┘
 */
export class ProducedAnswers {
  readonly #send: SendStream;
  /** The newest question to each partition, as long as one is not answered. */
  readonly #last = new Map<string, AnswerSlot>();
  #waiting = 0;
  #ready: Buffer[] = [];

  constructor(send: SendStream) {
    this.#send = send;
  }

  /** Questions without a written answer: those whose outcome is not known, and those whose answer waits for one before it. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Takes the next place among those of the partition. @param partition undefined: the broker chooses */
  open(correlation: number, topic: string, partition: number | undefined): AnswerSlot {
    const place = `${topic}/${partition ?? ''}`;
    const before = this.#last.get(place);
    const isFirst = before === undefined;
    const slot: AnswerSlot = { correlation, place, partition, frame: undefined, isFirst, next: undefined };
    if (before) before.next = slot;
    this.#last.set(place, slot);
    this.#waiting += 1;
    return slot;
  }

  /** The outcome for `slot` is known. Nothing is written before {@link flush}. */
  settle(slot: AnswerSlot, outcome: PublishOutcome | SluiceError): void {
    slot.frame = encodeAnswer(slot, outcome);
    if (!slot.isFirst) return;
    let first: AnswerSlot | undefined = slot;
    while (first?.frame) {
      this.#ready.push(first.frame);
      this.#waiting -= 1;
      if (!first.next) this.#last.delete(first.place);
      first = first.next;
    }
    if (first) first.isFirst = true;
  }

  /** Writes what is settled, in one piece. */
  flush(): void {
    const ready = this.#ready;
    if (ready.length === 0) return;
    this.#ready = [];
    this.#send.write(ready.length === 1 ? ready[0]! : Buffer.concat(ready));
  }
}

function encodeAnswer(slot: AnswerSlot, outcome: PublishOutcome | SluiceError): Buffer {
  if (outcome instanceof SluiceError) {
    return encodeProduced({
      correlation: slot.correlation,
      error: outcome.code,
      message: outcome.message,
      duplicate: false,
      partition: slot.partition ?? 0,
      baseOffset: 0,
      appendTimeMs: undefined,
    });
  }
  return encodeProduced({
    correlation: slot.correlation,
    error: undefined,
    message: '',
    duplicate: outcome.kind === 'duplicate',
    partition: outcome.partition,
    baseOffset: outcome.baseOffset,
    appendTimeMs: outcome.appendTimeMs,
  });
}
